// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <utility>

#include "crossdock/family/megatron/args.hpp"
#include "crossdock/protocol/header_fields.hpp"

namespace crossdock {

namespace detail {

inline constexpr std::array<std::pair<std::string_view, Activation>, 4> glu_activations{{
    {"swiglu", Activation::silu},
    {"geglu", Activation::gelu_erf},
    {"reglu", Activation::relu},
    {"liglu", Activation::linear},
}};

inline void read_glu_activation(const Json& value, ModelHeader& header) {
    header.mlp.gated = !value.is_null();
    if (!header.mlp.gated) return;
    const auto name = json_as<std::string>(value);
    for (const auto& [known, activation] : glu_activations)
        if (known == name) return void(header.mlp.activation = activation);
    throw Error(to_text("is '", name, "', expected swiglu, geglu, reglu, liglu or None"));
}

inline Json write_glu_activation(const ModelHeader& header) {
    if (!header.mlp.gated) return nullptr;
    for (const auto& [name, activation] : glu_activations)
        if (activation == header.mlp.activation) return name;
    return nullptr;
}

}  // namespace detail

/// Whether glu_activation, or the ungated gelu, says what the model computes.
inline bool megatron_llm_knows_activation(const ModelHeader& header) {
    if (!header.mlp.gated)
        return !header.mlp.activation || header.mlp.activation == Activation::gelu_erf ||
               header.mlp.activation == Activation::gelu_tanh;
    return !detail::write_glu_activation(header).is_null();
}

/// The args of epfLLM Megatron-LLM. What is absent has the default of its command line.
inline ConfigTable megatron_llm_args() {
    using namespace config;
    using H = ModelHeader;
    return join_lists(
        join_lists(detail::megatron_common_args(),
                   {{{"num_attention_heads_kv"},
                     nullptr,
                     [](const Json& value, H& h) {
                         h.attention.num_query_groups =
                             value.is_null() ? h.attention.num_attention_heads : detail::json_as<std::uint64_t>(value);
                     },
                     [](const H& h) { return Json(h.attention.num_query_groups); }},
                    {{"position_embedding_type"},
                     "absolute",
                     detail::read_positions,
                     [](const H& h) { return Json(h.positions == PositionKind::rope ? "rotary" : "absolute"); }},
                    {{"use_rms_norm"},
                     false,
                     [](const Json& value, H& h) { h.norm = detail::is_on(value) ? NormKind::rms : NormKind::layer; },
                     [](const H& h) { return Json(h.norm == NormKind::rms); }},
                    written("use_bias",
                            [](const H& h) {
                                return Json(h.attention.qkv_bias || h.attention.dense_bias || h.mlp.fc1_bias ||
                                            h.mlp.fc2_bias);
                            }),
                    entry({"parallel_attn"}, field::parallel_attention, false),
                    entry({"parallel_layernorm"}, field::parallel_norm, false),
                    entry({"use_post_ln"}, field::post_norm, false),
                    entry({"tie_embed_logits"}, field::tied_embeddings, true),
                    entry_or({"use_flash_attn"}, field::use_flash_attn, false),
                    entry_or({"lima_dropout"}, field::lima_dropout, false),
                    {{"glu_activation"}, nullptr, detail::read_glu_activation, detail::write_glu_activation},
                    {{"sliding_window_size"},
                     nullptr,
                     [](const Json& value, H& h) {
                         h.attention.sliding_window = value.is_null() ? 0 : detail::json_as<std::uint64_t>(value);
                     },
                     [](const H& h) {
                         return h.attention.sliding_window.value_or(0) ? Json(*h.attention.sliding_window)
                                                                       : Json(nullptr);
                     }},
                    entry({"layernorm_epsilon"}, field::norm_epsilon, 1e-5),
                    {{"rope_theta"},
                     1e4,
                     detail::read_positive(field::rope_theta),
                     [](const H& h) { return detail::json_of(h.attention.rope_theta); }},
                    {{"rope_scaling_factor"},
                     1.0,
                     detail::read_linear_scaling,
                     [](const H& h) { return Json(detail::linear_factor(h).value_or(1.0)); }},
                    fixed("bias_dropout_fusion", false),
                    fixed("use_distributed_optimizer", false)}),
        detail::gelu_args());
}

}  // namespace crossdock
