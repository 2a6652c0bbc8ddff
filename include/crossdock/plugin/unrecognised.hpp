// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "crossdock/container/foreign_directory.hpp"
#include "crossdock/container/json.hpp"
#include "crossdock/container/path_kind.hpp"
#include "crossdock/core/text.hpp"
#include "crossdock/family/hub/type.hpp"

namespace crossdock {

namespace detail {

/// Why no loader takes a config.json for its own; `hub_types` are those that they read.
inline std::string unknown_config(const std::filesystem::path& file, const std::vector<std::string>& hub_types) {
    const Json config = read_json_object(file);
    if (const std::string why = image_model(config); !why.empty()) return to_text(file.string(), ": ", why);
    const auto type = config.find("model_type");
    if (type != config.end() && type->is_string())
        return to_text(file.string(), ": model_type is '", type->get<std::string>(),
                       "', a family that is not read; read are ", joined_list(hub_types));
    if (const auto message = config.find("error"); message != config.end() && message->is_string())
        return to_text(file.string(), ": holds only a server's message, '", first_line(message->get<std::string>()),
                       "'; the download failed, get it again");
    return to_text(file.string(), ": has no model_type, so that nothing says what the model is; expected one of ",
                   joined_list(hub_types));
}

}  // namespace detail

/// Why no loader recognises a directory, and what to do: a line for an error.
inline std::string why_unrecognised(const std::filesystem::path& directory, const std::vector<std::string>& hub_types,
                                    const std::vector<std::string>& loaders) {
    if (detail::names_in(directory).empty()) return to_text(directory.string(), ": is empty");
    const std::string foreign = foreign_directory(directory);
    if (foreign.empty() || foreign.starts_with("holds no model itself")) {
        if (const auto config = directory / "config.json"; is_anything_at(config))
            return detail::unknown_config(config, hub_types);
        if (const auto params = directory / "params.json"; is_anything_at(params))
            return to_text(params.string(), ": has no 'dim', as Meta's and mistralai's have; it is of another model");
    }
    if (!foreign.empty()) return to_text(directory.string(), ": ", foreign);
    return to_text(directory.string(),
                   ": is no checkpoint that a loader recognises; name one of the loaders: ", joined_list(loaders));
}

}  // namespace crossdock
