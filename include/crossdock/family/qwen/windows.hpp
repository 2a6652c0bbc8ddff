// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "crossdock/family/config_table.hpp"
#include "crossdock/family/hub/experts.hpp"
#include "crossdock/family/qwen/type.hpp"
#include "crossdock/protocol/model_header.hpp"

namespace crossdock::detail {

// A window counts only where use_sliding_window is on. Which layers have it depends on the model type (transformers
// 5.17, configuration_qwen2.py and its like):
//     qwen2, qwen3   those from max_window_layers on
//     qwen2_moe      every second one, from the first on, of those before max_window_layers
//     qwen3_moe      all
// but for the last, a list in layer_types counts before that.

inline bool has_window(const Attention& attention) { return attention.sliding_window.value_or(0) > 0; }

/// The window of the layers that have one; 0 where none has. Throws Error where they differ in it.
inline std::uint64_t qwen_window(const ModelHeader& header) {
    std::uint64_t window = 0;
    for (std::uint64_t layer = 0; layer < header.num_layers; ++layer) {
        const std::uint64_t found = attention_of(header, layer).sliding_window.value_or(0);
        if (found > 0 && window > 0 && found != window)
            throw Error(to_text("the layers have windows of ", window, " and of ", found,
                                " tokens, and config.json of Qwen states one"));
        window = std::max(window, found);
    }
    return window;
}

/// The first layer of those at the end that have the window, which is what releases before layer_types read.
inline std::uint64_t first_window_layer(const ModelHeader& header) {
    std::uint64_t first = header.num_layers;
    while (first > 0 && has_window(attention_of(header, first - 1))) --first;
    return first;
}

inline Json layer_types(const ModelHeader& header) {
    Json types = Json::array();
    for (std::uint64_t layer = 0; layer < header.num_layers; ++layer)
        types.push_back(has_window(attention_of(header, layer)) ? "sliding_attention" : "full_attention");
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

/// Which layers config.json gives the window to.
inline std::vector<bool> layers_with_window(const Json& config, const ModelHeader& header) {
    const std::string type = hub_type_of(config);
    if (type == "qwen3_moe") return std::vector<bool>(header.num_layers, true);
    const auto types = config.find("layer_types");
    if (types != config.end() && !types->is_null()) return listed_windows(*types, header.num_layers);
    const auto bound = value_or<std::uint64_t>(config, {"max_window_layers"}, 28);
    std::vector<bool> with_window(header.num_layers);
    for (std::uint64_t layer = 0; layer < header.num_layers; ++layer)
        with_window[layer] = type == "qwen2_moe" ? layer % 2 == 0 && layer < bound : layer >= bound;
    return with_window;
}

/// Gives the window to the layers that have it: those that are unlike the first are the header's other layers.
inline void read_qwen_windows(ModelHeader& header, const Json& config) {
    std::uint64_t window = 0;
    if (value_or(config, {"use_sliding_window"}, false)) {
        const bool is_null = config.contains("sliding_window") && config.at("sliding_window").is_null();
        window = is_null ? 0 : value_or<std::uint64_t>(config, {"sliding_window"}, 4096);
    }
    const std::vector<bool> with_window = layers_with_window(config, header);
    header.attention.sliding_window = with_window.front() ? window : 0;
    for (std::uint64_t layer = 1; layer < header.num_layers; ++layer)
        if (window > 0 && with_window[layer] != with_window.front()) {
            Attention& other = header.other_layers[layer].attention.emplace(header.attention);
            other.sliding_window = with_window[layer] ? window : 0;
        }
}

/// config.json's keys for windows, which are read together. Without a window they say nothing, and stay as they are.
inline ConfigTable qwen_window_config() {
    using namespace config;
    using H = ModelHeader;
    const auto with_window = [](std::string_view key, Json (*value)(const H&)) {
        return written(key, [key, value](const H& h) {
            return qwen_window(h) > 0 ? value(h) : carried_value(h, std::string(key));
        });
    };
    return {written("use_sliding_window", [](const H& h) { return Json(qwen_window(h) > 0); }),
            with_window("sliding_window", [](const H& h) { return Json(qwen_window(h)); }),
            with_window("max_window_layers", [](const H& h) { return Json(first_window_layer(h)); }),
            with_window("layer_types", layer_types)};
}

}  // namespace crossdock::detail
