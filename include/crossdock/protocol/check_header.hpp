// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "crossdock/core/checked.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/text.hpp"
#include "crossdock/protocol/model_header.hpp"

namespace crossdock {

namespace detail {

inline void require_size(std::uint64_t value, std::string_view name) {
    if (value == 0) throw Error(to_text(name, " is missing or 0"));
}

/// Where it is stated: one would divide by it, take its root or its powers.
inline void require_above_zero(const std::optional<double>& value, std::string_view name) {
    if (!value || *value > 0) return;
    std::array<char, 32> text{};
    const char* const end = std::to_chars(text.data(), text.data() + text.size(), *value).ptr;
    throw Error(to_text(name, " is ", std::string_view(text.data(), static_cast<std::size_t>(end - text.data())),
                        ", expected a number above 0"));
}

/// Heads are those of keys and values alike, and their size in kv_channels is that of values.
inline void check_latents(const Attention& attention, const ModelHeader& header) {
    const LatentAttention& latent = attention.latent;
    const std::uint64_t heads = attention.num_attention_heads;
    require_size(latent.qk_head_dim, "qk_head_dim");
    require_size(latent.qk_pos_emb_head_dim, "qk_pos_emb_head_dim");
    require_size(latent.v_head_dim, "v_head_dim");
    if (latent.qk_pos_emb_head_dim % 2 != 0)
        throw Error(to_text("qk_pos_emb_head_dim is ", latent.qk_pos_emb_head_dim,
                            ", expected an even one: rotary positions turn elements in pairs"));
    if (attention.kv_channels != latent.v_head_dim)
        throw Error(
            to_text("the head size is ", attention.kv_channels, ", expected v_head_dim, which is ", latent.v_head_dim));
    if (attention.num_query_groups != heads)
        throw Error(to_text("latent attention has ", attention.num_query_groups, " key/value heads, expected ", heads,
                            ", as many as there are attention heads"));
    const std::uint64_t turned = latent.qk_pos_emb_head_dim;
    const std::uint64_t queries =
        checked_multiply(heads, checked_add(latent.qk_head_dim, turned, "rows of a query"), "rows of queries");
    const std::uint64_t up =
        checked_multiply(heads, checked_add(latent.qk_head_dim, latent.v_head_dim, "rows of a key"), "rows of keys");
    checked_multiply(queries, checked_add(latent.q_lora_rank, header.hidden_size, "queries"), "queries");
    checked_multiply(up, latent.kv_lora_rank, "keys and values");
    checked_multiply(latent.q_lora_rank, header.hidden_size, "latents of queries");
    checked_multiply(checked_add(latent.kv_lora_rank, turned, "latents"), header.hidden_size, "latents");
}

inline void check_attention(const Attention& attention, const ModelHeader& header) {
    require_size(attention.num_attention_heads, "the number of attention heads");
    require_size(attention.num_query_groups, "the number of key/value heads");
    require_size(attention.kv_channels, "the head size");
    if (attention.num_attention_heads % attention.num_query_groups != 0)
        throw Error(to_text(attention.num_attention_heads, " attention heads do not divide into ",
                            attention.num_query_groups, " key/value heads"));
    require_above_zero(attention.rope_theta, "the base of rotary positions");
    if (attention.rope_scaling) require_above_zero(attention.rope_scaling->factor, "the factor of the rotary scaling");
    if (is_latent(attention)) check_latents(attention, header);
    if (!is_latent(attention) && header.positions == PositionKind::rope && attention.kv_channels % 2 != 0)
        throw Error(to_text("the head size is ", attention.kv_channels,
                            ", expected an even one: rotary positions turn elements in pairs"));
    const std::uint64_t heads =
        checked_add(attention.num_attention_heads, checked_multiply(2, attention.num_query_groups, "heads"), "heads");
    checked_multiply(checked_multiply(heads, attention.kv_channels, "attention rows"), header.hidden_size, "attention");
}

inline void check_mlp(const Mlp& mlp, const ModelHeader& header) {
    checked_multiply(checked_multiply(mlp.ffn_hidden_size, 2, "MLP rows"), header.hidden_size, "MLP");
    if (!has_experts(mlp)) return;
    const Experts& experts = mlp.experts;
    require_size(experts.ffn_hidden_size, "the MLP size of an expert");
    require_size(experts.router_topk, "the number of experts for each token");
    if (experts.router_topk > experts.num_experts)
        throw Error(to_text("each token has ", experts.router_topk, " experts of ", experts.num_experts));
    if (experts.num_groups > 0 && (experts.num_experts % experts.num_groups != 0 || experts.group_topk == 0 ||
                                   experts.group_topk > experts.num_groups))
        throw Error(to_text(experts.num_experts, " experts in ", experts.num_groups,
                            " groups, of which each token has ", experts.group_topk, ", cannot be"));
    const std::uint64_t rows = checked_multiply(
        experts.num_experts, checked_multiply(2, experts.ffn_hidden_size, "rows of experts"), "rows of experts");
    checked_multiply(rows, header.hidden_size, "experts");
    checked_multiply(checked_multiply(experts.shared_ffn_hidden_size, 2, "shared expert"), header.hidden_size,
                     "shared expert");
}

}  // namespace detail

/// Throws Error where sizes are missing, contradict each other or overflow, so that shapes and layouts may be computed from
/// all others; and where a number that has to be positive is not.
inline void check_header(const ModelHeader& header) {
    detail::require_size(header.num_layers, "the number of layers");
    detail::require_size(header.hidden_size, "the hidden size");
    detail::require_above_zero(header.norm_epsilon, "the epsilon of norms");
    checked_add(header.num_layers, header.mtp_num_layers, "layers");
    checked_multiply(checked_multiply(header.hidden_size, 2, "MTP projection"), header.hidden_size, "MTP projection");
    detail::check_attention(header.attention, header);
    detail::check_mlp(header.mlp, header);
    for (const auto& other : header.other_layers) {
        const std::uint64_t layer = other.first;
        if (layer >= all_layers(header))
            throw Error(to_text("layer ", layer, " is said to differ, there are only ", all_layers(header)));
        in_context(to_text("layer ", layer), [&] {
            detail::check_attention(attention_of(header, layer), header);
            detail::check_mlp(mlp_of(header, layer), header);
        });
    }
    checked_multiply(header.vocab_rows, header.hidden_size, "vocabulary");
    checked_multiply(header.max_position_embeddings.value_or(0), header.hidden_size, "position embeddings");
    checked_multiply(header.num_token_types, header.hidden_size, "token type embeddings");
    checked_multiply(header.hidden_size, header.hidden_size, "heads of a BERT");
}

}  // namespace crossdock
