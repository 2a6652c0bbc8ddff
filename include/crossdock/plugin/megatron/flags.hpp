// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "crossdock/family/megatron/dialect.hpp"

namespace crossdock {

namespace detail {

/// As short as it can be without another value: 1e-05, 500000.
inline std::string shortest(double value) {
    if (value == std::floor(value) && std::abs(value) < 1e15) return std::to_string(static_cast<std::int64_t>(value));
    return json_text(value);
}

inline bool has_usual_llama3_constants(const RopeScaling& scaling) {
    return scaling.low_freq_factor == 1.0 && scaling.high_freq_factor == 4.0 &&
           scaling.original_max_position_embeddings == 8192;
}

/// Whether swiglu, quick_geglu, squared_relu and gelu suffice to say what the MLP computes. Megatron-Core has gelu's
/// tanh form only in the kernel that adds a bias.
inline bool megatron_lm_knows_activation(const MegatronDialect& dialect, const ModelHeader& header) {
    if (header.mlp.gated)
        return header.mlp.activation == Activation::silu ||
               (dialect.name == "mcore" && header.mlp.activation == Activation::quick_gelu);
    if (dialect.name == "mcore" && header.mlp.activation == Activation::gelu_tanh && !header.mlp.fc1_bias) return false;
    return header.mlp.activation == Activation::gelu_erf || header.mlp.activation == Activation::gelu_tanh ||
           header.mlp.activation == Activation::squared_relu;
}

/// An ungated gelu: bias_gelu_fusion is on by default, and is the tanh form.
inline std::vector<std::string> gelu_flags(const MegatronDialect& dialect, const ModelHeader& header) {
    if (header.mlp.gated) return {};
    const bool is_llm = dialect.name == "llm";
    const std::string no_fusion = is_llm ? "--no_bias_gelu_fusion" : "--no-bias-gelu-fusion";
    if (header.mlp.activation == Activation::gelu_erf) return {no_fusion};
    // The fused kernel adds a bias, so that a model without needs the other name of the tanh form.
    if (header.mlp.activation == Activation::gelu_tanh && !header.mlp.fc1_bias && dialect.name != "mcore")
        return {is_llm ? "--openai_gelu" : "--openai-gelu", no_fusion};
    return {};
}

}  // namespace detail

/// The options that Megatron does not read from a checkpoint's args, so that its user must give them by hand
/// (load_args_from_checkpoint of epfLLM@806a833 and of NVIDIA core_v0.9.0).
inline std::vector<std::string> megatron_flags(const MegatronDialect& dialect, const ModelHeader& header) {
    const bool is_llm = dialect.name == "llm";
    std::vector<std::string> flags = detail::gelu_flags(dialect, header);
    const auto add = [&](std::string flag, const std::string& value) { flags.push_back(to_text(flag, " ", value)); };
    if (is_llm) {
        if (header.positions == PositionKind::rope && header.attention.rope_theta)
            add("--rope_theta", detail::shortest(*header.attention.rope_theta));
        if (const auto factor = detail::linear_factor(header)) add("--rope_scaling_factor", detail::shortest(*factor));
        if (header.norm_epsilon) add("--layernorm_epsilon", detail::shortest(*header.norm_epsilon));
        if (header.attention.qkv_bias || header.attention.dense_bias || header.mlp.fc1_bias || header.mlp.fc2_bias)
            flags.push_back("--use_bias");
        if (header.post_norm) flags.push_back("--use_post_ln");
        return flags;
    }
    if (header.norm_epsilon) add("--norm-epsilon", detail::shortest(*header.norm_epsilon));
    if (header.positions == PositionKind::rope && header.attention.rope_theta)
        add("--rotary-base", detail::shortest(*header.attention.rope_theta));
    if (const auto factor = detail::linear_factor(header))
        add("--rotary-seq-len-interpolation-factor", detail::shortest(*factor));
    if (detail::has_llama3_scaling(header)) {
        flags.push_back("--use-rope-scaling");
        if (header.attention.rope_scaling->factor)
            add("--rope-scaling-factor", detail::shortest(*header.attention.rope_scaling->factor));
    }
    if (header.attention.rotary_interleaved.value_or(false) && dialect.name == "mcore")
        flags.push_back("--rotary-interleaved");
    if (header.mlp.activation == Activation::squared_relu && !header.mlp.gated) flags.push_back("--squared-relu");
    if (header.mlp.activation == Activation::quick_gelu && header.mlp.gated) flags.push_back("--quick-geglu");
    if (detail::is_bert(header) && !header.bert.binary_head) flags.push_back("--bert-no-binary-head");
    if (header.attention.sliding_window.value_or(0) > 0)
        add("--window-size", to_text(*header.attention.sliding_window - 1, ",0"));
    return flags;
}

/// What the dialect has no argument for at all; it is kept in crossdock.json, and its user should know.
inline std::vector<std::string> megatron_losses(const MegatronDialect& dialect, const ModelHeader& header) {
    const bool is_llm = dialect.name == "llm";
    std::vector<std::string> losses;
    const auto lose = [&](const std::string& what) {
        losses.push_back(
            to_text("Megatron (", dialect.name, ") has no option for ", what, "; it is kept in crossdock.json"));
    };
    const std::string type = header.attention.rope_scaling ? header.attention.rope_scaling->type : "default";
    if (type != "default" && type != "linear" && (is_llm || type != "llama3"))
        lose(to_text("rope_scaling of type '", type, "'"));
    if (header.embedding_multiplier.value_or(1.0) != 1.0)
        lose(to_text("embedding_multiplier ", detail::shortest(*header.embedding_multiplier)));
    if (is_llm && header.attention.kv_channels * header.attention.num_attention_heads != header.hidden_size)
        losses.push_back(
            "Megatron (llm) takes the rotary size from hidden_size / num_attention_heads, which differs "
            "from kv_channels here; its code needs a change to run this model");
    if (type == "llama3" && !is_llm && !detail::has_usual_llama3_constants(*header.attention.rope_scaling))
        lose("the constants of its llama3 rope_scaling, which it fixes at 1, 4 and 8192");
    if (!is_llm && !detail::megatron_lm_knows_activation(dialect, header))
        lose(to_text(header.mlp.gated ? "a gated MLP with " : "an MLP with ",
                     header.mlp.activation ? enum_name(*header.mlp.activation)
                                           : "an activation that its source does not state"));
    if (detail::is_bert(header)) {
        const auto differs = [&](const std::string& what) {
            losses.push_back(to_text("Megatron's BERT ", what, "; its code needs a change to run this model"));
        };
        if (!header.bert.lm_head) differs("always has a masked-language-model head, this one has none");
        if (header.bert.pooler != header.bert.binary_head) differs("has a pooler if and only if it has a binary head");
        if ((header.num_token_types > 0) != header.bert.binary_head)
            differs("has token types if and only if it has a binary head");
    }
    return losses;
}

}  // namespace crossdock
