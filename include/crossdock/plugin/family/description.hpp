// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "crossdock/container/foreign_directory.hpp"
#include "crossdock/container/sharded/reader.hpp"
#include "crossdock/family/family.hpp"
#include "crossdock/plugin/original/files.hpp"
#include "crossdock/plugin/table_loader.hpp"

namespace crossdock::detail {

/// The file that describes the model, and what to say of the choice.
struct Description {
    bool is_original = false;
    std::vector<std::string> notices{};
};

inline bool says_hub_type(const std::filesystem::path& directory) {
    const auto file = directory / "config.json";
    return std::filesystem::exists(file) && !hub_type_of(read_json_object(file)).empty();
}

/// Hugging Face where config.json says what the model is, unless only the original weights are there.
inline Description find_description(const Family& family, const std::filesystem::path& directory) {
    const bool has_params = family.original && std::filesystem::exists(directory / "params.json");
    const bool has_config = std::filesystem::exists(directory / "config.json");
    if (!has_params || !has_config) return {.is_original = has_params};
    if (!says_hub_type(directory)) return {.is_original = true};
    if (!holds_original_weights(directory)) return {};
    const std::string where = directory.string();
    if (sharded::holds_weights(directory))
        return {.notices = {to_text(where,
                                    ": also holds params.json and its consolidated files, not read; config.json "
                                    "and the files of Hugging Face come first")}};
    return {.is_original = true,
            .notices = {to_text(where,
                                ": has none of the weights that belong to config.json; params.json and its "
                                "consolidated files are read")}};
}

/// What lies beside the model and is not read, or is not what its name says.
inline std::vector<std::string> notices_beside(const OpenCheckpoint& open, const std::filesystem::path& directory) {
    std::vector<std::string> notices;
    for (const std::string& name : names_in(directory))
        if (matches(name, "adapter_config.json") || matches(name, "adapter_model*"))
            notices.push_back(to_text((directory / name).string(),
                                      ": the adapter beside the model is not applied; merge it "
                                      "first (peft: merge_and_unload()) if it should be"));
    if (notices.size() > 1) notices.resize(1);
    for (const Companion& companion : open.header.origin.companions) {
        const FileSource file(companion.file);
        if (const std::string what = foreign_content(file); what.find("Git LFS") != what.npos || file.size() == 0)
            notices.push_back(to_text(file.name(), ": ", what, "; it is copied as it is"));
    }
    return notices;
}

}  // namespace crossdock::detail
