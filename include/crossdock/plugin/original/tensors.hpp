// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "crossdock/container/tensor_dict.hpp"
#include "crossdock/family/family.hpp"
#include "crossdock/family/hub/checks.hpp"
#include "crossdock/family/hub/config.hpp"
#include "crossdock/plugin/hub/names.hpp"
#include "crossdock/plugin/original/files.hpp"

namespace crossdock::detail {

/// What a config.json beside params.json says more of the same model.
inline void read_config_beside(const Family& family, const std::filesystem::path& directory, ModelHeader& header) {
    const auto file = directory / "config.json";
    if (!std::filesystem::exists(file)) return;
    const std::string config_text = read_text(file);
    const Json config = parse_json(config_text, file.string());
    if (!has_hub_type(family, config) || config.contains("quantization_config")) return;
    header.origin.carried["config.json"] = config_text;
    in_context(file.string(), [&] {
        read_parameter(config, "max_position_embeddings", header.max_position_embeddings);
        read_parameter(config, "rope_theta", header.attention.rope_theta);
        if (const auto rope = config.find("rope_parameters"); rope != config.end() && rope->is_object())
            read_parameter(*rope, "rope_theta", header.attention.rope_theta);
    });
}

/// The stored tensors of each part; fills in what of the header only they tell.
inline std::vector<TensorDict> original_tensors(const OriginalFormat& format, const std::filesystem::path& directory,
                                                ModelHeader& header, std::vector<std::string>& notices) {
    OriginalContents contents = read_original_parts(directory);
    const auto add = [&notices](const std::vector<std::string>& more) {
        notices.insert(notices.end(), more.begin(), more.end());
    };
    add(contents.warnings);
    std::vector<std::string> taken_off;  // of all parts alike
    for (TensorDict& part : contents.parts) {
        taken_off.clear();
        part = unwrapped(part, taken_off);
        require_floating(part, format.table(header));
    }
    add(taken_off);
    in_context(directory.string(), [&] {
        check_part_count(contents.parts, header);
        add(format.from_tensors(header, contents.parts));
    });
    return std::move(contents.parts);
}

}  // namespace crossdock::detail
