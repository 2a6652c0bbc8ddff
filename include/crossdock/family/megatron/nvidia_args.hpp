// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "crossdock/family/megatron/args.hpp"
#include "crossdock/family/megatron/expert_args.hpp"
#include "crossdock/family/megatron/gemma_args.hpp"
#include "crossdock/family/megatron/latent_args.hpp"
#include "crossdock/protocol/header_fields.hpp"
#include "crossdock/protocol/layer_windows.hpp"

namespace crossdock {

namespace detail {

inline bool has_llama3_scaling(const ModelHeader& header) {
    return header.attention.rope_scaling && header.attention.rope_scaling->type == "llama3";
}

/// use_rope_scaling is Llama 3's scaling, with constants that Megatron-Core fixes (0.16.1, rotary_pos_embedding.py).
inline RopeScaling megatron_llama3_scaling() {
    RopeScaling scaling;
    scaling.type = "llama3";
    scaling.factor = 8.0;
    scaling.low_freq_factor = 1.0;
    scaling.high_freq_factor = 4.0;
    scaling.original_max_position_embeddings = 8192;
    return scaling;
}

/// Off, it says nothing of the scalings that Megatron has no option for; crossdock.json may.
inline void read_rope_scaling_switch(const Json& value, ModelHeader& header) {
    if (value.is_null()) return;
    const bool is_stated = has_llama3_scaling(header);
    if (is_on(value) && !is_stated) header.attention.rope_scaling = megatron_llama3_scaling();
    if (!is_on(value) && (is_stated || !header.attention.rope_scaling)) header.attention.rope_scaling = RopeScaling{};
}

/// Means nothing without use_rope_scaling.
inline void read_rope_scaling_factor(const Json& value, ModelHeader& header) {
    if (value.is_null()) return;
    const auto factor = json_as<double>(value);
    if (!has_llama3_scaling(header)) return;
    if (!(factor > 0)) throw Error(to_text("is ", json_shown(value), ", expected a number above 0"));
    header.attention.rope_scaling->factor = factor;
}

inline void read_normalization(const Json& value, ModelHeader& header) {
    if (value.is_null()) return;
    const auto name = json_as<std::string>(value);
    if (name != "RMSNorm" && name != "LayerNorm")
        throw Error(to_text("is '", name, "', expected LayerNorm or RMSNorm"));
    header.norm = name == "RMSNorm" ? NormKind::rms : NormKind::layer;
}

/// (tokens to the left of the token itself, 0); (-1, -1) and (-1, 0) are no window. other_args.hpp has others. One number
/// is Megatron-Bridge's for Gemma 3, and counts the token itself.
inline void read_window(const Json& value, ModelHeader& header) {
    if (value.is_null()) return void(header.attention.sliding_window = 0);
    if (value.is_number_integer()) return void(header.attention.sliding_window = json_as<std::uint64_t>(value));
    const bool is_pair = value.is_array() && value.size() == 2 && value[0].is_number_integer();
    if (!is_pair) throw Error(to_text("is ", json_shown(value), ", expected two whole numbers or None"));
    const auto left = value[0].get<std::int64_t>();
    header.attention.sliding_window = left < 0 ? 0 : static_cast<std::uint64_t>(left) + 1;
}

inline ConfigTable megatron_lm_rope_args() {
    using namespace config;
    using H = ModelHeader;
    return {
        {{"position_embedding_type"},
         nullptr,
         read_positions,
         [](const H& h) {
             if (h.positions == PositionKind::rope) return Json("rope");
             return Json(h.positions == PositionKind::learned ? "learned_absolute" : "none");
         }},
        fixed("add_position_embedding", true),
        // Before position_embedding_type there was only this switch; since, it sets the type.
        {{"use_rotary_position_embeddings"},
         nullptr,
         [](const Json& value, H& h) {
             if (is_on(value)) h.positions = PositionKind::rope;
         },
         [](const H& h) { return Json(h.positions == PositionKind::rope); }},
        {{"rotary_base"},
         10000,
         read_positive(field::rope_theta),
         [](const H& h) { return number(full_attention(h).rope_theta.value_or(10000.0)); }},
        {{"rotary_percent"},
         1.0,
         read_positive(field::rotary_percent),
         [](const H& h) { return Json(h.attention.rotary_percent.value_or(1.0)); }},
        {{"use_rope_scaling"},
         nullptr,
         read_rope_scaling_switch,
         [](const H& h) { return Json(has_llama3_scaling(h)); }},
        {{"rope_scaling_factor"},
         nullptr,
         read_rope_scaling_factor,
         [](const H& h) { return Json(has_llama3_scaling(h) ? h.attention.rope_scaling->factor.value_or(8.0) : 8.0); }},
        {{"rotary_seq_len_interpolation_factor"},
         nullptr,
         [](const Json& value, H& h) {
             if (!has_llama3_scaling(h)) read_linear_scaling(value, h);
         },
         [](const H& h) {
             const auto factor = is_gemma_3(h) ? std::nullopt : linear_factor(h);
             return factor ? number(*factor) : Json(nullptr);
         }}};
}

inline ConfigTable megatron_lm_mlp_args(bool is_core) {
    using H = ModelHeader;
    ConfigTable table{{{"swiglu"},
                       false,
                       [](const Json& value, H& h) {
                           h.mlp.gated = is_on(value);
                           if (h.mlp.gated) h.mlp.activation = Activation::silu;
                       },
                       [](const H& h) { return Json(h.mlp.gated && h.mlp.activation == Activation::silu); }},
                      {{"squared_relu"},
                       nullptr,
                       [](const Json& value, H& h) {
                           if (is_on(value)) h.mlp.activation = Activation::squared_relu;
                       },
                       [](const H& h) { return Json(!h.mlp.gated && h.mlp.activation == Activation::squared_relu); }}};
    if (is_core)
        table.push_back({{"quick_geglu"},
                         nullptr,
                         [](const Json& value, H& h) {
                             if (!is_on(value)) return;
                             h.mlp.gated = true;
                             h.mlp.activation = Activation::quick_gelu;
                         },
                         [](const H& h) { return Json(h.mlp.gated && h.mlp.activation == Activation::quick_gelu); }});
    return join_lists(std::move(table), gelu_args(!is_core));
}

inline ConfigTable megatron_lm_norm_args() {
    using namespace config;
    using H = ModelHeader;
    const auto zero_centered = [](const Json& value, H& h) {
        if (!value.is_null()) h.norm_zero_centered = is_on(value);
    };
    const auto write_zero_centered = [](const H& h) { return Json(h.norm_zero_centered.value_or(false)); };
    return {{{"normalization"},
             "LayerNorm",
             read_normalization,
             [](const H& h) { return Json(h.norm == NormKind::rms ? "RMSNorm" : "LayerNorm"); }},
            {{"norm_epsilon", "layernorm_epsilon"},
             1e-5,
             read_positive(field::norm_epsilon),
             [](const H& h) { return json_of(h.norm_epsilon); }},
            written("layernorm_epsilon", [](const H& h) { return or_null(h.norm_epsilon); }),
            {{"apply_layernorm_1p"}, nullptr, zero_centered, write_zero_centered},
            {{"layernorm_zero_centered_gamma"}, nullptr, zero_centered, write_zero_centered}};
}

inline ConfigTable megatron_lm_attention_args() {
    using namespace config;
    using H = ModelHeader;
    return {entry({"num_query_groups"}, field::num_query_groups),
            // num_query_groups is 1 by default and means nothing where group_query_attention is false.
            {{"group_query_attention"},
             false,
             [](const Json& value, H& h) {
                 if (!is_on(value)) h.attention.num_query_groups = h.attention.num_attention_heads;
             },
             [](const H& h) { return Json(h.attention.num_query_groups != h.attention.num_attention_heads); }},
            written("add_bias_linear",
                    [](const H& h) { return Json(h.attention.dense_bias || h.mlp.fc1_bias || h.mlp.fc2_bias); }),
            written("add_qkv_bias", [](const H& h) { return Json(h.attention.qkv_bias); }),
            {{"untie_embeddings_and_output_weights"},
             false,
             [](const Json& value, H& h) { h.tied_embeddings = !is_on(value); },
             [](const H& h) { return Json(!h.tied_embeddings); }},
            fixed("apply_query_key_layer_scaling", false),
            {{"window_size"}, nullptr, read_window, [](const H& h) {
                 const std::uint64_t window = window_of(h);
                 return window ? Json::array({window - 1, 0}) : Json(nullptr);
             }}};
}

/// What the header does not say of the rank files themselves.
inline ConfigTable megatron_lm_file_args(std::string_view transformer_impl) {
    using namespace config;
    return {fixed("expert_model_parallel_size", 1),
            fixed("transformer_impl", transformer_impl),
            fixed("ckpt_format", "torch"),
            fixed("no_save_optim", true),
            fixed("no_save_rng", true),
            fixed("ckpt_fully_parallel_save", false),
            fixed("use_distributed_optimizer", false)};
}

/// What both of NVIDIA's model codes read. Either spelling of a renamed argument is read and both are written.
inline ConfigTable megatron_nvidia_args(std::string_view transformer_impl, bool is_core) {
    using namespace config;
    return join_lists(megatron_common_args(), megatron_lm_attention_args(), megatron_lm_rope_args(),
                      megatron_lm_mlp_args(is_core), megatron_lm_norm_args(), megatron_lm_file_args(transformer_impl),
                      ConfigTable{written("vocab_size", [](const ModelHeader& h) {
                          const std::uint64_t end = h.training.tokenizer_type == "NullTokenizer" ? 1 : 0;
                          return h.true_vocab_size ? Json(*h.true_vocab_size - end) : Json(nullptr);
                      })});
}

}  // namespace detail

/// The args of NVIDIA Megatron-LM for its own model code, which knows rotary rows in halves only.
inline ConfigTable megatron_lm_args() {
    using namespace config;
    return join_lists(detail::megatron_nvidia_args("local", false),
                      {fixed("num_experts", nullptr), fixed("rotary_interleaved", false)});
}

/// The args of NVIDIA Megatron-LM for Megatron-Core.
inline ConfigTable megatron_core_args(std::string_view transformer_impl) {
    using namespace config;
    return join_lists(
        detail::megatron_nvidia_args(transformer_impl, true), detail::megatron_expert_args(),
        detail::megatron_latent_args(), detail::megatron_gemma_args(),
        ConfigTable{
            entry_or({"rotary_interleaved"}, field::rotary_interleaved, false),
            written("mtp_num_layers",
                    [](const ModelHeader& h) { return h.mtp_num_layers > 0 ? Json(h.mtp_num_layers) : Json(nullptr); }),
            written("qk_layernorm",
                    [](const ModelHeader& h) { return Json(h.attention.qk_norm || is_latent(h.attention)); })});
}

}  // namespace crossdock
