// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "crossdock/layout/heads.hpp"

namespace crossdock {

// Megatron's checkpoint_version says how the q, k and v rows of n heads with d rows each stand on one rank:
//     0: [3, n, d]     1.0: [n, d, 3]     2.0 and later: [n, 3, d]
// (Megatron-LM, fix_query_key_value_ordering). Only multi-head attention existed before 2.0.

namespace detail {

/// Rows as blocks [a, b, rest], with a and b changing places.
inline Tensor swap_blocks(const Tensor& rows, Shape blocks, std::size_t axis) {
    return reshape(swap_axes(reshape(rows, std::move(blocks)), axis), rows.shape());
}
inline std::uint64_t heads_in(const Tensor& rows, std::uint64_t head_rows) {
    return checked_divide(rows.shape()[0], 3 * head_rows, "qkv rows");
}
inline std::uint64_t columns_of(const Tensor& rows) {
    return checked_divide(rows.element_count(), rows.shape()[0], "qkv");
}

}  // namespace detail

/// The rows of a version-0 tensor in the order of version 2.0.
/// Throws Error when they are not q, k and v of whole heads.
inline Tensor qkv_from_version_0(const Tensor& rows, std::uint64_t head_rows) {
    return detail::swap_blocks(rows, {3, detail::heads_in(rows, head_rows), head_rows * detail::columns_of(rows)}, 0);
}

/// The rows of a tensor of version 2.0 in the order of version 0.
inline Tensor qkv_to_version_0(const Tensor& rows, std::uint64_t head_rows) {
    return detail::swap_blocks(rows, {detail::heads_in(rows, head_rows), 3, head_rows * detail::columns_of(rows)}, 0);
}

/// The rows of a version-1.0 tensor in the order of version 2.0. Throws Error when they are not q, k and v of whole
/// heads.
inline Tensor qkv_from_version_1(const Tensor& rows, std::uint64_t head_rows) {
    return detail::swap_blocks(rows, {detail::heads_in(rows, head_rows), head_rows, 3, detail::columns_of(rows)}, 1);
}

/// The rows of a tensor of version 2.0 in the order of version 1.0.
inline Tensor qkv_to_version_1(const Tensor& rows, std::uint64_t head_rows) {
    return detail::swap_blocks(rows, {detail::heads_in(rows, head_rows), 3, head_rows, detail::columns_of(rows)}, 1);
}

}  // namespace crossdock
