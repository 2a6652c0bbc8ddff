// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "crossdock/layout/grouped_qkv.hpp"
#include "crossdock/layout/rotary_order.hpp"
#include "crossdock/protocol/model_header.hpp"

namespace crossdock {

using Parts = std::vector<Tensor>;

/// A reversible way from the tensors of a message to those that a format stores: split(join(parts)) == parts. Works on
/// whole tensors and on one rank's shards alike. `layer` is the layer's number in the model; 0 outside of layers.
struct Arrangement {
    Parts (*join)(Parts stored, const ModelHeader&, std::uint64_t layer);   ///< stored tensors → message fields
    Parts (*split)(Parts fields, const ModelHeader&, std::uint64_t layer);  ///< message fields → stored tensors
    /// join() for one rank's shards, where their shapes do not tell how much of the fields they hold: `like` are the
    /// fields as they must be, without content. Null: join() does for shards, too.
    Parts (*join_shards)(Parts stored, const Parts& like) = nullptr;
};

namespace detail {

using Index = std::uint64_t;

inline HeadGeometry heads_of(const ModelHeader& header, Index layer) {
    const Attention& attention = attention_of(header, layer);
    return {checked_divide(attention.num_attention_heads, attention.num_query_groups, "attention heads"),
            attention.kv_channels};
}
inline SeparateQkv as_qkv(const Parts& parts) { return {parts[0], parts[1], parts[2]}; }
inline Parts as_parts(const SeparateQkv& qkv) { return {qkv.query, qkv.key, qkv.value}; }
inline Parts same(Parts parts, const ModelHeader&, Index) { return parts; }

/// Two tensors of equal shape, the first on top of the second.
inline Tensor stacked(const Tensor& top, const Tensor& bottom) { return concatenate(std::vector{top, bottom}, 0); }
inline std::pair<Tensor, Tensor> unstacked(const Tensor& both) {
    const std::uint64_t half = checked_divide(both.shape()[0], 2, "rows of gate and up");
    return {slice(both, 0, 0, half), slice(both, 0, half, 2 * half)};
}

/// Gate and up of all experts of a rank, `like` [experts, rows, hidden] each.
inline Parts join_grouped_fc1(Parts stored, const Parts& like) {
    const std::uint64_t experts = like[0].shape()[0], rows = like[0].shape()[1], hidden = like[0].shape()[2];
    const Tensor both = swap_axes(reshape(stored[0], Shape{experts, hidden, 2 * rows}), 1);
    return {slice(both, 1, 0, rows), slice(both, 1, rows, 2 * rows)};
}
/// fc2 of all experts of a rank, `like` [experts, hidden, rows].
inline Parts join_grouped_fc2(Parts stored, const Parts& like) {
    const Shape& shape = like[0].shape();
    return {swap_axes(reshape(stored[0], Shape{shape[0], shape[2], shape[1]}), 1)};
}

/// q, k and v rows one below the other: as many of k and of v as there are key/value heads.
inline SeparateQkv unstacked_qkv(const Tensor& rows, const HeadGeometry& heads) {
    const std::uint64_t key = checked_divide(rows.shape()[0], heads.queries_per_group + 2, "rows of q, k and v");
    const std::uint64_t query = heads.queries_per_group * key;
    return {slice(rows, 0, 0, query), slice(rows, 0, query, query + key), slice(rows, 0, query + key, query + 2 * key)};
}

}  // namespace detail

/// The stored tensor is the message's.
inline constexpr Arrangement as_is{detail::same, detail::same};

/// q, k and v apart, rotary rows in halves (Hugging Face).
inline constexpr Arrangement separate_qkv{
    [](Parts stored, const ModelHeader& h, std::uint64_t layer) -> Parts {
        return {group_qkv(detail::as_qkv(stored), detail::heads_of(h, layer))};
    },
    [](Parts fields, const ModelHeader& h, std::uint64_t layer) -> Parts {
        return detail::as_parts(ungroup_qkv(fields[0], detail::heads_of(h, layer)));
    }};

/// q, k and v apart, rotary rows in pairs (Meta, mistralai).
inline constexpr Arrangement separate_qkv_pairs{
    [](Parts stored, const ModelHeader& h, std::uint64_t layer) -> Parts {
        const HeadGeometry heads = detail::heads_of(h, layer);
        return {group_qkv(pairs_to_halves(detail::as_qkv(stored), heads), heads)};
    },
    [](Parts fields, const ModelHeader& h, std::uint64_t layer) -> Parts {
        const HeadGeometry heads = detail::heads_of(h, layer);
        return detail::as_parts(halves_to_pairs(ungroup_qkv(fields[0], heads), heads));
    }};

/// Grouped as in the message, rotary rows in pairs where the model has rotary positions (Megatron-LLM).
inline constexpr Arrangement grouped_qkv_pairs{
    [](Parts stored, const ModelHeader& h, std::uint64_t layer) -> Parts {
        if (h.positions != PositionKind::rope) return stored;
        const HeadGeometry heads = detail::heads_of(h, layer);
        return {group_qkv(pairs_to_halves(ungroup_qkv(stored[0], heads), heads), heads)};
    },
    [](Parts fields, const ModelHeader& h, std::uint64_t layer) -> Parts {
        if (h.positions != PositionKind::rope) return fields;
        const HeadGeometry heads = detail::heads_of(h, layer);
        return {group_qkv(halves_to_pairs(ungroup_qkv(fields[0], heads), heads), heads)};
    }};

/// gate and up in one tensor, gate on top (Megatron-LM, Megatron-Core).
inline constexpr Arrangement gate_over_up{
    [](Parts stored, const ModelHeader&, std::uint64_t) -> Parts {
        auto [gate, up] = detail::unstacked(stored[0]);
        return {gate, up};
    },
    [](Parts fields, const ModelHeader&, std::uint64_t) -> Parts { return {detail::stacked(fields[0], fields[1])}; }};

/// gate and up in one tensor, up on top (Megatron-LLM).
inline constexpr Arrangement up_over_gate{
    [](Parts stored, const ModelHeader&, std::uint64_t) -> Parts {
        auto [up, gate] = detail::unstacked(stored[0]);
        return {gate, up};
    },
    [](Parts fields, const ModelHeader&, std::uint64_t) -> Parts { return {detail::stacked(fields[1], fields[0])}; }};

/// The experts of a rank in one matrix, each by itself as [in, out] (Megatron-Core's GroupedMLP): the shape
/// [hidden, experts × 2 · rows] says nothing of that order, in which the experts lie one behind the other.
inline constexpr Arrangement grouped_experts_fc1{
    [](Parts stored, const ModelHeader& h, std::uint64_t layer) -> Parts {
        const Experts& experts = mlp_of(h, layer).experts;
        const Tensor like(stored[0].dtype(), {experts.num_experts, experts.ffn_hidden_size, h.hidden_size}, nullptr);
        return detail::join_grouped_fc1(std::move(stored), {like, like});
    },
    [](Parts fields, const ModelHeader&, std::uint64_t) -> Parts {
        const Tensor both = swap_axes(concatenate(fields, 1), 1);  // [experts, hidden, gate and up]
        return {reshape(both, Shape{both.shape()[1], both.shape()[0] * both.shape()[2]})};
    },
    detail::join_grouped_fc1};
inline constexpr Arrangement grouped_experts_fc2{
    [](Parts stored, const ModelHeader& h, std::uint64_t layer) -> Parts {
        const Experts& experts = mlp_of(h, layer).experts;
        const Tensor like(stored[0].dtype(), {experts.num_experts, h.hidden_size, experts.ffn_hidden_size}, nullptr);
        return detail::join_grouped_fc2(std::move(stored), {like});
    },
    [](Parts fields, const ModelHeader&, std::uint64_t) -> Parts {
        const Tensor rows = swap_axes(fields[0], 1);  // [experts, rows, hidden]
        return {reshape(rows, Shape{rows.shape()[0] * rows.shape()[1], rows.shape()[2]})};
    },
    detail::join_grouped_fc2};

/// Stored as [in, out] (GPT-2's Conv1D).
inline constexpr Arrangement transposed{
    [](Parts stored, const ModelHeader&, std::uint64_t) -> Parts { return {transpose(stored[0])}; },
    [](Parts fields, const ModelHeader&, std::uint64_t) -> Parts { return {transpose(fields[0])}; }};

/// All q rows, then all k rows, then all v rows, in one tensor, grouped or not (GPT-2, Phi-3).
inline constexpr Arrangement stacked_qkv{
    [](Parts stored, const ModelHeader& h, std::uint64_t layer) -> Parts {
        const HeadGeometry heads = detail::heads_of(h, layer);
        return {group_qkv(detail::unstacked_qkv(stored[0], heads), heads)};
    },
    [](Parts fields, const ModelHeader& h, std::uint64_t layer) -> Parts {
        return {concatenate(detail::as_parts(ungroup_qkv(fields[0], detail::heads_of(h, layer))), 0)};
    }};

/// stacked_qkv as [in, out] (GPT-2's c_attn).
inline constexpr Arrangement stacked_qkv_transposed{
    [](Parts stored, const ModelHeader& h, std::uint64_t layer) -> Parts {
        return stacked_qkv.join({transpose(stored[0])}, h, layer);
    },
    [](Parts fields, const ModelHeader& h, std::uint64_t layer) -> Parts {
        return {transpose(stacked_qkv.split(std::move(fields), h, layer)[0])};
    }};

}  // namespace crossdock
