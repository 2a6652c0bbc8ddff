// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "crossdock/container/path_kind.hpp"
#include "crossdock/family/evidence.hpp"
#include "crossdock/family/family.hpp"
#include "crossdock/family/hub/checks.hpp"
#include "crossdock/family/hub/names.hpp"
#include "crossdock/family/hub/type.hpp"
#include "crossdock/family/original/files.hpp"
#include "crossdock/family/original/params.hpp"

namespace crossdock {

// The layouts in which Meta and mistralai publish: params.json and consolidated files. They differ in how many files
// they write, and share all else.

namespace detail {

/// What a config.json beside params.json says more of the same model.
inline void read_config_beside(const Layout& layout, const std::filesystem::path& directory, ModelHeader& header) {
    const auto file = directory / "config.json";
    if (!is_anything_at(file)) return;
    std::string text = read_text(file);
    Json config = parse_json(text, file.string());
    if (!has_hub_type(layout, config) || config.contains("quantization_config")) return;
    in_context(file.string(), [&] {
        read_parameter(config, "max_position_embeddings", header.max_position_embeddings);
        read_parameter(config, "rope_theta", header.attention.rope_theta);
        if (const auto rope = config.find("rope_parameters"); rope != config.end() && rope->is_object())
            read_parameter(*rope, "rope_theta", header.attention.rope_theta);
    });
    header.origin.carried["config.json"] = {std::move(text), std::move(config)};
}

inline Notices read_params(const Family& family, const Layout& layout, const Json& params, ModelHeader& header) {
    Notices notices = read_by_table(family, layout, params, header);
    note_unknown_params(layout, params, header);
    return notices;
}

/// Throws Error where some of Meta's parts are missing: what they cut does not add up to what params.json says. A norm,
/// which all hold whole, tells first whether params.json is of this model at all.
inline void check_part_count(const TensorTable& table, std::span<const TensorDict> parts, const ModelHeader& header) {
    const NamedTensor* norm = parts[0].find(stored_name(table, &FinalNorm::weight));
    const NamedTensor* query = parts[0].find(stored_name(table, &TransformerLayer::qkv_weight));
    if (!norm || !query || query->tensor.shape().rank() != 2 || query->file.str().ends_with(".safetensors")) return;
    const std::uint64_t rows = query->tensor.shape()[0], dim = header.hidden_size;
    if (norm->tensor.element_count() != dim || rows == 0 || dim % rows != 0 || dim / rows == parts.size()) return;
    if (header.attention.kv_channels != 0 && header.attention.kv_channels * header.attention.num_attention_heads != dim)
        return;
    const std::uint64_t count = dim / rows;
    throw Error(to_text("holds ", parts.size(), " of ", count, " parts, expected consolidated.00.pth to ",
                        consolidated_name(count - 1)));
}

inline Notices understand_parts(const Family& family, const Layout& layout, const std::filesystem::path& directory,
                                std::vector<TensorDict>& parts, ModelHeader& header) {
    Notices notices;  // of all parts alike
    for (TensorDict& part : parts) {
        notices.clear();
        part = unwrapped(part, notices);
        require_floating(part, layout.table(header));
    }
    in_context(directory.string(), [&] { check_part_count(layout.table(header), parts, header); });
    for (std::string& line : ask_tensors(family, layout, directory, parts, header)) notices.push_back(std::move(line));
    return notices;
}

/// What the target's user must know of a tied model, and what the family says.
inline std::pair<TensorTable, Notices> original_target(const Family& family, const Layout& layout,
                                                       const ModelHeader& header) {
    auto target = usual_target(family, layout, header);
    if (header.tied_embeddings)
        target.second.insert(target.second.begin(),
                             to_text(for_family(layout.kind->target, family.name),
                                     " knows no tied models; the head is written as a copy of the embeddings"));
    return target;
}

}  // namespace detail

/// Meta's layout: a part for each model-parallel rank.
inline constexpr LayoutKind meta_release{.name = "original",
                                         .checkpoint_type = "meta",
                                         .description = "params.json",
                                         .weights = "its consolidated files",
                                         .reads = "the original release layout",
                                         .writes = "the original release layout",
                                         .source = "original {} release",
                                         .target = "the original {} layout",
                                         .states_sizes = false,
                                         .holds_weights = holds_original_weights,
                                         .open_description = open_params,
                                         .read_beside = detail::read_config_beside,
                                         .read_description = detail::read_params,
                                         .read_tensors = read_original_parts,
                                         .understand_tensors = detail::understand_parts,
                                         .target_table = detail::original_target,
                                         .open_writers = open_consolidated_parts};

namespace detail {
constexpr LayoutKind make_mistralai_release() {
    LayoutKind kind = meta_release;
    kind.one_part = "mistralai's layout has one part";
    kind.open_writers = open_consolidated;
    return kind;
}
}  // namespace detail

/// mistralai's layout: the same in one file, consolidated.safetensors.
inline constexpr LayoutKind mistralai_release = detail::make_mistralai_release();

}  // namespace crossdock
