// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "crossdock/container/tensor_writer.hpp"
#include "crossdock/container/transfer.hpp"
#include "crossdock/core/recipe.hpp"

namespace crossdock {

/// The bytes [begin, end) of a transfer, and what else of the elements at either end.
inline Transfer cut_transfer(const Transfer& whole, std::uint64_t begin, std::uint64_t end) {
    const Tensor& tensor = whole.tensor;
    if (begin == 0 && end == tensor.byte_count()) return whole;
    const std::size_t item = item_size(tensor.dtype());
    const std::uint64_t first = begin / item, last = (end + item - 1) / item;
    return {slice(reshape(tensor, Shape{tensor.element_count()}), 0, first, last),
            std::make_shared<PartOfSlot>(whole.slot, first * item), whole.name};
}

}  // namespace crossdock
