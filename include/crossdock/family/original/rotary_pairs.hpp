// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "crossdock/container/json.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/family/arrangement.hpp"

namespace crossdock {

namespace detail {

/// The rows of a head that rotary positions turn, as Megatron counts them.
inline std::uint64_t rotary_rows(const Attention& attention) {
    const double percent = attention.rotary_percent.value_or(1.0);
    if (!(percent > 0 && percent <= 1))
        throw Error(to_text("rotary_percent is ", Json(percent).dump(), ", expected a number above 0 and not above 1"));
    const auto rows = percent < 1 ? static_cast<std::uint64_t>(static_cast<double>(attention.kv_channels) * percent)
                                  : attention.kv_channels;
    if (rows % 2 != 0)
        throw Error(to_text("rotary_percent ", Json(percent).dump(), " turns ", rows, " rows of a head of ",
                            attention.kv_channels,
                            ", expected an even number: rotary positions turn elements in pairs"));
    return rows;
}

inline bool has_pairs(const Attention& attention, const ModelHeader& header) {
    return attention.rotary_interleaved.value_or(false) && header.positions == PositionKind::rope;
}

inline Parts reordered_qkv(const Parts& grouped, const ModelHeader& header, std::uint64_t layer,
                           Tensor (*reorder)(const Tensor&, std::uint64_t)) {
    const Attention& attention = attention_of(header, layer);
    if (!has_pairs(attention, header)) return grouped;
    const HeadGeometry heads = heads_of(header, layer);
    const std::uint64_t rows = rotary_rows(attention);
    if (grouped[0].shape()[0] % heads.group_rows() != 0)
        throw Error(
            "there are more tensor-parallel ranks than key/value heads, and rotary_interleaved asks for another order "
            "of "
            "a head's rows, which cannot be made on a part of them");
    SeparateQkv parts = ungroup_qkv(grouped[0], heads);
    parts.query = reordered_rotary_rows(parts.query, heads.head_rows, rows, reorder);
    parts.key = reordered_rotary_rows(parts.key, heads.head_rows, rows, reorder);
    return {group_qkv(parts, heads)};
}

/// The weights of a norm over a head stand in the order of its rows.
inline Parts reordered_head_norm(const Parts& norm, const ModelHeader& header, std::uint64_t layer,
                                 Tensor (*reorder)(const Tensor&, std::uint64_t)) {
    const Attention& attention = attention_of(header, layer);
    if (!has_pairs(attention, header)) return norm;
    return {reordered_rotary_rows(norm[0], attention.kv_channels, rotary_rows(attention), reorder)};
}

}  // namespace detail

/// Grouped as in the message; rotary rows in pairs where rotary_interleaved says so, else in halves (Megatron-Core).
inline constexpr Arrangement grouped_qkv_as_flagged{
    [](Parts stored, const ModelHeader& h, std::uint64_t layer) -> Parts {
        return detail::reordered_qkv(stored, h, layer, pairs_to_halves);
    },
    [](Parts fields, const ModelHeader& h, std::uint64_t layer) -> Parts {
        return detail::reordered_qkv(fields, h, layer, halves_to_pairs);
    }};

/// The norm of queries or keys, in the same order.
inline constexpr Arrangement head_norm_as_flagged{
    [](Parts stored, const ModelHeader& h, std::uint64_t layer) -> Parts {
        return detail::reordered_head_norm(stored, h, layer, pairs_to_halves);
    },
    [](Parts fields, const ModelHeader& h, std::uint64_t layer) -> Parts {
        return detail::reordered_head_norm(fields, h, layer, halves_to_pairs);
    }};

}  // namespace crossdock
