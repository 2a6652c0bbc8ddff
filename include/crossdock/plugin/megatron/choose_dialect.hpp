// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "crossdock/family/megatron/dialect.hpp"
#include "crossdock/plugin/megatron/content.hpp"

namespace crossdock::detail {

inline bool any_name(const MegatronContent& content, auto&& test) {
    for (const auto& stage : content.stages)
        for (const NamedTensor& entry : stage.front().entries())
            if (test(std::string_view(entry.name))) return true;
    return false;
}

/// "; its tensors are 'a', 'b', …", for errors about a model of another kind.
inline std::string first_names(const MegatronContent& content) {
    constexpr std::size_t shown = 3;
    const auto& entries = content.stages.front().front().entries();
    std::vector<std::string> names;
    for (const NamedTensor& entry : entries)
        if (names.size() < shown) names.push_back(to_text("'", shortened(entry.name), "'"));
    if (names.empty()) return "; it has no tensors";
    return to_text("; its tensors are ", joined_list(names), entries.size() > shown ? ", …" : "");
}

inline auto contains(std::string_view part) {
    return [part](std::string_view name) { return name.find(part) != std::string_view::npos; };
}

/// Whether an MLP's first matrix, of Megatron's own model code, has more rows than its second has columns.
inline bool is_gated(const MegatronContent& content) {
    std::uint64_t rows = 0, columns = 0;
    for (const auto& stage : content.stages)
        for (const NamedTensor& entry : stage.front().entries()) {
            const Shape& shape = entry.tensor.shape();
            if (shape.rank() == 2 && entry.name.ends_with(".dense_h_to_4h.weight")) rows = shape[0];
            if (shape.rank() == 2 && entry.name.ends_with(".dense_4h_to_h.weight")) columns = shape[1];
        }
    return rows != columns;
}

/// Megatron-Core's spelling: whose layers, and whether its BERT's.
inline const MegatronDialect& choose_core(const MegatronContent& content) {
    const bool is_bert = any_name(content, contains("encoder.layers."));
    return any_name(content, contains("linear_qkv.layer_norm_weight")) ? megatron_core_te(is_bert)
                                                                       : megatron_core_local(is_bert);
}

/// Which Megatron wrote these names and args (spec: the bare lm_head tensor and Megatron-LLM's own arguments; NVIDIA's
/// norm names and arguments).
inline const MegatronDialect& detect_dialect(const MegatronContent& content, const std::filesystem::path& directory) {
    if (!any_name(content, contains("language_model."))) {
        const bool has_decoder = any_name(content, contains("decoder.layers."));
        if (has_decoder == any_name(content, contains("encoder.layers.")))
            throw Error(to_text(
                directory.string(),
                has_decoder ? std::string(": the model has an encoder and a decoder; only one of the two is supported")
                            : to_text(": the model has neither language_model nor layers of a decoder or encoder",
                                      first_names(content))));
        return choose_core(content);
    }
    if (any_name(content, contains(".layernorm_qkv.")) || any_name(content, contains(".layernorm_mlp.")))
        throw Error(
            to_text(directory.string(),
                    ": Megatron-LM's own model code with Transformer Engine layers (layernorm_qkv) is not read"));
    const auto has_argument = [&](std::initializer_list<const char*> names) {
        return std::any_of(names.begin(), names.end(), [&](const char* name) { return content.args.contains(name); });
    };
    if (any_name(content, [](std::string_view name) { return name.ends_with("language_model.lm_head"); }))
        return megatron_llm();
    if (any_name(content, contains("language_model.output_layer.")) || any_name(content, contains("_norm.weight")))
        return megatron_lm();
    if (has_argument({"num_attention_heads_kv", "tie_embed_logits", "glu_activation", "use_rms_norm", "parallel_attn"}))
        return megatron_llm();
    if (has_argument({"swiglu", "num_query_groups", "normalization", "openai_gelu", "add_position_embedding",
                      "apply_query_key_layer_scaling"}))
        return megatron_lm();
    // The two arrange rotary positions and gates differently, and nothing else.
    if (any_name(content, contains(".position_embeddings.")) && !is_gated(content)) return megatron_lm();
    throw Error(
        to_text(directory.string(),
                ": names and args fit Megatron-LLM and Megatron-LM alike; say which with --source_dialect llm|lm"));
}

inline const MegatronDialect& choose_dialect(const std::string& asked, const MegatronContent& content,
                                             const std::filesystem::path& directory) {
    if (asked.empty()) return detect_dialect(content, directory);
    if (asked == "llm") return megatron_llm();
    if (asked == "lm") return megatron_lm();
    if (asked == "mcore") return choose_core(content);
    throw UsageError(to_text("the dialect '", asked, "' is not known; expected llm, lm or mcore"));
}

}  // namespace crossdock::detail
