// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/core/compiled.hpp"
#include "crossdock/family/defaults.hpp"
#include "crossdock/family/entry_points.hpp"
#include "crossdock/family/family.hpp"
#include "crossdock/family/hub/config.hpp"
#include "crossdock/family/hub/layout.hpp"
#include "crossdock/protocol/header_fields.hpp"

namespace crossdock {

// Falcon's blocks (transformers modeling_falcon.py):
//     7B    parallel attention after one norm, one key/value head
//     40B   "new decoder": parallel, two norms, grouped queries; 11B: the same with one norm
//     RW    sequential, ALiBi, biases, multi-head
// query_key_value holds its rows grouped as the message does, in all of them.

namespace detail {

inline TensorTable make_falcon_table(bool has_mlp_norm) {
    using L = TransformerLayer;
    const std::string layer = "transformer.h.{}.", input_norm = layer + (has_mlp_norm ? "ln_attn" : "input_layernorm");
    TensorTable table{
        .messages = {Rows<Embeddings>{{{&Embeddings::word}, {"transformer.word_embeddings.weight"}}},
                     Rows<TransformerLayer>{{{&L::qkv_weight}, {layer + "self_attention.query_key_value.weight"}},
                                            {{&L::qkv_bias}, {layer + "self_attention.query_key_value.bias"}},
                                            {{&L::input_norm_weight}, {input_norm + ".weight"}},
                                            {{&L::input_norm_bias}, {input_norm + ".bias"}},
                                            {{&L::dense_weight}, {layer + "self_attention.dense.weight"}},
                                            {{&L::dense_bias}, {layer + "self_attention.dense.bias"}},
                                            {{&L::fc1_weight}, {layer + "mlp.dense_h_to_4h.weight"}},
                                            {{&L::fc1_bias}, {layer + "mlp.dense_h_to_4h.bias"}},
                                            {{&L::fc2_weight}, {layer + "mlp.dense_4h_to_h.weight"}},
                                            {{&L::fc2_bias}, {layer + "mlp.dense_4h_to_h.bias"}}},
                     Rows<FinalNorm>{{{&FinalNorm::weight}, {"transformer.ln_f.weight"}},
                                     {{&FinalNorm::bias}, {"transformer.ln_f.bias"}}},
                     Rows<OutputLayer>{{{&OutputLayer::weight}, {"lm_head.weight"}}}},
        .tied_copy = "lm_head.weight",
        .ignored_endings = {".rotary_emb.inv_freq", ".maybe_rotary.inv_freq", ".rotary.inv_freq"}};
    const auto add_norm = [&](auto weight, auto bias, const std::string& name) {
        table.rows<TransformerLayer>().push_back({{weight}, {name + ".weight"}});
        table.rows<TransformerLayer>().push_back({{bias}, {name + ".bias"}});
    };
    if (has_mlp_norm)
        add_norm(&L::mlp_norm_weight, &L::mlp_norm_bias, layer + "ln_mlp");
    else
        add_norm(&L::post_norm_weight, &L::post_norm_bias, layer + "post_attention_layernorm");
    return table;
}

inline const TensorTable& falcon_table(const ModelHeader& header) {
    static const TensorTable one_norm = make_falcon_table(false), two_norms = make_falcon_table(true);
    return header.parallel_norm ? two_norms : one_norm;
}

/// Grouped queries and a norm for the MLP came with the new decoder; its blocks are parallel always.
inline bool is_new_falcon(const ModelHeader& header) {
    const bool grouped = header.attention.num_query_groups > 1 &&
                         header.attention.num_query_groups < header.attention.num_attention_heads;
    return header.parallel_norm || grouped;
}

/// A switch, where null is false as in Python.
inline bool falcon_truth(const Json& value) { return !value.is_null() && json_as<bool>(value); }

inline bool falcon_flag(const Json& config, const char* key, bool absent) {
    const auto found = config.find(key);
    return found == config.end() ? absent : in_context(to_text("'", key, "'"), [&] { return falcon_truth(*found); });
}

/// transformers lets n_embed count before hidden_size.
inline ConfigEntry falcon_hidden_size() {
    using namespace config;
    ConfigEntry line = size_entry({"hidden_size"}, field::hidden_size);
    line.stronger = {"n_embed"};
    return line;
}

/// Key/value heads and norms by the rules of the code: num_kv_heads counts in the new decoder only, multi_query in the
/// old one only.
inline Notices read_falcon(ModelHeader& header, const Json& config) {
    const bool is_new =
        falcon_flag(config, "new_decoder_architecture", hub_type_of(config) == std::string_view("RefinedWeb"));
    if (!is_new)
        header.attention.num_query_groups =
            falcon_flag(config, "multi_query", true) ? 1 : header.attention.num_attention_heads;
    if (header.mlp.ffn_hidden_size == 0)
        header.mlp.ffn_hidden_size = checked_multiply(4, header.hidden_size, "MLP rows");
    header.parallel_attention = is_new || falcon_flag(config, "parallel_attn", true);
    std::optional<std::uint64_t> norms;
    read_parameter(config, "num_ln_in_parallel_attn", norms);
    header.parallel_norm = is_new && norms.value_or(2) == 2;
    Notices notices;
    read_hub_rope(header, config, notices);
    return notices;
}

/// The variant, from the names and shapes of the first layer.
inline Notices read_falcon_tensors(ModelHeader& header, std::span<const TensorDict> ranks) {
    const auto find = [&](const char* name) { return ranks[0].find(to_text("transformer.h.0.", name)); };
    const auto check = [](bool said, bool found, std::string_view said_by, std::string_view tensor) {
        if (said != found)
            throw Error(to_text("config.json asks for ", said ? "" : "no ", "'", tensor, "' (", said_by,
                                "), the files hold ", found ? "it" : "none"));
    };
    check(header.parallel_norm, find("ln_attn.weight") != nullptr, "num_ln_in_parallel_attn", "ln_attn");
    check(!header.parallel_attention, find("post_attention_layernorm.weight") != nullptr, "parallel_attn",
          "post_attention_layernorm");
    const NamedTensor* qkv = find("self_attention.query_key_value.weight");
    if (!qkv || qkv->tensor.shape().rank() != 2) return {};
    const std::uint64_t heads = qkv->tensor.shape()[0] / header.attention.kv_channels;
    const std::uint64_t groups =
        heads > header.attention.num_attention_heads ? (heads - header.attention.num_attention_heads) / 2 : 0;
    if (groups == 0 || groups == header.attention.num_query_groups) return {};
    const std::uint64_t said = std::exchange(header.attention.num_query_groups, groups);
    return {to_text("query_key_value has rows for ", groups, " key/value heads, config.json says ", said,
                    "; the tensor is believed")};
}

}  // namespace detail

/// Falcon 7B, 40B, 180B, 11B and RW. Files of the first, remote code are read as well: RefinedWeb configurations.
CROSSDOCK_ENTRY_POINT const Family& falcon_family() {
    using namespace config;
    using H = ModelHeader;
    static const Family family{
        .name = "falcon",
        .model_types = {"falcon"},
        .defaults =
            [](H& header) {
                header.norm = NormKind::layer;
                header.norm_zero_centered = false;
                header.mlp.gated = false;
                header.parallel_attention = true;
                header.attention.rotary_percent = 1.0;
                header.attention.sliding_window = 0;
                header.embedding_multiplier = 1.0;
            },
        .requirements = {require::plain_attention,
                         require::decoder_only,
                         require::layer_norm,
                         require::plain_norm,
                         require::full_rotary,
                         require::pre_norm,
                         require::final_norm,
                         require::ungated,
                         require::no_window,
                         require::plain_embeddings,
                         require::biases_agree,
                         require::heads_fill_hidden,
                         {"positions that are neither rotary nor ALiBi",
                          [](const H& h) {
                              return h.positions == PositionKind::rope || h.positions == PositionKind::alibi;
                          }},
                         {"grouped query heads in sequential blocks",
                          [](const H& h) { return h.parallel_attention || !detail::is_new_falcon(h); }}},
        .layouts =
            {{.kind = &hugging_face,
              .types = {"falcon", "RefinedWeb", "RefinedWebModel"},
              .config = join_lists(
                  rope_config(),
                  {detail::falcon_hidden_size(),
                   size_entry({"ffn_hidden_size"}, field::ffn_hidden_size),
                   size_entry({"num_hidden_layers", "n_layer"}, field::num_layers),
                   size_entry({"num_attention_heads", "n_head"}, field::num_attention_heads),
                   size_entry({"num_kv_heads", "n_head_kv"}, field::num_query_groups),
                   stated(entry({"max_position_embeddings"}, field::max_position_embeddings, 2048)),
                   vocab_size_config(),
                   dtype_config(),
                   entry({"attention_dropout"}, field::attention_dropout),
                   entry({"hidden_dropout"}, field::hidden_dropout),
                   stated(entry({"layer_norm_epsilon"}, field::norm_epsilon, 1e-5)),
                   activation_config("activation", "gelu"),
                   stated(entry({"tie_word_embeddings"}, field::tied_embeddings, true)),
                   {{"bias"},
                    false,
                    [](const Json& value, H& h) {
                        h.attention.qkv_bias = h.attention.dense_bias = h.mlp.fc1_bias = h.mlp.fc2_bias =
                            detail::falcon_truth(value);
                    },
                    [](const H& h) { return Json(h.attention.qkv_bias); }},
                   {{"alibi"},
                    false,
                    [](const Json& value, H& h) {
                        h.positions = detail::falcon_truth(value) ? PositionKind::alibi : PositionKind::rope;
                    },
                    [](const H& h) { return Json(h.positions == PositionKind::alibi); }},
                   written("parallel_attn", [](const H& h) { return Json(h.parallel_attention); }),
                   written("new_decoder_architecture", [](const H& h) { return Json(detail::is_new_falcon(h)); }),
                   written("num_ln_in_parallel_attn",
                           [](const H& h) {
                               return detail::is_new_falcon(h) ? Json(h.parallel_norm ? 2 : 1) : Json(nullptr);
                           }),
                   written("multi_query",
                           [](const H& h) {
                               return Json(h.attention.num_query_groups < h.attention.num_attention_heads);
                           })}),
              .after_config = detail::read_falcon,
              .architecture = [](const H&) { return std::string("FalconForCausalLM"); },
              .table = detail::falcon_table,
              .spellings = {.base = "transformer.", .heads = {"lm_head."}},
              .from_tensors = detail::read_falcon_tensors}}};
    return family;
}

}  // namespace crossdock
