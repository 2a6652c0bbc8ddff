// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "crossdock/core/error.hpp"
#include "crossdock/core/source.hpp"

namespace crossdock {

/// JSON that keeps the order of its keys.
using Json = nlohmann::ordered_json;

/// Throws Error where the text is not JSON. `name` is what errors call it.
inline Json parse_json(const std::string& text_of_json, std::string_view name) {
    try {
        return Json::parse(text_of_json);
    } catch (const nlohmann::json::exception& error) {
        throw Error(text(name, ": is not valid JSON: ", error.what()));
    }
}

/// The text of a small file. Throws Error when it cannot be read or is larger than any description of a model.
inline std::string read_text(const std::filesystem::path& path) {
    constexpr std::uint64_t limit = 64U << 20;
    const FileSource file(path);
    if (file.size() > limit)
        throw Error(text(file.name(), ": holds ", file.size(), " bytes, more than a text file of a checkpoint should"));
    std::string content(file.size(), '\0');
    file.read(0, std::as_writable_bytes(std::span(content)));
    return content;
}

/// The object in a JSON file. Throws Error when there is none.
inline Json read_json_object(const std::filesystem::path& path) {
    Json json = parse_json(read_text(path), path.string());
    if (!json.is_object()) throw Error(text(path.string(), ": expected a JSON object"));
    return json;
}

}  // namespace crossdock
