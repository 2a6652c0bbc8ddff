// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "crossdock/core/error.hpp"
#include "crossdock/core/text.hpp"
#include "crossdock/family/megatron/args.hpp"
#include "crossdock/protocol/model_header.hpp"

namespace crossdock::detail {

/// Throws Error when model_type is unknown, or speaks of a model that the tensors are not of.
inline void check_megatron_type(const ModelHeader& header, const std::string& type) {
    const auto contradict = [&](std::string_view what) {
        throw Error(to_text("model_type ", type, " contradicts the checkpoint, which has ", what));
    };
    if (type.empty()) return;
    if (type == "BERT") return is_bert(header) ? void() : contradict("none of BERT's heads and no token types");
    if (is_bert(header)) contradict("BERT's heads or token types");
    if (type == "GPT") return;
    if (header.positions == PositionKind::learned) contradict("learned positions");
    if (type == "falcon") {
        if (header.norm != NormKind::layer) contradict("RMS norms");
        if (header.mlp.gated) contradict("a gated MLP");
        return;
    }
    constexpr auto llamas = std::to_array<std::string_view>(
        {"llama", "llama2", "llama3", "codellama", "mistral", "mixtral", "gemma", "gemma2", "gemma3_text", "qwen2",
         "qwen2_moe", "qwen3", "qwen3_moe", "deepseek_v3", "glm4_moe"});
    if (std::find(llamas.begin(), llamas.end(), type) == llamas.end())
        throw UsageError(
            to_text("model_type is '", type, "', expected one of GPT, BERT, falcon, ", joined_list(llamas)));
    const bool of_latents = type == "deepseek_v3";
    if (of_latents != is_latent(header.attention)) contradict(of_latents ? "no latent attention" : "latent attention");
    const bool of_experts = type == "mixtral" || of_latents || type.ends_with("_moe");
    if (of_experts != has_experts(header.mlp)) contradict(of_experts ? "no experts" : "experts");
    const bool with_output_norms = type == "gemma2" || type == "gemma3_text";
    if (with_output_norms != header.block_output_norms)
        contradict(with_output_norms ? "no norms of what attention and MLP put out"
                                     : "norms of what attention and MLP put out");
    if (with_output_norms && (type == "gemma3_text") != header.attention.qk_norm)
        contradict(header.attention.qk_norm ? "norms of queries and keys" : "no norms of queries and keys");
    if (header.norm != NormKind::rms) contradict("layer norms");
    if (!header.mlp.gated) contradict("an MLP without a gate");
    if (header.parallel_attention) contradict("parallel attention");
}

}  // namespace crossdock::detail
