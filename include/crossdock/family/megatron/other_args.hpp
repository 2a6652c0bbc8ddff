// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "crossdock/core/join_lists.hpp"
#include "crossdock/family/config_table.hpp"

namespace crossdock {

/// One of Megatron's arguments that changes what the same tensors compute and that no field of the header says.
struct OtherArgument {
    std::string_view name;
    std::string_view meaning;  ///< what a value that is not neutral does
    /// Whether the value leaves the model as the header says it is.
    bool (*is_neutral)(const Json& value, const Json& args, const ModelHeader& header);
};

namespace detail {

inline const Json& argument(const Json& args, std::string_view name) {
    static const Json none;
    const auto found = args.find(std::string(name));
    return found == args.end() ? none : *found;
}

inline bool is_number(const Json& value, double number) { return value.is_number() && value.get<double>() == number; }

inline bool is_text(const Json& value, std::initializer_list<std::string_view> names) {
    if (!value.is_string()) return false;
    const auto& text = value.get_ref<const std::string&>();
    return std::any_of(names.begin(), names.end(), [&](std::string_view name) { return name == text; });
}

/// None, False, 0, "" and empty lists; lists of nothing else.
inline bool is_off(const Json& value) {
    if (value.is_null() || is_number(value, 0)) return true;
    if (value.is_boolean()) return !value.get<bool>();
    if (value.is_array()) return std::all_of(value.begin(), value.end(), [](const Json& item) { return is_off(item); });
    return is_text(value, {"", "none", "None"});
}

namespace neutral {
inline bool off(const Json& value, const Json&, const ModelHeader&) { return is_off(value); }
inline bool without_mup(const Json& value, const Json& args, const ModelHeader&) {
    return is_number(value, 1) || is_off(value) || is_off(argument(args, "use_mup"));
}
inline bool plain_positions(const Json& value, const Json&, const ModelHeader&) {
    return !is_text(value, {"mrope", "yarn"});
}
inline bool plain_rope(const Json& value, const Json&, const ModelHeader& header) {
    return is_off(value) || is_text(value, {"rope"}) || header.positions != PositionKind::rope ||
           is_latent(header.attention);
}
inline bool off_or_not_rotary(const Json& value, const Json&, const ModelHeader& header) {
    return is_off(value) || header.positions != PositionKind::rope;
}
inline bool vanilla_softmax(const Json& value, const Json&, const ModelHeader&) {
    return is_off(value) || is_text(value, {"vanilla"});
}
inline bool usual_scale(const Json& value, const Json&, const ModelHeader& header) {
    if (value.is_null()) return true;
    const auto divisor =
        header.attention.query_pre_attn_scalar.value_or(static_cast<double>(header.attention.kv_channels));
    return value.is_number() && divisor > 0 && std::abs(value.get<double>() * std::sqrt(divisor) - 1.0) < 1e-6;
}
/// One number is Megatron-Bridge's for Gemma 3, None no window; anything else that is no pair does not get here.
inline bool causal_window(const Json& value, const Json&, const ModelHeader& header) {
    if (!value.is_array() || value.size() != 2) return value.is_null() || header.block_output_norms;
    return is_number(value[1], 0) || (is_number(value[0], -1) && is_number(value[1], -1));
}
/// A window on every layer: none is skipped.
inline bool every_layer(const Json& value, const Json&, const ModelHeader& header) {
    if (value.is_null() || header.attention.sliding_window.value_or(0) == 0) return true;
    return value.is_array() && std::none_of(value.begin(), value.end(), [](const Json& item) { return is_off(item); });
}
/// What the header says where blocks have output norms, as Gemma 2 and 3.
inline bool off_or_gemma(const Json& value, const Json&, const ModelHeader& header) {
    return is_off(value) || header.block_output_norms;
}
inline bool usual_scalar(const Json& value, const Json&, const ModelHeader& header) {
    return header.block_output_norms || is_off(value) ||
           is_number(value, static_cast<double>(header.attention.kv_channels));
}
/// Megatron-Core's norms of queries and keys are in the header where the tensors have them.
inline bool off_or_stored_norms(const Json& value, const Json&, const ModelHeader& header) {
    return is_off(value) || header.attention.qk_norm || is_latent(header.attention);
}
inline bool off_or_stored_latents(const Json& value, const Json&, const ModelHeader& header) {
    return is_off(value) || is_latent(header.attention);
}
/// Latent attention turns rows in pairs without this.
inline bool off_or_not_latent(const Json& value, const Json&, const ModelHeader& header) {
    return is_off(value) || !is_latent(header.attention);
}
/// Its scores are scaled by it whatever the positions (multi_latent_attention.py); yarn's scaling is in the header.
inline bool off_or_yarn(const Json& value, const Json& args, const ModelHeader& header) {
    const bool is_yarn = header.attention.rope_scaling && header.attention.rope_scaling->type == "yarn";
    return is_off(value) || !is_latent(header.attention) || is_yarn ||
           is_number(argument(args, "rotary_scaling_factor"), 1);
}
/// A group's score is the sum of its best router_topk / group_topk experts'; transformers takes the best two.
inline bool best_two(const Json& value, const Json&, const ModelHeader& header) {
    const Experts& experts = header.mlp.experts;
    return is_off(value) || experts.num_groups == 0 || experts.router_topk == 2 * experts.group_topk;
}
inline bool off_or_stored_experts(const Json& value, const Json&, const ModelHeader& header) {
    return is_off(value) || has_experts(header.mlp);
}
inline bool off_or_stored_mtp_layers(const Json& value, const Json&, const ModelHeader& header) {
    return is_off(value) || header.mtp_num_layers > 0;
}
inline bool one_scaling(const Json& value, const Json& args, const ModelHeader&) {
    return is_off(value) || is_number(value, 1) || is_off(argument(args, "use_rope_scaling"));
}
/// NVIDIA's own layers are named so too.
inline bool usual_layers(const Json& value, const Json&, const ModelHeader&) {
    if (is_off(value)) return true;
    const Json& first = value.is_array() ? value.front() : value;
    if (!first.is_string()) return false;
    const auto& name = first.get_ref<const std::string&>();
    return name == "local" || name == "megatron.core.models.gpt.gpt_layer_specs";
}
}  // namespace neutral

}  // namespace detail

/// Those of all dialects. NVIDIA/Megatron-LM d98e8a6: megatron/training/arguments.py and
/// megatron/core/transformer/transformer_config.py, and older releases back to 2.0, with a few names of forks and of
/// Megatron-Bridge. What of NVIDIA's is missing here is in the header, decides which tensors there are, or is about
/// training, speed and rounding (apply_query_key_layer_scaling divides by what the softmax multiplies again).
inline std::vector<OtherArgument> megatron_other_args() {
    namespace is = detail::neutral;
    return {// Positions.
            {"position_embedding_type", "rotary positions of another kind", is::plain_positions},
            {"rope_type", "rotary positions of another kind", is::plain_rope},
            {"no_rope_freq", "layers without rotary positions", is::off_or_not_rotary},
            {"nope_layer_interval", "layers without rotary positions", is::off_or_not_rotary},
            {"rotary_seq_len_interpolation_factor", "two scalings of rotary positions at once", is::one_scaling},
            // Attention.
            {"window_size", "an attention window that looks ahead, or is no pair of numbers", is::causal_window},
            {"attention_chunk_size", "attention in chunks", is::off},
            {"softmax_type", "attention with a sink", is::vanilla_softmax},
            {"softmax_scale", "scores scaled by another factor than 1 / sqrt(kv_channels)", is::usual_scale},
            {"query_pre_attn_scalar", "scores scaled by another factor than 1 / sqrt(kv_channels)", is::usual_scalar},
            {"attn_logit_softcapping", "capped attention scores", is::off_or_gemma},
            {"qk_layernorm", "norms of queries and keys", is::off_or_stored_norms},
            {"qk_l2_norm", "norms of queries and keys", is::off},
            {"attention_output_gate", "a gate behind the attention", is::off},
            {"multi_latent_attention", "latent attention", is::off_or_stored_latents},
            {"rotary_interleaved", "rotary rows of latent attention in another order", is::off_or_not_latent},
            {"mscale_all_dim", "scores scaled as for yarn positions, without these", is::off_or_yarn},
            {"experimental_attention_variant", "another kind of attention", is::off},
            {"linear_attention_type", "linear attention", is::off},
            {"linear_attention_freq", "linear attention on some layers", is::off},
            {"retro_add_retriever", "retrieved neighbours", is::off},
            // The MLP.
            {"activation_func_clamp_value", "clamped activations", is::off},
            {"glu_linear_offset", "an offset in the gated MLP", is::off},
            {"num_experts", "a mixture of experts", is::off_or_stored_experts},
            {"moe_router_group_topk", "groups of experts chosen by other than their best two", is::best_two},
            // Norms, residuals and scales.
            {"enable_mhc_connections", "several residual streams", is::off},
            {"use_mup", "embeddings, scores and logits scaled by muP", is::off},
            {"mup_embedding_mult", "scaled embeddings", is::without_mup},
            {"mup_output_mult", "scaled logits", is::without_mup},
            {"final_logit_softcapping", "capped logits", is::off_or_gemma},
            // Layers of other kinds.
            {"mtp_num_layers", "layers that predict further tokens", is::off_or_stored_mtp_layers},
            {"heterogeneous_layers_config_path", "layers of different shapes", is::off},
            {"heterogeneous_layers_config_encoded_json", "layers of different shapes", is::off},
            {"is_hybrid_model", "layers of a state space model", is::off},
            {"hybrid_attention_ratio", "layers of a state space model", is::off},
            {"hybrid_override_pattern", "layers of a state space model", is::off},
            {"hybrid_layer_pattern", "layers of a state space model", is::off},
            {"spec", "model code of the user's own", is::usual_layers},
            {"yaml_cfg", "a model that a YAML file describes", is::off}};
}

/// Those of Megatron-LLM.
inline std::vector<OtherArgument> megatron_llm_other_args() {
    namespace is = detail::neutral;
    return join_lists(megatron_other_args(),
                      {{"window_attn_skip_freq", "an attention window on some layers only", is::every_layer},
                       {"apply_residual_connection_post_layernorm", "the residual taken behind the norm", is::off}});
}

/// Those of Megatron-LM's own model code.
inline std::vector<OtherArgument> megatron_lm_other_args() {
    namespace is = detail::neutral;
    return join_lists(
        megatron_other_args(),
        {{"window_attn_skip_freq", "an attention window on some layers only", is::every_layer},
         {"rotary_interleaved", "rotary rows in pairs, which Megatron-LM's own model code does not have", is::off},
         {"glu_activation", "a gate of a fork", is::off},
         {"apply_residual_connection_post_layernorm", "the residual taken behind the norm", is::off}});
}

/// The table with these arguments as further lines: what all ranks must agree on, and what must be understood.
inline ConfigTable with_other_args(ConfigTable table, const std::vector<OtherArgument>& others) {
    using namespace config;
    for (const OtherArgument& other : others)
        table.push_back(understood({other.name}, [](const Json&, ModelHeader&) {}));
    return table;
}

/// Fills header.origin.unexpressed with what the args state and no field of the header says.
inline void find_other_args(const Json& args, const std::vector<OtherArgument>& others, ModelHeader& header) {
    for (const OtherArgument& other : others) {
        const Json& value = detail::argument(args, other.name);
        if (value.is_null() || other.is_neutral(value, args, header)) continue;
        header.origin.unexpressed[std::string(other.name)] = to_text(json_shown(value), " (", other.meaning, ")");
    }
}

}  // namespace crossdock
