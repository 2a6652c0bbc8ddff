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
#include "crossdock/family/qwen/experts.hpp"
#include "crossdock/family/qwen/type.hpp"
#include "crossdock/family/qwen/windows.hpp"
#include "crossdock/family/requirements.hpp"
#include "crossdock/family/tensor_table.hpp"
#include "crossdock/protocol/header_fields.hpp"
#include "crossdock/protocol/layer_windows.hpp"

namespace crossdock {

// Qwen's models (transformers modeling_qwen2.py, modeling_qwen3.py, …_moe.py) are Llama's but for
//     Qwen2 and 2.5   biases of q, k and v, which no key of config.json asks for
//     Qwen3           norms of queries and keys; heads of a size of their own, 128 unless stated
//     both            a window on some layers, where use_sliding_window is on (qwen/windows.hpp)
//     …-MoE           experts, on some layers or on all (qwen/experts.hpp)

namespace detail {

/// Llama's names, and those of the norms of queries and keys and of experts.
inline const TensorTable& qwen_table(const ModelHeader& header) {
    static const TensorTable table = [&] {
        using L = TransformerLayer;
        TensorTable all = llama_hub_table(header);
        all.rows<L>() = join_lists(all.rows<L>(), hub_head_norm_rows(), qwen_expert_rows());
        return all;
    }();
    return table;
}

/// Which biases there are: the second generation has those of q, k and v whatever attention_bias says.
inline void read_qwen_biases(Attention& attention, const Json& config, std::string_view type) {
    if (type != "qwen2" && type != "qwen2_moe") return;
    attention.qkv_bias = type == "qwen2" || value_or(config, {"qkv_bias"}, true);
    attention.dense_bias = false;
}

/// What the model_type says and no key does. Windows come last: layers that differ have all else of the others.
inline Notices read_qwen(ModelHeader& header, const Json& config) {
    require_listable_layers(header);
    const std::string type = hub_type_of(config);
    Attention& attention = header.attention;
    attention.qk_norm = type == "qwen3" || type == "qwen3_moe";
    read_qwen_biases(attention, config, type);
    if (type == "qwen3" && !config.contains("head_dim")) attention.kv_channels = 128;
    if (!config.contains("num_key_value_heads") && type == "qwen2_moe") attention.num_query_groups = 16;
    if (!config.contains("num_key_value_heads") && type == "qwen3_moe") attention.num_query_groups = 4;
    header.other_layers.clear();
    header.mlp.experts = {};
    if (type == "qwen2_moe" || type == "qwen3_moe") read_qwen_experts(header, config, type == "qwen3_moe");
    Notices notices = read_rope_only(header, config);
    read_qwen_windows(header, config);
    return notices;
}

/// The second generation has no such key.
inline ConfigEntry qwen_bias_config() {
    ConfigEntry line = bias_config("attention_bias", field::qkv_bias, field::dense_bias);
    line.write = [write = std::move(line.write)](const ModelHeader& h) {
        return h.attention.qk_norm ? write(h) : carried_value(h, "attention_bias");
    };
    return line;
}

/// Whether layers differ in one window and in having experts alone.
inline bool is_qwen_in_all_layers(const ModelHeader& header) {
    return attends_in_two_ways(header) && differs_in_window_alone(header) &&
           std::all_of(header.other_layers.begin(), header.other_layers.end(), [&](const auto& other) {
               Mlp mlp = mlp_of(header, other.first);
               if (!has_experts(mlp)) mlp.experts = header.mlp.experts;
               return mlp == header.mlp;
           });
}

}  // namespace detail

/// Qwen 2, 2.5 and 3, dense and with experts.
CROSSDOCK_ENTRY_POINT const Family& qwen_family() {
    using namespace config;
    using H = ModelHeader;
    static const Family family{
        .name = "qwen",
        .model_types = {"qwen2", "qwen3", "qwen2_moe", "qwen3_moe"},
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
             require::softmax_router,
             {"a shared expert beside norms of queries and keys, or none beside biases of q, k and v",
              [](const H& h) {
                  return !has_experts(h.mlp) || h.attention.qk_norm == (h.mlp.experts.shared_ffn_hidden_size == 0);
              }},
             {"a shared expert without a gate",
              [](const H& h) { return h.mlp.experts.shared_ffn_hidden_size == 0 || h.mlp.experts.shared_gate; }},
             {"a window on some layers, beside experts and norms of queries and keys (other_layers)",
              [](const H& h) {
                  return !has_experts(h.mlp) || !h.attention.qk_norm || window_of(h) == 0 || all_attend(h, has_window);
              }},
             {"layers that differ in more than their window or in having experts (other_layers)",
              detail::is_qwen_in_all_layers}}),
        .layouts =
            {{.kind = &hugging_face,
              .types = {"qwen2", "qwen3", "qwen2_moe", "qwen3_moe"},
              .relatives = {"qwen", "qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_vl_moe", "qwen3_next"},
              .config = join_lists(detail::llama_sizes({.key_value_heads = 32, .positions = 32768}), rope_config(),
                                   ConfigTable{activation_config("hidden_act", "silu"),
                                               stated(entry({"rms_norm_eps"}, field::norm_epsilon, 1e-6)),
                                               stated(entry({"tie_word_embeddings"}, field::tied_embeddings, false)),
                                               detail::qwen_bias_config()},
                                   detail::qwen_window_config(), detail::qwen_expert_config()),
              .layers_may_differ = true,
              .after_config = detail::read_qwen,
              .type = detail::qwen_type,
              .architecture =
                  [](const H& h) {
                      return to_text(h.attention.qk_norm ? "Qwen3" : "Qwen2", has_experts(h.mlp) ? "Moe" : "",
                                     "ForCausalLM");
                  },
              .table = detail::qwen_table,
              .spellings = {.base = "model.",
                            .heads = {"lm_head."},
                            .stacked = detail::hub_stacked_experts("gate_proj", "up_proj", "down_proj")}}},
        .guessed_model_type = detail::qwen_type};
    return family;
}

}  // namespace crossdock
