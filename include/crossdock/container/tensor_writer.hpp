// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "crossdock/core/dtype.hpp"
#include "crossdock/core/shape.hpp"

namespace crossdock {

class OutputFile;
class Tensor;

/// A byte of a file that is being written.
struct FilePlace {
    const OutputFile* file = nullptr;  ///< null where it is in no file, or nobody knows in which
    std::uint64_t offset = 0;
    /// How many bytes of the tensor follow each other in the file from there on; no less than it has left where all do.
    std::uint64_t bytes = std::numeric_limits<std::uint64_t>::max();
};

/// The place of one tensor in a file that is being written. Each byte is written once; blocks come in any order and
/// from any thread.
class TensorSlot {
public:
    virtual ~TensorSlot() = default;

    /// Puts the bytes at `at` from the start of the tensor. Throws Error when the disk refuses.
    virtual void write(std::uint64_t at, std::span<const std::byte> bytes) = 0;

    /// Where the byte `at` of the tensor goes. Writers of one file wait for each other in the kernel, so whoever moves
    /// tensors wants to know.
    virtual FilePlace place(std::uint64_t /*at*/) const { return {}; }

    /// A tensor of the same shape that write() evaluates at the same elements, to be counted in when bands are chosen;
    /// null where there is none.
    virtual const Tensor* reads_beside() const { return nullptr; }
};

/// A part of another place, from its byte `begin` on.
class PartOfSlot final : public TensorSlot {
public:
    PartOfSlot(std::shared_ptr<TensorSlot> whole, std::uint64_t begin) : whole_(std::move(whole)), begin_(begin) {}

    void write(std::uint64_t at, std::span<const std::byte> bytes) override { whole_->write(begin_ + at, bytes); }
    FilePlace place(std::uint64_t at) const override { return whole_->place(begin_ + at); }

private:
    std::shared_ptr<TensorSlot> whole_;
    std::uint64_t begin_;
};

/// Places of equal size, one behind the other, as one.
class StackedSlots final : public TensorSlot {
public:
    StackedSlots(std::vector<std::shared_ptr<TensorSlot>> slots, std::uint64_t slot_bytes)
        : slots_(std::move(slots)),
          slot_bytes_(slot_bytes) {}

    void write(std::uint64_t at, std::span<const std::byte> bytes) override {
        while (!bytes.empty()) {
            const std::uint64_t begin = at % slot_bytes_;
            const std::size_t count =
                static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), slot_bytes_ - begin));
            slots_.at(at / slot_bytes_)->write(begin, bytes.first(count));
            at += count;
            bytes = bytes.subspan(count);
        }
    }

    FilePlace place(std::uint64_t at) const override {
        FilePlace place = slots_.at(at / slot_bytes_)->place(at % slot_bytes_);
        place.bytes = std::min(place.bytes, slot_bytes_ - at % slot_bytes_);
        return place;
    }

private:
    std::vector<std::shared_ptr<TensorSlot>> slots_;
    std::uint64_t slot_bytes_;
};

/// A container file that is being written: hands out places, and writes its index last. It is for one thread; its slots
/// are for any.
class TensorWriter {
public:
    virtual ~TensorWriter() = default;

    /// The place of a tensor of this name; null when another writer of the checkpoint has it. Throws Error when the name
    /// is taken, or when the disk refuses.
    virtual std::shared_ptr<TensorSlot> add(const std::string& name, DType dtype, const Shape& shape) = 0;

    /// Writes the index, and returns when everything is on the disk. Call it when all slots are filled: it throws Error
    /// when one is not, or when the disk refuses.
    virtual void finish() = 0;
};

}  // namespace crossdock
