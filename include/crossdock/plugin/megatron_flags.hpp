// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "crossdock/family/megatron.hpp"

namespace crossdock {

namespace detail {

/// As short as it can be without another value: 1e-05, 500000.
inline std::string shortest(double value) {
    if (value == std::floor(value) && std::abs(value) < 1e15) return std::to_string(static_cast<std::int64_t>(value));
    return Json(value).dump();
}

}  // namespace detail

/// The options that Megatron does not read from a checkpoint's args, so that its user must give them by hand
/// (load_args_from_checkpoint of epfLLM@806a833 and of NVIDIA core_v0.9.0).
inline std::vector<std::string> megatron_flags(const MegatronDialect& dialect, const ModelHeader& header) {
    const bool is_llm = dialect.name == "llm";
    std::vector<std::string> flags;
    const auto add = [&](std::string flag, const std::string& value) { flags.push_back(text(flag, " ", value)); };
    if (is_llm) {
        if (header.positions == PositionKind::rope && header.rope_theta)
            add("--rope_theta", detail::shortest(*header.rope_theta));
        if (const auto factor = detail::linear_factor(header)) add("--rope_scaling_factor", detail::shortest(*factor));
        if (header.norm_epsilon) add("--layernorm_epsilon", detail::shortest(*header.norm_epsilon));
        if (header.qkv_bias || header.dense_bias || header.fc1_bias || header.fc2_bias) flags.push_back("--use_bias");
        if (header.post_norm) flags.push_back("--use_post_ln");
        return flags;
    }
    if (header.norm_epsilon) add("--norm-epsilon", detail::shortest(*header.norm_epsilon));
    if (header.positions == PositionKind::rope && header.rope_theta)
        add("--rotary-base", detail::shortest(*header.rope_theta));
    if (const auto factor = detail::linear_factor(header))
        add("--rotary-seq-len-interpolation-factor", detail::shortest(*factor));
    if (detail::has_llama3_scaling(header)) {
        flags.push_back("--use-rope-scaling");
        if (header.rope_scaling->factor) add("--rope-scaling-factor", detail::shortest(*header.rope_scaling->factor));
    }
    if (header.sliding_window.value_or(0) > 0)
        add("--window-size", text(*header.sliding_window - 1, ",0"));
    return flags;
}

/// What the dialect has no argument for at all; it is kept in crossdock.json, and its user should know.
inline std::vector<std::string> megatron_losses(const MegatronDialect& dialect, const ModelHeader& header) {
    const bool is_llm = dialect.name == "llm";
    std::vector<std::string> losses;
    const auto lose = [&](const std::string& what) {
        losses.push_back(text("Megatron (", dialect.name, ") has no option for ", what, "; it is kept in crossdock.json"));
    };
    const std::string type = header.rope_scaling ? header.rope_scaling->type : "default";
    if (type != "default" && type != "linear" && (is_llm || type != "llama3"))
        lose(text("rope_scaling of type '", type, "'"));
    if (header.embedding_multiplier.value_or(1.0) != 1.0)
        lose(text("embedding_multiplier ", detail::shortest(*header.embedding_multiplier)));
    if (is_llm && header.kv_channels * header.num_attention_heads != header.hidden_size)
        losses.push_back("Megatron (llm) takes the rotary size from hidden_size / num_attention_heads, which differs "
                         "from kv_channels here; its code needs a change to run this model");
    if (!is_llm && header.gated_mlp && header.activation && header.activation != Activation::silu)
        lose(text("a gated MLP with ", enum_name(*header.activation)));
    return losses;
}

}  // namespace crossdock
