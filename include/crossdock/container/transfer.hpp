// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "crossdock/container/tensor_writer.hpp"
#include "crossdock/core/tensor.hpp"

namespace crossdock {

/// A tensor on its way to its place in a file. The name is for errors.
struct Transfer {
    Tensor tensor;
    std::shared_ptr<TensorSlot> slot;
    std::string name;
};

/// Whoever moves tensors to their places: all bytes of a conversion or a comparison pass here. One thread submits and
/// waits; the slots are written to from any thread. Wrap another one to count, digest or journal what moves, or to
/// share it among machines: put slots of your own around those of a group, then hand it on.
class Transfers {
public:
    Transfers() = default;
    Transfers(const Transfers&) = delete;
    Transfers& operator=(const Transfers&) = delete;
    virtual ~Transfers() = default;

    /// Takes tensors that are best moved side by side: parts of the same source tensors. May return before they have
    /// moved, and keeps their recipes and slots until then. Throws the error of an earlier group, or Cancelled.
    virtual void submit(std::vector<Transfer> group) = 0;

    /// Returns when all that was submitted has been written. Throws the first error otherwise; then, as when submit()
    /// throws, nothing is moved any more.
    virtual void wait() = 0;
};

}  // namespace crossdock
