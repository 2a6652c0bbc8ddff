// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "crossdock/core/join_lists.hpp"
#include "crossdock/core/text.hpp"
#include "crossdock/family/megatron/args.hpp"
#include "crossdock/family/megatron/nvidia_args.hpp"
#include "crossdock/family/megatron/yarn.hpp"
#include "crossdock/family/requirements.hpp"
#include "crossdock/protocol/layer_windows.hpp"

namespace crossdock {

/// An option that Megatron does not read from a checkpoint's args, so that its user must give it by hand
/// (load_args_from_checkpoint of epfLLM@806a833 and of NVIDIA core_v0.9.0).
struct MegatronFlag {
    std::string_view spelling;  ///< "--rope_theta", "--rotary-base"
    /// What to give, "" for a switch; nothing where the model needs no such option.
    std::optional<std::string> (*value)(const ModelHeader&);
};

/// Finds what a Megatron has no option for at all, as words for "… has no option for".
using Unsaid = std::optional<std::string> (*)(const ModelHeader&);

namespace detail {

/// As short as it can be without another value: 1e-05, 500000.
inline std::string shortest(double value) {
    if (value == std::floor(value) && std::abs(value) < 1e15) return std::to_string(static_cast<std::int64_t>(value));
    return json_text(value);
}
inline std::optional<std::string> shortest(const std::optional<double>& value) {
    return value ? std::optional(shortest(*value)) : std::nullopt;
}
inline std::optional<std::string> switch_if(bool needed) {
    return needed ? std::optional<std::string>("") : std::nullopt;
}

namespace flag {

using Value = std::optional<std::string>;

/// bias_gelu_fusion is on by default, is the tanh form, and its kernel adds a bias.
inline bool is_exact_gelu(const ModelHeader& h) { return !h.mlp.gated && h.mlp.activation == Activation::gelu_erf; }
inline bool is_unfused_tanh(const ModelHeader& h) {
    return !h.mlp.gated && h.mlp.activation == Activation::gelu_tanh && !h.mlp.fc1_bias;
}
inline Value exact_gelu(const ModelHeader& h) { return switch_if(is_exact_gelu(h)); }
inline Value unfused_tanh(const ModelHeader& h) { return switch_if(is_unfused_tanh(h)); }
inline Value unfused_gelu(const ModelHeader& h) { return switch_if(is_exact_gelu(h) || is_unfused_tanh(h)); }

inline Value norm_epsilon(const ModelHeader& h) { return shortest(h.norm_epsilon); }
inline Value rope_theta(const ModelHeader& h) {
    return h.positions == PositionKind::rope ? shortest(full_attention(h).rope_theta) : std::nullopt;
}
inline Value linear_scaling(const ModelHeader& h) { return is_gemma_3(h) ? std::nullopt : shortest(linear_factor(h)); }
inline Value llama3_scaling(const ModelHeader& h) { return switch_if(has_llama3_scaling(h)); }
inline Value llama3_factor(const ModelHeader& h) {
    return has_llama3_scaling(h) ? shortest(h.attention.rope_scaling->factor) : std::nullopt;
}
inline Value rotary_interleaved(const ModelHeader& h) {
    return switch_if(h.attention.rotary_interleaved.value_or(false));
}
inline Value qk_norm(const ModelHeader& h) { return switch_if(h.attention.qk_norm || is_latent(h.attention)); }
inline Value latent_attention(const ModelHeader& h) { return switch_if(is_latent(h.attention)); }
template <auto size>
Value latent_size(const ModelHeader& h) {
    const std::uint64_t value = h.attention.latent.*size;
    return is_latent(h.attention) && value > 0 ? Value(to_text(value)) : std::nullopt;
}
inline Value rope_type(const ModelHeader& h) {
    return is_latent(h.attention) ? Value(has_yarn(h) ? "yarn" : "rope") : std::nullopt;
}
inline Value yarn_factor(const ModelHeader& h) {
    return is_latent(h.attention) && has_yarn(h) ? shortest(h.attention.rope_scaling->factor) : std::nullopt;
}
inline Value mscale(const ModelHeader& h) {
    return is_latent(h.attention) && has_yarn(h) ? shortest(core_mscale(*h.attention.rope_scaling)) : std::nullopt;
}
inline Value mscale_all_dim(const ModelHeader& h) {
    return is_latent(h.attention) && has_yarn(h)
               ? Value(shortest(yarn_number::mscale_all_dim.of(*h.attention.rope_scaling)))
               : std::nullopt;
}
inline Value mtp_layers(const ModelHeader& h) {
    return h.mtp_num_layers > 0 ? Value(to_text(h.mtp_num_layers)) : std::nullopt;
}
inline Value router_groups(const ModelHeader& h) {
    const Experts& experts = h.mlp.experts;
    return experts.num_groups > 0 ? Value(to_text(experts.num_groups)) : std::nullopt;
}
inline Value router_group_topk(const ModelHeader& h) {
    const Experts& experts = h.mlp.experts;
    return experts.num_groups > 0 ? Value(to_text(experts.group_topk)) : std::nullopt;
}
inline Value router_dtype(const ModelHeader& h) { return h.mlp.experts.router_bias ? Value("fp32") : std::nullopt; }
inline Value shared_expert_gate(const ModelHeader& h) { return switch_if(h.mlp.experts.shared_gate); }
inline Value squared_relu(const ModelHeader& h) {
    return switch_if(!h.mlp.gated && h.mlp.activation == Activation::squared_relu);
}
inline Value quick_geglu(const ModelHeader& h) {
    return switch_if(h.mlp.gated && h.mlp.activation == Activation::quick_gelu);
}
inline Value no_binary_head(const ModelHeader& h) { return switch_if(is_bert(h) && !h.bert.binary_head); }
inline Value window(const ModelHeader& h) {
    const std::uint64_t window = window_of(h);
    return window > 0 ? std::optional(to_text(window - 1, ",0")) : std::nullopt;
}
inline Value window_frequency(const ModelHeader& h) {
    const Json list = detail::window_frequency(h);
    return list.is_null() ? std::nullopt : Value(to_text('\'', list.dump(), '\''));
}
inline Value any_bias(const ModelHeader& h) {
    return switch_if(h.attention.qkv_bias || h.attention.dense_bias || h.mlp.fc1_bias || h.mlp.fc2_bias);
}
inline Value post_norm(const ModelHeader& h) { return switch_if(h.post_norm); }

}  // namespace flag

namespace unsaid {

using What = std::optional<std::string>;

/// Of latent attention the code computes yarn's scaling or none.
inline What scaling_beside(const ModelHeader& h, bool has_llama3) {
    if (is_latent(h.attention)) return std::nullopt;
    const std::string type = h.attention.rope_scaling ? h.attention.rope_scaling->type : "default";
    if (type == "default" || type == "linear" || (has_llama3 && type == "llama3")) return std::nullopt;
    return to_text("rope_scaling of type '", type, "'");
}
inline What any_scaling(const ModelHeader& h) { return scaling_beside(h, false); }
inline What scaling_but_llama3(const ModelHeader& h) { return scaling_beside(h, true); }
inline What scaled_embeddings(const ModelHeader& h) {
    const double multiplier = h.embedding_multiplier.value_or(1.0);
    return multiplier != 1.0 ? std::optional(to_text("embedding_multiplier ", shortest(multiplier))) : std::nullopt;
}
inline What llama3_constants(const ModelHeader& h) {
    if (!has_llama3_scaling(h)) return std::nullopt;
    const RopeScaling usual = megatron_llama3_scaling(), scaling = *h.attention.rope_scaling;
    const bool is_usual = scaling.low_freq_factor == usual.low_freq_factor &&
                          scaling.high_freq_factor == usual.high_freq_factor &&
                          scaling.original_max_position_embeddings == usual.original_max_position_embeddings;
    if (is_usual) return std::nullopt;
    return "the constants of its llama3 rope_scaling, which it fixes at 1, 4 and 8192";
}

inline What output_norms(const ModelHeader& h) {
    return h.block_output_norms
               ? What("norms of what attention and MLP put out, which Megatron-Bridge's Gemma 2 and 3 have")
               : std::nullopt;
}
inline What score_scale(const ModelHeader& h) {
    if (require::usual_scale.holds(h)) return std::nullopt;
    return to_text("query_pre_attn_scalar ", shortest(*h.attention.query_pre_attn_scalar));
}
inline What score_cap(const ModelHeader& h) {
    if (require::uncapped_scores.holds(h)) return std::nullopt;
    return to_text("attn_logit_softcapping ", shortest(*h.attention.logit_softcap));
}
inline What logit_cap(const ModelHeader& h) {
    if (require::uncapped_logits.holds(h)) return std::nullopt;
    return to_text("final_logit_softcapping ", shortest(*h.final_logit_softcap));
}
/// Layers with a window that turn otherwise than those without.
inline What local_positions(const ModelHeader& h) {
    const Attention* windowed = windowed_attention(h);
    if (!windowed || differs_in_window_alone(h)) return std::nullopt;
    return to_text("other rotary positions on layers with a window (rope_theta ",
                   shortest(windowed->rope_theta).value_or("unknown"), ")");
}

inline What yarn_constants(const ModelHeader& h) {
    if (!is_latent(h.attention) || !has_yarn(h)) return std::nullopt;
    const RopeScaling& scaling = *h.attention.rope_scaling;
    const auto length = scaling.original_max_position_embeddings.value_or(yarn_number::usual_length);
    const double fast = yarn_number::beta_fast.of(scaling), slow = yarn_number::beta_slow.of(scaling);
    if (length == yarn_number::usual_length && fast == yarn_number::beta_fast.usual &&
        slow == yarn_number::beta_slow.usual)
        return std::nullopt;
    return to_text("yarn's original_max_position_embeddings ", length, ", beta_fast ", shortest(fast),
                   " and beta_slow ", shortest(slow), ", which its code fixes at 4096, 32 and 1");
}

inline What activation_unless(bool is_known, const ModelHeader& h) {
    if (is_known) return std::nullopt;
    return to_text(h.mlp.gated ? "a gated MLP with " : "an MLP with ",
                   h.mlp.activation ? enum_name(*h.mlp.activation) : "an activation that its source does not state");
}
inline bool is_known_ungated(const ModelHeader& h) {
    return !h.mlp.gated && (h.mlp.activation == Activation::gelu_erf || h.mlp.activation == Activation::gelu_tanh ||
                            h.mlp.activation == Activation::squared_relu);
}
inline bool is_gated_silu(const ModelHeader& h) { return h.mlp.gated && h.mlp.activation == Activation::silu; }

/// swiglu, squared_relu and gelu are what Megatron-LM's own model code has names for.
inline What activation(const ModelHeader& h) { return activation_unless(is_gated_silu(h) || is_known_ungated(h), h); }
/// Megatron-Core has quick_geglu besides, and gelu's tanh form only in the kernel that adds a bias.
inline What core_activation(const ModelHeader& h) {
    const bool is_quick = h.mlp.gated && h.mlp.activation == Activation::quick_gelu;
    const bool is_known = is_gated_silu(h) || is_quick || (is_known_ungated(h) && !flag::is_unfused_tanh(h));
    return activation_unless(is_known, h);
}

}  // namespace unsaid

/// What all Megatrons fix about BERT.
inline std::vector<Requirement> bert_limits() {
    using H = ModelHeader;
    return {{"Megatron's BERT always has a masked-language-model head, this one has none",
             [](const H& h) { return !is_bert(h) || h.bert.lm_head; }},
            {"Megatron's BERT has a pooler if and only if it has a binary head",
             [](const H& h) { return !is_bert(h) || h.bert.pooler == h.bert.binary_head; }},
            {"Megatron's BERT has token types if and only if it has a binary head",
             [](const H& h) { return !is_bert(h) || (h.num_token_types > 0) == h.bert.binary_head; }}};
}

/// The options of NVIDIA's codes, but for those of gelu.
inline std::vector<MegatronFlag> nvidia_rope_flags() {
    return {{"--norm-epsilon", flag::norm_epsilon},
            {"--rotary-base", flag::rope_theta},
            {"--rotary-seq-len-interpolation-factor", flag::linear_scaling},
            {"--use-rope-scaling", flag::llama3_scaling},
            {"--rope-scaling-factor", flag::llama3_factor}};
}
inline std::vector<MegatronFlag> nvidia_other_flags() {
    return {{"--squared-relu", flag::squared_relu},
            {"--quick-geglu", flag::quick_geglu},
            {"--bert-no-binary-head", flag::no_binary_head},
            {"--window-size", flag::window},
            {"--window-attn-skip-freq", flag::window_frequency}};
}

}  // namespace detail

/// The options of epfLLM Megatron-LLM.
inline std::vector<MegatronFlag> megatron_llm_flags() {
    namespace flag = detail::flag;
    return {{"--openai_gelu", flag::unfused_tanh},       {"--no_bias_gelu_fusion", flag::unfused_gelu},
            {"--rope_theta", flag::rope_theta},          {"--rope_scaling_factor", flag::linear_scaling},
            {"--layernorm_epsilon", flag::norm_epsilon}, {"--use_bias", flag::any_bias},
            {"--use_post_ln", flag::post_norm}};
}

/// The options of NVIDIA Megatron-LM for its own model code.
inline std::vector<MegatronFlag> megatron_lm_flags() {
    namespace flag = detail::flag;
    return join_lists(
        std::vector<MegatronFlag>{{"--openai-gelu", flag::unfused_tanh}, {"--no-bias-gelu-fusion", flag::unfused_gelu}},
        detail::nvidia_rope_flags(), detail::nvidia_other_flags());
}

/// The options of NVIDIA Megatron-LM for Megatron-Core.
inline std::vector<MegatronFlag> megatron_core_flags() {
    namespace flag = detail::flag;
    return join_lists(
        std::vector<MegatronFlag>{{"--no-bias-gelu-fusion", flag::exact_gelu}}, detail::nvidia_rope_flags(),
        std::vector<MegatronFlag>{{"--rotary-interleaved", flag::rotary_interleaved},
                                  {"--qk-layernorm", flag::qk_norm},
                                  {"--mtp-num-layers", flag::mtp_layers},
                                  {"--multi-latent-attention", flag::latent_attention},
                                  {"--q-lora-rank", flag::latent_size<&LatentAttention::q_lora_rank>},
                                  {"--kv-lora-rank", flag::latent_size<&LatentAttention::kv_lora_rank>},
                                  {"--qk-head-dim", flag::latent_size<&LatentAttention::qk_head_dim>},
                                  {"--qk-pos-emb-head-dim", flag::latent_size<&LatentAttention::qk_pos_emb_head_dim>},
                                  {"--v-head-dim", flag::latent_size<&LatentAttention::v_head_dim>},
                                  {"--rope-type", flag::rope_type},
                                  {"--rotary-scaling-factor", flag::yarn_factor},
                                  {"--mscale", flag::mscale},
                                  {"--mscale-all-dim", flag::mscale_all_dim},
                                  {"--moe-router-num-groups", flag::router_groups},
                                  {"--moe-router-group-topk", flag::router_group_topk},
                                  {"--moe-router-dtype", flag::router_dtype},
                                  {"--moe-shared-expert-gate", flag::shared_expert_gate}},
        detail::nvidia_other_flags());
}

}  // namespace crossdock
