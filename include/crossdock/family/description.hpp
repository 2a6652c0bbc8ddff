// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>
#include <utility>

#include "crossdock/container/json.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/text.hpp"
#include "crossdock/protocol/carried_text.hpp"
#include "crossdock/protocol/model_header.hpp"

namespace crossdock {

// Descriptions of models (config.json, params.json) as JSON. Each is parsed once and travels in the header, text and
// value together.

/// The file as a text with its value. Throws Error where it cannot be read or holds no JSON object.
inline CarriedText open_json(const std::filesystem::path& file) {
    std::string text = read_text(file);
    Json json = parse_json(text, file.string());
    if (!json.is_object()) throw Error(to_text(file.string(), ": expected a JSON object"));
    return {std::move(text), std::move(json)};
}

/// The value of such a text; lives as long as any copy of it. Throws Error where it is no JSON.
inline const Json& json_of_text(const CarriedText& description) {
    return description.as<Json>([](const std::string& text) { return parse_json(text); });
}

/// The object that the model carries under this name ("config.json"), which lives as long as the header; an empty one
/// where it carries none. Throws Error where the text is no JSON.
inline const Json& carried_json(const ModelHeader& header, const std::string& name) {
    static const Json none = Json::object();
    const auto carried = header.origin.carried.find(name);
    if (carried == header.origin.carried.end()) return none;
    const Json* json = in_context(to_text(name, " of the source"), [&] { return &json_of_text(carried->second); });
    return json->is_object() ? *json : none;
}

}  // namespace crossdock
