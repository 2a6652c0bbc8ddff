// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "crossdock/core/compiled.hpp"
#include "crossdock/family/defaults.hpp"
#include "crossdock/family/entry_points.hpp"
#include "crossdock/family/family.hpp"
#include "crossdock/family/hub/config.hpp"
#include "crossdock/family/hub/layout.hpp"
#include "crossdock/protocol/header_fields.hpp"

namespace crossdock {

namespace detail {

/// Linear layers are Conv1D, stored [in, out]; c_attn's columns are all q, all k, all v.
inline const TensorTable& gpt2_table(const ModelHeader&) {
    using L = TransformerLayer;
    static const TensorTable table{
        .messages = {Rows<Embeddings>{{{&Embeddings::word}, {"transformer.wte.weight"}},
                                      {{&Embeddings::position}, {"transformer.wpe.weight"}}},
                     Rows<TransformerLayer>{
                         {{&L::input_norm_weight}, {"transformer.h.{}.ln_1.weight"}},
                         {{&L::input_norm_bias}, {"transformer.h.{}.ln_1.bias"}},
                         {{&L::qkv_weight}, {"transformer.h.{}.attn.c_attn.weight"}, stacked_qkv_transposed},
                         {{&L::qkv_bias}, {"transformer.h.{}.attn.c_attn.bias"}, stacked_qkv},
                         {{&L::dense_weight}, {"transformer.h.{}.attn.c_proj.weight"}, transposed},
                         {{&L::dense_bias}, {"transformer.h.{}.attn.c_proj.bias"}},
                         {{&L::post_norm_weight}, {"transformer.h.{}.ln_2.weight"}},
                         {{&L::post_norm_bias}, {"transformer.h.{}.ln_2.bias"}},
                         {{&L::fc1_weight}, {"transformer.h.{}.mlp.c_fc.weight"}, transposed},
                         {{&L::fc1_bias}, {"transformer.h.{}.mlp.c_fc.bias"}},
                         {{&L::fc2_weight}, {"transformer.h.{}.mlp.c_proj.weight"}, transposed},
                         {{&L::fc2_bias}, {"transformer.h.{}.mlp.c_proj.bias"}}},
                     Rows<FinalNorm>{{{&FinalNorm::weight}, {"transformer.ln_f.weight"}},
                                     {{&FinalNorm::bias}, {"transformer.ln_f.bias"}}},
                     Rows<OutputLayer>{{{&OutputLayer::weight}, {"lm_head.weight"}}}},
        .tied_copy = "lm_head.weight",
        .ignored_endings = {".attn.bias", ".attn.masked_bias"}};  // masks
    return table;
}

/// transformers writes its general names over GPT-2's own where a config has both.
inline ConfigEntry gpt2_size(std::string_view own, std::string_view general, const HeaderField<std::uint64_t>& field) {
    using namespace config;
    ConfigEntry line = size_entry({own}, field);
    line.stronger = {general};
    return line;
}

/// n_ctx is what releases before 4.4 read in place of n_positions; it goes along where it was.
inline ConfigTable gpt2_positions() {
    using namespace config;
    ConfigEntry line = stated(entry({"n_positions", "n_ctx"}, field::max_position_embeddings, 1024));
    line.stronger = {"max_position_embeddings"};
    return {line, written("n_ctx", [](const ModelHeader& header) {
                return carried_config(header).contains("n_ctx") ? json_of(header.max_position_embeddings) : left_out();
            })};
}

}  // namespace detail

/// GPT-2, and Megatron's GPT with learned positions.
CROSSDOCK_ENTRY_POINT const Family& gpt2_family() {
    using namespace config;
    using H = ModelHeader;
    static const Family family{
        .name = "gpt2",
        .model_types = {"GPT"},
        .defaults = defaults::learned_positions,
        .requirements = {require::plain_attention, require::decoder_only, require::layer_norm, require::plain_norm,
                         require::learned_positions, require::sequential, require::pre_norm, require::final_norm,
                         require::ungated, require::no_window, require::plain_embeddings, require::all_biases,
                         require::multi_head, require::heads_fill_hidden},
        .layouts = {
            {.kind = &hugging_face,
             .types = {"gpt2"},
             .config = join_lists(
                 detail::gpt2_positions(),
                 {detail::gpt2_size("n_embd", "hidden_size", field::hidden_size),
                  detail::gpt2_size("n_layer", "num_hidden_layers", field::num_layers),
                  detail::gpt2_size("n_head", "num_attention_heads", field::num_attention_heads),
                  size_entry({"n_inner"}, field::ffn_hidden_size), vocab_size_config(), dtype_config(),
                  entry({"attn_pdrop"}, field::attention_dropout), entry({"resid_pdrop"}, field::hidden_dropout),
                  stated(entry({"layer_norm_epsilon"}, field::norm_epsilon, 1e-5)),
                  activation_config("activation_function", "gelu_new"),
                  stated(entry({"tie_word_embeddings"}, field::tied_embeddings, true))}),
             .switches = {{"scale_attn_weights", true},
                          {"scale_attn_by_inverse_layer_idx", false},
                          {"reorder_and_upcast_attn", false},
                          {"add_cross_attention", false}},
             .after_config =
                 [](H& header, const Json&) {
                     if (header.mlp.ffn_hidden_size == 0)
                         header.mlp.ffn_hidden_size = checked_multiply(4, header.hidden_size, "MLP rows");
                     return Notices();
                 },
             .architecture = [](const H&) { return std::string("GPT2LMHeadModel"); },
             .table = detail::gpt2_table,
             .spellings = {.base = "transformer.", .heads = {"lm_head."}}}}};
    return family;
}

}  // namespace crossdock
