// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>

#include "crossdock/layout/heads.hpp"

namespace crossdock {

/// Query, key and value weights [heads · head_rows, columns], or biases [heads · head_rows], each with its heads in
/// order.
struct SeparateQkv {
    Tensor query, key, value;
};

/// q, k, v → one tensor with the rows of each group together:
///     q rows of group 0 | k of group 0 | v of group 0 | q rows of group 1 | …
/// Multi-head attention has one query head per group, multi-query attention a single group. Throws Error when the rows
/// are not those of whole groups.
inline Tensor group_qkv(const SeparateQkv& parts, const HeadGeometry& heads) {
    const std::uint64_t groups = checked_divide(parts.key.shape()[0], heads.head_rows, "key rows");
    const std::array blocks{in_blocks(parts.query, groups), in_blocks(parts.key, groups),
                            in_blocks(parts.value, groups)};
    return in_rows(concatenate(blocks, 1), parts.query.shape());
}

/// The inverse of group_qkv(). Throws Error when the rows are not those of whole groups.
inline SeparateQkv ungroup_qkv(const Tensor& grouped, const HeadGeometry& heads) {
    const Tensor blocks = in_blocks(grouped, checked_divide(grouped.shape()[0], heads.group_rows(), "qkv rows"));
    const std::uint64_t query = heads.queries_per_group * heads.head_rows, key = query + heads.head_rows;
    const auto part = [&](std::uint64_t begin, std::uint64_t end) {
        return in_rows(slice(blocks, 1, begin, end), grouped.shape());
    };
    return {part(0, query), part(query, key), part(key, key + heads.head_rows)};
}

}  // namespace crossdock
