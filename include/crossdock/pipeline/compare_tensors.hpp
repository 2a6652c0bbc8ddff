// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <limits>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "crossdock/container/tensor_writer.hpp"
#include "crossdock/core/cast_elements.hpp"
#include "crossdock/core/digest.hpp"
#include "crossdock/core/tensor.hpp"

namespace crossdock::detail {

/// An element as people read it: its value where it is a float of 16 bits or more, its bits otherwise.
inline std::string element_text(DType dtype, const std::byte* element) {
    std::array<char, 32> text{};
    if (is_castable(dtype)) {
        double value = 0;
        cast_elements(dtype, element, DType::f64, reinterpret_cast<std::byte*>(&value), 1);
        std::snprintf(text.data(), text.size(), "%.9g", value);
        return text.data();
    }
    std::uint64_t bits = 0;
    std::memcpy(&bits, element, item_size(dtype));
    std::snprintf(text.data(), text.size(), "0x%llX", static_cast<unsigned long long>(bits));
    return text.data();
}

/// Where two tensors of one type and shape differ. Filled from many threads, block by block.
class Mismatch {
public:
    Mismatch(DType dtype, Shape shape) : dtype_(dtype), shape_(std::move(shape)) {}

    /// Looks at the elements of both sides that begin at `begin`.
    void compare(std::uint64_t begin, std::span<const std::byte> a, std::span<const std::byte> b) {
        if (std::memcmp(a.data(), b.data(), a.size()) == 0) return;
        const std::size_t item = item_size(dtype_);
        std::uint64_t count = 0;
        std::size_t first = a.size();
        for (std::size_t at = 0; at < a.size(); at += item)
            if (std::memcmp(a.data() + at, b.data() + at, item) != 0) {
                if (count++ == 0) first = at;
            }
        add(count, begin + first / item, a.data() + first, b.data() + first);
    }

    bool empty() const noexcept { return count_ == 0; }

    // For those who look at other blocks of the same tensors; when the threads are done.

    std::uint64_t count() const noexcept { return count_; }
    /// The first element that differs; where none does, a number that no element has.
    std::uint64_t first() const noexcept { return empty() ? std::numeric_limits<std::uint64_t>::max() : first_; }
    /// The bits of the first element on both sides if it is this one, else zeros.
    std::array<std::uint64_t, 2> elements_at(std::uint64_t first) const {
        std::array<std::uint64_t, 2> bits{};
        if (empty() || first != first_) return bits;
        std::memcpy(&bits[0], a_.data(), a_.size());
        std::memcpy(&bits[1], b_.data(), b_.size());
        return bits;
    }
    /// Takes over what all have found together.
    void become(std::uint64_t count, std::uint64_t first, const std::array<std::uint64_t, 2>& elements) {
        count_ = count;
        first_ = first;
        std::memcpy(a_.data(), &elements[0], a_.size());
        std::memcpy(b_.data(), &elements[1], b_.size());
    }

    /// "3 of 4096 elements differ, the first is [1, 5]: 0.25 in A, 0.5 in B"; when the threads are done.
    std::string describe() const {
        return to_text(count_, " of ", shape_.element_count(), " elements differ, the first is ", position(), ": ",
                       element_text(dtype_, a_.data()), " in A, ", element_text(dtype_, b_.data()), " in B");
    }

private:
    void add(std::uint64_t count, std::uint64_t first, const std::byte* a, const std::byte* b) {
        const std::lock_guard lock(mutex_);
        if (count_ == 0 || first < first_) {
            first_ = first;
            std::copy_n(a, item_size(dtype_), a_.data());
            std::copy_n(b, item_size(dtype_), b_.data());
        }
        count_ += count;
    }

    Shape position() const {
        std::vector<std::uint64_t> indices(shape_.rank());
        std::uint64_t rest = first_;
        for (std::size_t axis = shape_.rank(); axis-- > 0; rest /= shape_[axis]) indices[axis] = rest % shape_[axis];
        return Shape(std::move(indices));
    }

    DType dtype_;
    Shape shape_;
    std::mutex mutex_;
    std::uint64_t count_ = 0, first_ = 0;
    std::array<std::byte, 8> a_{}, b_{};
};

/// Takes the blocks of a tensor that a pool moves, and compares them with those of another one instead of keeping them;
/// where there is a digest, that hears of them as well.
class ComparingSlot final : public TensorSlot {
public:
    ComparingSlot(Tensor other, std::shared_ptr<Mismatch> mismatch, std::shared_ptr<BlockDigest> digest)
        : other_(std::move(other)),
          mismatch_(std::move(mismatch)),
          digest_(std::move(digest)) {}

    void write(std::uint64_t at, std::span<const std::byte> bytes) override {
        thread_local std::vector<std::byte> block;  // a pool's thread needs one, of a band's size
        block.resize(bytes.size());
        const std::uint64_t begin = at / item_size(other_.dtype());
        other_.evaluate(begin, block);
        mismatch_->compare(begin, bytes, block);
        if (digest_) digest_->add(at, bytes);
    }
    const Tensor* reads_beside() const override { return &other_; }

private:
    Tensor other_;
    std::shared_ptr<Mismatch> mismatch_;
    std::shared_ptr<BlockDigest> digest_;  // may be null
};

}  // namespace crossdock::detail
