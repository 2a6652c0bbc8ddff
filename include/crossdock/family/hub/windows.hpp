// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "crossdock/core/error.hpp"
#include "crossdock/core/text.hpp"
#include "crossdock/family/config_table.hpp"
#include "crossdock/protocol/layer_windows.hpp"
#include "crossdock/protocol/model_header.hpp"

namespace crossdock::detail {

// What families whose layers differ in their window share in config.json.

/// The value of layer_types.
inline Json layer_types(const ModelHeader& header) {
    Json types = Json::array();
    for (const bool with_window : layers_with_window(header))
        types.push_back(with_window ? "sliding_attention" : "full_attention");
    return types;
}

/// The layers with a window by layer_types. Throws Error where that is no list of this model's layers.
inline std::vector<bool> listed_windows(const Json& types, std::uint64_t layers) {
    if (!types.is_array() || types.size() != layers)
        throw Error(to_text("'layer_types' is ", json_shown(types), ", expected a list of ", layers, " layers"));
    std::vector<bool> with_window;
    for (const Json& item : types) {
        const auto type = in_context("'layer_types'", [&] { return json_as<std::string>(item); });
        if (type != "sliding_attention" && type != "full_attention")
            throw Error(to_text("'layer_types' says '", type, "', expected full_attention or sliding_attention"));
        with_window.push_back(type == "sliding_attention");
    }
    return with_window;
}

/// Throws Error where config.json says so many layers that no list of them is to be made.
inline void require_listable_layers(const ModelHeader& header) {
    constexpr std::uint64_t most_layers = 1'000'000;
    if (header.num_layers == 0 || header.num_layers > most_layers)
        throw Error(to_text("'num_hidden_layers' is ", header.num_layers, ", expected 1 to ", most_layers));
}

}  // namespace crossdock::detail
