// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "crossdock/core/checked.hpp"
#include "crossdock/core/recipe.hpp"
#include "crossdock/core/tensor.hpp"

namespace crossdock {

/// What the rows of attention weights consist of.
struct HeadGeometry {
    std::uint64_t queries_per_group;  ///< query heads that share one key and one value head
    std::uint64_t head_rows;          ///< rows of one head: kv_channels

    /// Rows of one group: its query heads, its key head and its value head.
    std::uint64_t group_rows() const { return (queries_per_group + 2) * head_rows; }
};

/// A weight or bias as [blocks, rows of a block, columns]; a bias has one column. Throws Error when the rows do not
/// divide into that many blocks.
inline Tensor in_blocks(const Tensor& tensor, std::uint64_t blocks) {
    const std::uint64_t rows = tensor.shape()[0], columns = rows == 0 ? 1 : tensor.element_count() / rows;
    return reshape(tensor, Shape{blocks, checked_divide(rows, blocks, "rows"), columns});
}

/// The inverse of in_blocks(): all rows of `blocks`, with the extents of `like` after the first.
inline Tensor in_rows(const Tensor& blocks, const Shape& like) {
    return reshape(blocks, like.with(0, blocks.shape()[0] * blocks.shape()[1]));
}

}  // namespace crossdock
