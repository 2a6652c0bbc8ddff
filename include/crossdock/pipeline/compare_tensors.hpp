// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "crossdock/container/tensor_writer.hpp"
#include "crossdock/core/cast_elements.hpp"
#include "crossdock/core/tensor.hpp"
#include "crossdock/pipeline/digests.hpp"

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

/// A tensor that both sides have, of one type and shape.
struct Pair {
    std::size_t number = 0;  ///< of those that are compared, from 0 on
    std::string place{};     ///< what people call it
    DType dtype = DType::f32;
    Shape shape{};
};

/// Where the two tensors of a pair differ.
class Mismatch {
public:
    explicit Mismatch(Pair pair) : pair_(std::move(pair)) {}

    /// Takes in what was found in a block: how many elements differ, the first of them, and its bits on both sides.
    void add(std::uint64_t count, std::uint64_t first, const std::byte* a, const std::byte* b) {
        if (count_ == 0 || first < first_) {
            first_ = first;
            std::copy_n(a, item_size(pair_.dtype), a_.data());
            std::copy_n(b, item_size(pair_.dtype), b_.data());
        }
        count_ += count;
    }

    const std::string& place() const noexcept { return pair_.place; }
    bool empty() const noexcept { return count_ == 0; }

    // For those who look at other blocks of the same tensors.

    std::uint64_t count() const noexcept { return count_; }
    /// The first element that differs.
    std::uint64_t first() const noexcept { return empty() ? none : first_; }
    /// A number that no element has.
    static constexpr std::uint64_t none = std::numeric_limits<std::uint64_t>::max();
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

    /// "3 of 4096 elements differ, the first is [1, 5]: 0.25 in A, 0.5 in B"
    std::string describe() const {
        return to_text(count_, " of ", pair_.shape.element_count(), " elements differ, the first is ", position(), ": ",
                       element_text(pair_.dtype, a_.data()), " in A, ", element_text(pair_.dtype, b_.data()), " in B");
    }

private:
    Shape position() const {
        const Shape& shape = pair_.shape;
        std::vector<std::uint64_t> indices(shape.rank());
        std::uint64_t rest = first_;
        for (std::size_t axis = shape.rank(); axis-- > 0; rest /= shape[axis]) indices[axis] = rest % shape[axis];
        return Shape(std::move(indices));
    }

    Pair pair_;
    std::uint64_t count_ = 0, first_ = 0;
    std::array<std::byte, 8> a_{}, b_{};
};

/// The pairs that differ. Filled from many threads, block by block: nothing is kept of a pair that is alike, of which
/// there may be a million.
class Mismatches {
public:
    /// Looks at the elements of both sides of a pair that begin at `begin`.
    void compare(const Pair& pair, std::uint64_t begin, std::span<const std::byte> a, std::span<const std::byte> b) {
        if (std::memcmp(a.data(), b.data(), a.size()) == 0) return;
        const std::size_t item = item_size(pair.dtype);
        std::uint64_t count = 0;
        std::size_t first = a.size();
        for (std::size_t at = 0; at < a.size(); at += item)
            if (std::memcmp(a.data() + at, b.data() + at, item) != 0) {
                if (count++ == 0) first = at;
            }
        const std::lock_guard lock(mutex_);
        of(pair).add(count, begin + first / item, a.data() + first, b.data() + first);
    }

    // When the threads are done.

    /// By the pairs' numbers.
    const std::map<std::size_t, Mismatch>& all() const noexcept { return all_; }
    Mismatch& of(const Pair& pair) { return all_.try_emplace(pair.number, pair).first->second; }

private:
    std::mutex mutex_;
    std::map<std::size_t, Mismatch> all_;
};

/// Takes the blocks of a pair's first tensor that a pool moves, and compares them with those of the other one instead of
/// keeping them; where there is a digest, that hears of them as well.
class ComparingSlot final : public TensorSlot {
public:
    /// `mismatches` outlives it.
    ComparingSlot(Pair pair, Tensor other, Mismatches& mismatches, std::shared_ptr<PassingDigest> digest)
        : pair_(std::move(pair)),
          other_(std::move(other)),
          mismatches_(mismatches),
          digest_(std::move(digest)) {}

    void write(std::uint64_t at, std::span<const std::byte> bytes) override {
        thread_local std::vector<std::byte> block;  // a pool's thread needs one, of a band's size
        block.resize(bytes.size());
        const std::uint64_t begin = at / item_size(other_.dtype());
        other_.evaluate(begin, block);
        mismatches_.compare(pair_, begin, bytes, block);
        if (digest_) digest_->add(at, bytes);
    }
    const Tensor* reads_beside() const override { return &other_; }

private:
    Pair pair_;
    Tensor other_;
    Mismatches& mismatches_;
    std::shared_ptr<PassingDigest> digest_;  // may be null
};

}  // namespace crossdock::detail
