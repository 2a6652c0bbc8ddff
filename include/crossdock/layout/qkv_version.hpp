// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "crossdock/layout/heads.hpp"

namespace crossdock {

// Megatron's checkpoint_version says how the q, k and v rows of n heads with d rows each stand on one rank:
//     0: [3, n, d]     1.0: [n, d, 3]     2.0 and later: [n, 3, d]
// (Megatron-LM, fix_query_key_value_ordering). Only multi-head attention existed before 2.0.

/// The rows of a version-0 tensor in the order of version 2.0. Throws Error when they are not q, k and v of whole
/// heads.
inline Tensor qkv_from_version_0(const Tensor& rows, std::uint64_t head_rows) {
    const std::uint64_t heads = checked_divide(rows.shape()[0], 3 * head_rows, "qkv rows"),
                        columns = checked_divide(rows.element_count(), rows.shape()[0], "qkv");
    const Tensor blocks = reshape(rows, Shape{3, heads, head_rows * columns});
    return reshape(swap_axes(blocks, 0), rows.shape());
}

/// The rows of a version-1.0 tensor in the order of version 2.0. Throws Error when they are not q, k and v of whole
/// heads.
inline Tensor qkv_from_version_1(const Tensor& rows, std::uint64_t head_rows) {
    const std::uint64_t heads = checked_divide(rows.shape()[0], 3 * head_rows, "qkv rows"),
                        columns = checked_divide(rows.element_count(), rows.shape()[0], "qkv");
    const Tensor blocks = reshape(rows, Shape{heads, head_rows, 3, columns});
    return reshape(swap_axes(blocks, 1), rows.shape());
}

}  // namespace crossdock
