// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/container/directory_tree.hpp"
#include "crossdock/container/json.hpp"
#include "crossdock/container/json_text.hpp"
#include "crossdock/container/output_path.hpp"
#include "crossdock/container/path_kind.hpp"
#include "crossdock/container/text_file.hpp"
#include "crossdock/family/header_json.hpp"
#include "crossdock/protocol/header_fields.hpp"
#include "crossdock/protocol/model_header.hpp"
#include "crossdock/version.hpp"

namespace crossdock {

/// crossdock.json, beside the weights of every target: what its format cannot hold, so that a conversion back restores
/// it, and what its user must say on a command line.
inline constexpr std::string_view sidecar_name = "crossdock.json";

/// Fills the header with what a crossdock.json in `directory` says; what the format itself states is to be read after.
inline void read_sidecar(const std::filesystem::path& directory, ModelHeader& header) {
    const std::filesystem::path path = directory / sidecar_name;
    if (!is_anything_at(path)) return;
    const Json json = read_json_object(path);
    in_context(path.string(), [&] {
        if (const auto fields = json.find("header"); fields != json.end() && fields->is_object())
            header_from_json(*fields, header);
        if (const auto fields = json.find("training"); fields != json.end() && fields->is_object())
            header_from_json(*fields, header, training_fields);
        const auto read_name = [&](const char* key, std::string& out) {
            if (const auto found = json.find(key); found != json.end() && found->is_string())
                out = found->get<std::string>();
        };
        read_name("family", header.family);
        read_name("model_type", header.model_type);
        if (const auto carried = json.find("carried"); carried != json.end() && carried->is_object())
            for (const auto& [name, content] : carried->items())
                if (content.is_string()) header.origin.carried[name] = content.get<std::string>();
    });
}

/// Writes crossdock.json. `flags` are the options that the target's user must give by hand.
inline void write_sidecar(const OutputPath& directory, const ModelHeader& header,
                          const std::vector<std::string>& flags) {
    Json json = Json::object();
    json["crossdock"] = library_version;
    json["source_format"] = header.origin.format;
    if (!header.family.empty()) json["family"] = header.family;
    if (!header.model_type.empty()) json["model_type"] = header.model_type;
    json["header"] = header_to_json(header);
    json["training"] = header_to_json(header, training_fields);
    if (!flags.empty()) json["flags"] = flags;
    json["carried"] = Json::object();
    for (const auto& [name, carried] : header.origin.carried) json["carried"][name] = carried.text();
    write_text(directory / sidecar_name, json_text(json) + "\n");
}

/// Puts one thing more into the crossdock.json of a target that is not in its place yet.
inline void add_to_sidecar(const std::filesystem::path& directory, const std::string& key, Json value) {
    const std::filesystem::path path = directory / sidecar_name;
    Json json = is_anything_at(path) ? read_json_object(path) : Json::object();
    json[key] = std::move(value);
    if (const int reason = detail::remove_tree(path); reason != 0)
        throw detail::file_error(path, "cannot be replaced", reason);
    write_text(path, json_text(json) + "\n");
}

}  // namespace crossdock
