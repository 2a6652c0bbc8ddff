// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/family/config_table.hpp"
#include "crossdock/family/gemma/type.hpp"
#include "crossdock/family/hub/experts.hpp"
#include "crossdock/family/hub/rope.hpp"
#include "crossdock/family/hub/windows.hpp"
#include "crossdock/family/layout.hpp"
#include "crossdock/protocol/layer_windows.hpp"
#include "crossdock/protocol/model_header.hpp"

namespace crossdock::detail {

// Gemma 2 and 3 have layers with a window among those without. layer_types says which; where it is not there (files
// from before 4.53), those of Gemma 2 take turns, and of Gemma 3 all have it but each sliding_window_pattern-th.
// In Gemma 3 the two turn by bases of their own, and only the layers without a window may stretch their positions:
//     since 5      rope_parameters {"full_attention": {rope_theta, rope_type, …}, "sliding_attention": {…}}
//     before       rope_theta, rope_scaling  of the former, rope_local_base_freq  of the latter
// (transformers 5.17 and 4.57, configuration_gemma2.py and configuration_gemma3.py). The older form is written, which
// every release reads.

/// Which layers config.json gives the window to.
inline std::vector<bool> gemma_windows(const Json& config, const ModelHeader& header) {
    const auto types = config.find("layer_types");
    if (types != config.end() && !types->is_null()) return listed_windows(*types, header.num_layers);
    const bool is_third = header.attention.qk_norm;
    const std::uint64_t pattern =
        is_third ? value_or<std::uint64_t>(config, {"sliding_window_pattern", "_sliding_window_pattern"}, 6) : 2;
    if (pattern == 0) throw Error("'sliding_window_pattern' is 0, expected at least 1");
    std::vector<bool> with_window(header.num_layers);
    for (std::uint64_t layer = 0; layer < header.num_layers; ++layer) with_window[layer] = (layer + 1) % pattern != 0;
    return with_window;
}

/// The pattern by which Gemma 3's layers have a window; nothing where there is none.
inline std::optional<std::uint64_t> gemma_pattern(const ModelHeader& header) {
    const std::vector<bool> with_window = layers_with_window(header);
    std::uint64_t pattern = 1;  // the number of the first layer without one
    while (pattern <= with_window.size() && with_window[pattern - 1]) ++pattern;
    for (std::uint64_t layer = 0; layer < with_window.size(); ++layer)
        if (with_window[layer] != ((layer + 1) % pattern != 0)) return std::nullopt;
    return pattern;
}

/// How layers of one kind turn in Gemma 3, as a description of a model that has no others.
struct GemmaRope {
    const char* kind;       ///< in rope_parameters
    const char* theta_key;  ///< the key before these
    double usual_theta;
    bool may_scale;  ///< rope_scaling is theirs
};

inline Json rope_of_kind(const Json& config, const GemmaRope& rope) {
    Json parameters = Json::object();
    if (const auto nested = config.find("rope_parameters"); nested != config.end() && !nested->is_null()) {
        if (!nested->is_object() || (!nested->contains("full_attention") && !nested->contains("sliding_attention")))
            throw Error(to_text("'rope_parameters' is ", json_shown(*nested),
                                ", expected an object with full_attention and sliding_attention"));
        if (const auto own = nested->find(rope.kind); own != nested->end() && !own->is_null()) {
            if (!own->is_object())
                throw Error(
                    to_text("'rope_parameters': '", rope.kind, "' is ", json_shown(*own), ", expected an object"));
            parameters = *own;
        }
    }
    if (const auto scaling = config.find("rope_scaling");
        rope.may_scale && scaling != config.end() && !scaling->is_null()) {
        if (!scaling->is_object())
            throw Error(to_text("'rope_scaling': is ", json_shown(*scaling), ", expected an object or null"));
        parameters.update(*scaling);
    }
    if (!parameters.contains("rope_theta"))
        parameters["rope_theta"] = value_or(config, {rope.theta_key}, rope.usual_theta);
    return {{"rope_parameters", std::move(parameters)}};
}

/// How layers of one kind attend in Gemma 3.
inline Attention attention_of_kind(const ModelHeader& header, const Json& config, const GemmaRope& rope,
                                   Notices& notices) {
    ModelHeader one = header;
    read_hub_rope(one, rope_of_kind(config, rope), notices);
    return one.attention;
}

/// Reads which layers have a window and how positions turn. Called when the rest of the attention is read.
inline void read_gemma_layers(ModelHeader& header, const Json& config, Notices& notices) {
    Attention windowed, full;
    if (header.attention.qk_norm) {
        windowed =
            attention_of_kind(header, config, {"sliding_attention", "rope_local_base_freq", 10000, false}, notices);
        full = attention_of_kind(header, config, {"full_attention", "rope_theta", 1'000'000, true}, notices);
    } else {
        read_hub_rope(header, config, notices);
        windowed = full = header.attention;
    }
    const bool is_null = config.contains("sliding_window") && config.at("sliding_window").is_null();
    windowed.sliding_window = is_null ? 0 : value_or<std::uint64_t>(config, {"sliding_window"}, 4096);
    full.sliding_window = 0;
    const std::vector<bool> with_window = gemma_windows(config, header);
    if (!has_window(windowed) && std::find(with_window.begin(), with_window.end(), true) != with_window.end())
        throw Error("'sliding_window' states no window, and there are layers that have one by layer_types");
    give_attention(header, with_window, windowed, full);
}

/// config.json's keys for the two kinds of layers, beside those of rope_config().
inline ConfigTable gemma_layers_config() {
    using namespace config;
    using H = ModelHeader;
    const auto since_2 = [](std::string_view key, Json (*value)(const H&)) {
        return written(key, [key, value](const H& h) {
            return h.block_output_norms ? value(h) : gemma_carried(h, std::string(key));
        });
    };
    // Spellings of a pattern that layer_types says as well stay as they are.
    const auto pattern = [](const std::string& key, Json (*value)(const H&)) {
        return [key, value](const H& h) {
            const Json& config = carried_config(h);
            const bool is_same = hub_type_of(config) == gemma_type(h) && config.contains("layer_types") &&
                                 config.at("layer_types") == layer_types(h);
            if (is_same) return gemma_carried(h, key);
            return gemma_type(h) == "gemma3_text" ? value(h) : left_out();
        };
    };
    return {since_2("sliding_window",
                    [](const H& h) {
                        if (window_of(h) > 0) return Json(window_of(h));
                        const Json carried = gemma_carried(h, "sliding_window");  // of no layer
                        return carried.is_discarded() ? Json(nullptr) : carried;
                    }),
            since_2("layer_types", layer_types),
            written("sliding_window_pattern", pattern("sliding_window_pattern",
                                                      [](const H& h) {
                                                          const auto found = gemma_pattern(h);
                                                          return found ? Json(*found) : left_out();
                                                      })),
            written("_sliding_window_pattern", pattern("_sliding_window_pattern", [](const H&) { return left_out(); })),
            since_2("rope_local_base_freq", [](const H& h) {
                const Attention* windowed = windowed_attention(h);
                return h.attention.qk_norm && windowed ? json_of(windowed->rope_theta) : left_out();
            })};
}

}  // namespace crossdock::detail
