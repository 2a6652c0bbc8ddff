// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "crossdock/core/dtype.hpp"
#include "crossdock/core/shape.hpp"

namespace crossdock {

/// The place of one tensor in a file that is being written. Each byte is written once; blocks come in any order and
/// from any thread.
class TensorSlot {
public:
    virtual ~TensorSlot() = default;

    /// Puts the bytes at `at` from the tensor's begin. Throws Error where the disk refuses.
    virtual void write(std::uint64_t at, std::span<const std::byte> bytes) = 0;
};

/// A part of another place, from its byte `begin` on.
class PartOfSlot final : public TensorSlot {
public:
    PartOfSlot(std::shared_ptr<TensorSlot> whole, std::uint64_t begin) : whole_(std::move(whole)), begin_(begin) {}

    void write(std::uint64_t at, std::span<const std::byte> bytes) override { whole_->write(begin_ + at, bytes); }

private:
    std::shared_ptr<TensorSlot> whole_;
    std::uint64_t begin_;
};

/// A container being written: hands out places, and writes its index last. Used from one thread; the slots are not
/// bound to it.
class TensorWriter {
public:
    virtual ~TensorWriter() = default;

    /// Throws Error when the name is taken.
    virtual std::shared_ptr<TensorSlot> add(const std::string& name, DType dtype, const Shape& shape) = 0;

    /// Writes the index and flushes; all slots are filled by then.
    virtual void finish() = 0;
};

}  // namespace crossdock
