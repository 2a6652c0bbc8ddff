// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "crossdock/family/megatron/dialects.hpp"
#include "crossdock/plugin/megatron/content.hpp"

namespace crossdock::detail {

inline bool any_name(const MegatronContent& content, auto&& test) {
    return std::any_of(content.ranks.begin(), content.ranks.end(), [&](const MegatronRank& rank) {
        return std::any_of(rank.tensors.begin(), rank.tensors.end(),
                           [&](const NamedTensor& entry) { return test(std::string_view(entry.name)); });
    });
}

/// "; its tensors are 'a', 'b', …", for errors about a model of another kind.
inline std::string first_names(const MegatronContent& content) {
    constexpr std::size_t shown = 3;
    const auto& entries = content.ranks.front().tensors;
    std::vector<std::string> names;
    for (const NamedTensor& entry : entries)
        if (names.size() < shown) names.push_back(to_text("'", shortened(entry.name), "'"));
    if (names.empty()) return "; it has no tensors";
    return to_text("; its tensors are ", joined_list(names), entries.size() > shown ? ", …" : "");
}

inline auto contains(std::string_view part) {
    return [part](std::string_view name) { return name.find(part) != std::string_view::npos; };
}

/// Whether the name is a row's, whatever its prefix and its layer.
inline bool is_named(std::string_view name, std::string pattern) {
    std::replace(pattern.begin(), pattern.end(), '/', '.');
    const std::size_t layer = pattern.find("{}");
    return name.ends_with(layer == pattern.npos ? pattern : pattern.substr(layer + 2));
}

/// Whether an MLP's first matrix has more rows than its second has columns.
inline bool is_gated(const MegatronContent& content, const TensorTable& table) {
    const std::string fc1 = row_of(table, &TransformerLayer::fc1_weight)->names[0];
    const std::string fc2 = row_of(table, &TransformerLayer::fc2_weight)->names[0];
    std::uint64_t rows = 0, columns = 0;
    for (const MegatronRank& rank : content.ranks)
        for (const NamedTensor& entry : rank.tensors) {
            const Shape& shape = entry.tensor.shape();
            if (shape.rank() == 2 && is_named(entry.name, fc1)) rows = shape[0];
            if (shape.rank() == 2 && is_named(entry.name, fc2)) columns = shape[1];
        }
    return rows != columns;
}

inline bool has_learned_positions(const MegatronContent& content, const TensorTable& table) {
    const std::string position = row_of(table, &Embeddings::position)->names[0];
    return any_name(content, [&](std::string_view name) { return is_named(name, position); });
}

inline bool has_own_names(const MegatronContent& content, const MegatronMarks& marks) {
    return any_name(content, [&](std::string_view name) {
        return std::any_of(marks.name_parts.begin(), marks.name_parts.end(),
                           [&](std::string_view part) { return name.find(part) != name.npos; }) ||
               std::any_of(marks.name_endings.begin(), marks.name_endings.end(),
                           [&](std::string_view ending) { return name.ends_with(ending); });
    });
}

inline bool has_own_arguments(const MegatronContent& content, const MegatronMarks& marks) {
    return std::any_of(marks.arguments.begin(), marks.arguments.end(),
                       [&](std::string_view name) { return content.args.values.contains(std::string(name)); });
}

/// How the experts' tensors are named.
inline ExpertLayout expert_layout(const MegatronContent& content) {
    if (any_name(content, contains(".mlp.experts.weight1"))) return ExpertLayout::grouped;
    if (any_name(content, contains(".mlp.experts.linear_fc1.weight"))) return ExpertLayout::te_grouped;
    return ExpertLayout::sequential;
}

/// Megatron-Core's spelling: whose layers, and whether its BERT's.
inline const MegatronDialect& choose_core(const MegatronContent& content, bool is_bert) {
    const ExpertLayout layout = expert_layout(content);
    const MegatronDialect& engine = megatron_core_te(is_bert, layout);
    return has_own_names(content, engine.marks) ? engine : megatron_core_local(is_bert, layout);
}

inline bool is_core_bert(const MegatronContent& content) {
    return any_name(content, contains(megatron_core_local(true).root));
}

/// A model of Megatron-Core. Throws Error when it is none, or has an encoder and a decoder.
inline const MegatronDialect& detect_core(const MegatronContent& content, const std::filesystem::path& directory) {
    const bool has_decoder = any_name(content, contains(megatron_core_local(false).root));
    const bool has_encoder = is_core_bert(content);
    if (has_decoder && has_encoder)
        throw Error(
            to_text(directory.string(), ": the model has an encoder and a decoder; only one of the two is supported"));
    if (!has_decoder && !has_encoder)
        throw Error(to_text(directory.string(),
                            ": the model has neither language_model nor layers of a decoder or encoder",
                            first_names(content)));
    return choose_core(content, has_encoder);
}

/// Which Megatron wrote these names and args.
inline const MegatronDialect& detect_dialect(const MegatronContent& content, const std::filesystem::path& directory) {
    const std::array candidates{&megatron_llm(), &megatron_lm()};
    if (!any_name(content, contains(megatron_lm().root))) return detect_core(content, directory);
    if (any_name(content, contains(".layernorm_qkv.")) || any_name(content, contains(".layernorm_mlp.")))
        throw Error(
            to_text(directory.string(),
                    ": Megatron-LM's own model code with Transformer Engine layers (layernorm_qkv) is not read"));
    for (const MegatronDialect* dialect : candidates)
        if (has_own_names(content, dialect->marks)) return *dialect;
    for (const MegatronDialect* dialect : candidates)
        if (has_own_arguments(content, dialect->marks)) return *dialect;
    // The two arrange rotary positions and gates differently, and nothing else.
    const TensorTable& table = megatron_lm().table;
    if (has_learned_positions(content, table) && !is_gated(content, table)) return megatron_lm();
    throw Error(to_text(directory.string(),
                        ": names and args fit Megatron-LLM and Megatron-LM alike; give the option source_dialect, llm "
                        "or lm"));
}

/// The dialect that is asked for by its name, or told from the files. Throws UsageError for a name that is not known.
inline const MegatronDialect& choose_dialect(const std::string& asked, const MegatronContent& content,
                                             const std::filesystem::path& directory) {
    if (asked.empty()) return detect_dialect(content, directory);
    const std::array known{&megatron_llm(), &megatron_lm(), &choose_core(content, is_core_bert(content))};
    for (const MegatronDialect* dialect : known)
        if (dialect->name == asked) return *dialect;
    throw UsageError(to_text("the dialect '", asked, "' is not known; expected llm, lm or mcore"));
}

}  // namespace crossdock::detail
