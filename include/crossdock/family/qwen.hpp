// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/core/compiled.hpp"
#include "crossdock/core/join_lists.hpp"
#include "crossdock/family/defaults.hpp"
#include "crossdock/family/entry_points.hpp"
#include "crossdock/family/family.hpp"
#include "crossdock/family/hub/config.hpp"
#include "crossdock/family/hub/layout.hpp"
#include "crossdock/family/hub/rope.hpp"
#include "crossdock/family/llama/hub.hpp"
#include "crossdock/family/requirements.hpp"
#include "crossdock/family/tensor_table.hpp"
#include "crossdock/protocol/header_fields.hpp"

namespace crossdock {

// Qwen's dense models (transformers modeling_qwen2.py, modeling_qwen3.py) are Llama's but for
//     Qwen2 and 2.5   biases of q, k and v, which no key of config.json asks for
//     Qwen3           norms of queries and keys; heads of a size of their own, 128 unless stated
//     both            a window from one layer on, or by a list of layers, where use_sliding_window is on

namespace detail {

/// Llama's names, and those of the norms of queries and keys.
inline const TensorTable& qwen_table(const ModelHeader& header) {
    static const TensorTable table = [&] {
        using L = TransformerLayer;
        TensorTable with_norms = llama_hub_table(header);
        with_norms.rows<L>().push_back({{&L::q_norm_weight}, {"model.layers.{}.self_attn.q_norm.weight"}});
        with_norms.rows<L>().push_back({{&L::k_norm_weight}, {"model.layers.{}.self_attn.k_norm.weight"}});
        return with_norms;
    }();
    return table;
}

inline std::string_view qwen_type(const ModelHeader& header) { return header.attention.qk_norm ? "qwen3" : "qwen2"; }

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

/// Which layers config.json gives the window to. Throws Error where its list is not one of this model's layers.
inline std::vector<bool> layers_with_window(const Json& config, std::uint64_t layers) {
    std::uint64_t first = 28;  // Qwen2Config and Qwen3Config
    if (const auto found = config.find("max_window_layers"); found != config.end())
        first = in_context("'max_window_layers'", [&] { return json_as<std::uint64_t>(*found); });
    std::vector<bool> with_window(layers);
    for (std::uint64_t layer = first; layer < layers; ++layer) with_window[layer] = true;
    const auto types = config.find("layer_types");
    if (types == config.end() || types->is_null()) return with_window;
    if (!types->is_array() || types->size() != layers)
        throw Error(to_text("'layer_types' is ", json_shown(*types), ", expected a list of ", layers, " layers"));
    for (std::uint64_t layer = 0; layer < layers; ++layer) {
        const auto type = in_context("'layer_types'", [&] { return json_as<std::string>((*types)[layer]); });
        if (type != "sliding_attention" && type != "full_attention")
            throw Error(to_text("'layer_types' says '", type, "', expected full_attention or sliding_attention"));
        with_window[layer] = type == "sliding_attention";
    }
    return with_window;
}

/// Gives the window to the layers that have it. Layers that differ from the first are kept as such.
inline void read_qwen_windows(ModelHeader& header, const Json& config) {
    constexpr std::uint64_t most = 1'000'000;
    if (header.num_layers > most) throw Error(to_text("'num_hidden_layers' is ", header.num_layers));
    const std::vector<bool> with_window = layers_with_window(config, header.num_layers);
    const auto on = config.find("use_sliding_window");
    const bool is_on =
        on != config.end() && !on->is_null() && in_context("'use_sliding_window'", [&] { return json_as<bool>(*on); });
    std::uint64_t window = is_on ? 4096 : 0;  // the default of both classes
    if (const auto found = config.find("sliding_window"); is_on && found != config.end())
        window = found->is_null() ? 0 : in_context("'sliding_window'", [&] { return json_as<std::uint64_t>(*found); });
    header.other_layers.clear();
    if (with_window.empty()) return;
    header.attention.sliding_window = with_window.front() ? window : 0;
    for (std::uint64_t layer = 1; layer < header.num_layers; ++layer)
        if (window > 0 && with_window[layer] != with_window.front()) {
            header.other_layers[layer].attention = header.attention;
            header.other_layers[layer].attention->sliding_window = with_window[layer] ? window : 0;
        }
}

/// What the model_type says and no key does; windows come last, since layers that differ have all else of the others.
inline Notices read_qwen(ModelHeader& header, const Json& config) {
    Attention& attention = header.attention;
    attention.qk_norm = hub_type_of(config) == std::string_view("qwen3");
    if (!attention.qk_norm) {  // attention_bias is no key of Qwen2
        attention.qkv_bias = true;
        attention.dense_bias = false;
    } else if (!config.contains("head_dim")) {
        attention.kv_channels = 128;
    }
    Notices notices = read_rope_only(header, config);
    read_qwen_windows(header, config);
    return notices;
}

/// What the source's own config.json says, if it is of the same type.
inline Json carried_value(const ModelHeader& header, const char* key) {
    const Json& config = carried_config(header);
    const auto found = config.find(key);
    return found != config.end() && hub_type_of(config) == qwen_type(header) ? *found : config::left_out();
}

/// config.json's keys for windows, which are read together. Without a window they say nothing, and stay as they are.
inline ConfigTable qwen_window_config() {
    using namespace config;
    using H = ModelHeader;
    return {written("use_sliding_window", [](const H& h) { return Json(qwen_window(h) > 0); }),
            written("sliding_window",
                    [](const H& h) {
                        return qwen_window(h) > 0 ? Json(qwen_window(h)) : carried_value(h, "sliding_window");
                    }),
            written("max_window_layers",
                    [](const H& h) {
                        return qwen_window(h) > 0 ? Json(first_window_layer(h)) : carried_value(h, "max_window_layers");
                    }),
            written("layer_types",
                    [](const H& h) { return qwen_window(h) > 0 ? layer_types(h) : carried_value(h, "layer_types"); })};
}

/// Qwen2 has no such key.
inline ConfigEntry qwen_bias_config() {
    ConfigEntry line = bias_config("attention_bias", field::qkv_bias, field::dense_bias);
    line.write = [write = std::move(line.write)](const ModelHeader& h) {
        return h.attention.qk_norm ? write(h) : carried_value(h, "attention_bias");
    };
    return line;
}

}  // namespace detail

/// Qwen 2, 2.5 and 3, dense.
CROSSDOCK_ENTRY_POINT const Family& qwen_family() {
    using namespace config;
    using H = ModelHeader;
    static const Family family{
        .name = "qwen",
        .model_types = {"qwen2", "qwen3"},
        .defaults = defaults::rms_decoder,
        .requirements = join_lists(
            require::rms_decoder(),
            {require::plain_norm,
             require::plain_embeddings,
             require::known_activation,
             {"biases in its MLP", [](const H& h) { return !h.mlp.fc1_bias && !h.mlp.fc2_bias; }},
             {"neither norms of queries and keys (qk_norm), as Qwen3, nor biases of q, k and v alone, as Qwen2",
              [](const H& h) { return h.attention.qk_norm || (h.attention.qkv_bias && !h.attention.dense_bias); }},
             {"a bias in some but not all of its attention layers",
              [](const H& h) { return !h.attention.qk_norm || require::attention_biases_agree.holds(h); }},
             {"layers that differ in more than their window (other_layers)",
              [](const H& h) {
                  return std::all_of(h.other_layers.begin(), h.other_layers.end(), [&](const auto& other) {
                      Attention attention = attention_of(h, other.first);
                      attention.sliding_window = h.attention.sliding_window;
                      return attention == h.attention && mlp_of(h, other.first) == h.mlp;
                  });
              }}}),
        .layouts =
            {{.kind = &hugging_face,
              .types = {"qwen2", "qwen3"},
              .relatives = {"qwen", "qwen2_moe", "qwen3_moe", "qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_next"},
              .config = join_lists(detail::llama_sizes({.key_value_heads = 32, .positions = 32768}), rope_config(),
                                   ConfigTable{activation_config("hidden_act", "silu"),
                                               stated(entry({"rms_norm_eps"}, field::norm_epsilon, 1e-6)),
                                               stated(entry({"tie_word_embeddings"}, field::tied_embeddings, false)),
                                               detail::qwen_bias_config()},
                                   detail::qwen_window_config()),
              .layers_may_differ = true,
              .after_config = detail::read_qwen,
              .type = detail::qwen_type,
              .architecture =
                  [](const H& h) { return std::string(h.attention.qk_norm ? "Qwen3ForCausalLM" : "Qwen2ForCausalLM"); },
              .table = detail::qwen_table,
              .spellings = {.base = "model.", .heads = {"lm_head."}}}},
        .guessed_model_type = detail::qwen_type};
    return family;
}

}  // namespace crossdock
