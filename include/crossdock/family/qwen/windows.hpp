// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "crossdock/family/config_table.hpp"
#include "crossdock/family/hub/experts.hpp"
#include "crossdock/family/hub/windows.hpp"
#include "crossdock/family/qwen/type.hpp"
#include "crossdock/protocol/layer_windows.hpp"
#include "crossdock/protocol/model_header.hpp"

namespace crossdock::detail {

// A window counts only where use_sliding_window is on. Which layers have it depends on the model type (transformers
// 5.17, configuration_qwen2.py and its like):
//     qwen2, qwen3   those from max_window_layers on
//     qwen2_moe      every second one, from the first on, of those before max_window_layers
//     qwen3_moe      all
// but for the last, a list in layer_types counts before that.

/// The first layer of those at the end that have the window, which is what releases before layer_types read.
inline std::uint64_t first_window_layer(const ModelHeader& header) {
    std::uint64_t first = header.num_layers;
    while (first > 0 && has_window(attention_of(header, first - 1))) --first;
    return first;
}

/// Which layers config.json gives the window to.
inline std::vector<bool> qwen_windows(const Json& config, const ModelHeader& header) {
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
    Attention windowed = header.attention, full = header.attention;
    windowed.sliding_window = window;
    full.sliding_window = 0;
    give_attention(header, qwen_windows(config, header), windowed, full);
}

/// config.json's keys for windows, which are read together. Without a window they say nothing, and stay as they are.
inline ConfigTable qwen_window_config() {
    using namespace config;
    using H = ModelHeader;
    const auto with_window = [](std::string_view key, Json (*value)(const H&)) {
        return written(
            key, [key, value](const H& h) { return window_of(h) > 0 ? value(h) : carried_value(h, std::string(key)); });
    };
    return {written("use_sliding_window", [](const H& h) { return Json(window_of(h) > 0); }),
            with_window("sliding_window", [](const H& h) { return Json(window_of(h)); }),
            with_window("max_window_layers", [](const H& h) { return Json(first_window_layer(h)); }),
            with_window("layer_types", layer_types)};
}

}  // namespace crossdock::detail
