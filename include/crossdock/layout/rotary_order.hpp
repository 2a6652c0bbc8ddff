// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>

#include "crossdock/layout/grouped_qkv.hpp"

namespace crossdock {

// The two elements that a rotary embedding rotates together are stored
//     in halves: rows i and i + d/2 of a head      (Hugging Face, Megatron-LM, Megatron-Core)
//     in pairs:  rows 2i and 2i + 1                (Meta, mistralai, Megatron-LLM)
// Only query and key heads are permuted, never values. Functions throw Error when the rows are not whole heads.

/// Heads of `head_rows` rows, halves → pairs.
inline Tensor halves_to_pairs(const Tensor& heads, std::uint64_t head_rows) {
    const std::uint64_t count = checked_divide(heads.shape()[0], head_rows, "rotary rows"),
                        half = checked_divide(head_rows, 2, "rows of a rotary head"),
                        columns = checked_divide(heads.element_count(), heads.shape()[0], "rotary");
    const Tensor halves = reshape(heads, Shape{count, 2, half, columns});
    return reshape(swap_axes(halves, 1), heads.shape());
}

/// Heads of `head_rows` rows, pairs → halves.
inline Tensor pairs_to_halves(const Tensor& heads, std::uint64_t head_rows) {
    const std::uint64_t count = checked_divide(heads.shape()[0], head_rows, "rotary rows"),
                        half = checked_divide(head_rows, 2, "rows of a rotary head"),
                        columns = checked_divide(heads.element_count(), heads.shape()[0], "rotary");
    const Tensor pairs = reshape(heads, Shape{count, half, 2, columns});
    return reshape(swap_axes(pairs, 1), heads.shape());
}

/// Reorders only the first `rotary_rows` rows of each head, which are those that rotate (partial rotary positions).
inline Tensor reordered_rotary_rows(const Tensor& heads, std::uint64_t head_rows, std::uint64_t rotary_rows,
                                    Tensor (*reorder)(const Tensor&, std::uint64_t)) {
    if (rotary_rows == head_rows) return reorder(heads, head_rows);
    const Tensor blocks = in_blocks(heads, heads.shape()[0] / head_rows);
    const Tensor turned = slice(blocks, 1, 0, rotary_rows), kept = slice(blocks, 1, rotary_rows, head_rows);
    const Tensor rows = reshape(turned, Shape{turned.shape()[0] * rotary_rows, turned.shape()[2]});
    const std::array parts{reshape(reorder(rows, rotary_rows), turned.shape()), kept};
    return in_rows(concatenate(parts, 1), heads.shape());
}

inline SeparateQkv halves_to_pairs(const SeparateQkv& parts, const HeadGeometry& heads) {
    return {halves_to_pairs(parts.query, heads.head_rows), halves_to_pairs(parts.key, heads.head_rows), parts.value};
}

inline SeparateQkv pairs_to_halves(const SeparateQkv& parts, const HeadGeometry& heads) {
    return {pairs_to_halves(parts.query, heads.head_rows), pairs_to_halves(parts.key, heads.head_rows), parts.value};
}

}  // namespace crossdock
