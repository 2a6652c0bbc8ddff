// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "crossdock/core/compiled.hpp"
#include "crossdock/family/defaults.hpp"
#include "crossdock/family/entry_points.hpp"
#include "crossdock/family/family.hpp"
#include "crossdock/family/hub/config.hpp"
#include "crossdock/family/hub/layout.hpp"
#include "crossdock/family/llama/original.hpp"
#include "crossdock/protocol/header_fields.hpp"

namespace crossdock {

namespace detail {

/// What later families add to Llama's names: norms of each head's queries and keys.
inline Rows<TransformerLayer> hub_head_norm_rows() {
    using L = TransformerLayer;
    return Rows<L>{{{&L::q_norm_weight}, {"model.layers.{}.self_attn.q_norm.weight"}},
                   {{&L::k_norm_weight}, {"model.layers.{}.self_attn.k_norm.weight"}}};
}

/// The Hugging Face names of Llama, which Mistral and Gemma use as well.
inline const TensorTable& llama_hub_table(const ModelHeader&) {
    using L = TransformerLayer;
    static const TensorTable table{
        .messages = {Rows<Embeddings>{{{&Embeddings::word}, {"model.embed_tokens.weight"}}},
                     Rows<TransformerLayer>{
                         {{&L::input_norm_weight}, {"model.layers.{}.input_layernorm.weight"}},
                         {{&L::qkv_weight},
                          {"model.layers.{}.self_attn.q_proj.weight", "model.layers.{}.self_attn.k_proj.weight",
                           "model.layers.{}.self_attn.v_proj.weight"},
                          separate_qkv},
                         {{&L::qkv_bias},
                          {"model.layers.{}.self_attn.q_proj.bias", "model.layers.{}.self_attn.k_proj.bias",
                           "model.layers.{}.self_attn.v_proj.bias"},
                          separate_qkv},
                         {{&L::dense_weight}, {"model.layers.{}.self_attn.o_proj.weight"}},
                         {{&L::dense_bias}, {"model.layers.{}.self_attn.o_proj.bias"}},
                         {{&L::post_norm_weight}, {"model.layers.{}.post_attention_layernorm.weight"}},
                         {{&L::gate_weight}, {"model.layers.{}.mlp.gate_proj.weight"}},
                         {{&L::gate_bias}, {"model.layers.{}.mlp.gate_proj.bias"}},
                         {{&L::up_weight}, {"model.layers.{}.mlp.up_proj.weight"}},
                         {{&L::up_bias}, {"model.layers.{}.mlp.up_proj.bias"}},
                         {{&L::fc2_weight}, {"model.layers.{}.mlp.down_proj.weight"}},
                         {{&L::fc2_bias}, {"model.layers.{}.mlp.down_proj.bias"}}},
                     Rows<FinalNorm>{{{&FinalNorm::weight}, {"model.norm.weight"}}},
                     Rows<OutputLayer>{{{&OutputLayer::weight}, {"lm_head.weight"}}}},
        .tied_copy = "lm_head.weight",
        .ignored_endings = {".rotary_emb.inv_freq"}};
    return table;
}

/// What it means that config.json has no such key: null is "as many as there are heads" and "hidden_size / heads".
struct LlamaSizeDefaults {
    Json key_value_heads = nullptr;
    Json head_size = nullptr;
    Json positions = 2048;
};

/// The sizes in config.json that Llama, Mistral and Gemma share.
inline ConfigTable llama_sizes(const LlamaSizeDefaults& absent = {}) {
    using namespace config;
    const ConfigEntry head_size = size_entry({"head_dim"}, field::kv_channels, absent.head_size);
    return {size_entry({"hidden_size"}, field::hidden_size),
            size_entry({"intermediate_size"}, field::ffn_hidden_size),
            size_entry({"num_hidden_layers"}, field::num_layers),
            size_entry({"num_attention_heads"}, field::num_attention_heads),
            size_entry({"num_key_value_heads"}, field::num_query_groups, absent.key_value_heads),
            absent.head_size.is_null() ? head_size : stated(head_size),
            stated(entry({"max_position_embeddings"}, field::max_position_embeddings, absent.positions)),
            vocab_size_config(),
            dtype_config(),
            entry({"attention_dropout"}, field::attention_dropout)};
}

/// A key that decides over the biases of two layers; a model that has one without the other is refused elsewhere.
inline ConfigEntry bias_config(std::string_view key, const HeaderField<bool>& first, const HeaderField<bool>& second) {
    return {{key},
            false,
            [first, second](const Json& value, ModelHeader& h) { first(h) = second(h) = json_as<bool>(value); },
            [first](const ModelHeader& h) { return Json(first(h)); }};
}

inline Notices read_rope_only(ModelHeader& header, const Json& config) {
    Notices notices;
    read_hub_rope(header, config, notices);
    return notices;
}

}  // namespace detail

/// Llama 1 to 3 and Code Llama.
CROSSDOCK_ENTRY_POINT const Family& llama_family() {
    using namespace config;
    using H = ModelHeader;
    static const Family family{
        .name = "llama",
        .model_types = {"llama2", "llama", "llama3", "codellama"},
        .defaults = defaults::rms_decoder,
        .requirements =
            join_lists(require::rms_decoder(),
                       {require::plain_norm, require::no_window, require::plain_embeddings, require::known_activation,
                        require::attention_biases_agree, require::mlp_biases_agree}),
        .layouts = {{.kind = &hugging_face,
                     .types = {"llama"},
                     .config = join_lists(
                         detail::llama_sizes(), rope_config(),
                         ConfigTable{activation_config("hidden_act", "silu"),
                                     stated(entry({"rms_norm_eps"}, field::norm_epsilon, 1e-6)),
                                     stated(entry({"tie_word_embeddings"}, field::tied_embeddings, false)),
                                     detail::bias_config("attention_bias", field::qkv_bias, field::dense_bias),
                                     detail::bias_config("mlp_bias", field::fc1_bias, field::fc2_bias)}),
                     .after_config = detail::read_rope_only,
                     .architecture = [](const H&) { return std::string("LlamaForCausalLM"); },
                     .table = detail::llama_hub_table,
                     .spellings = {.base = "model.", .heads = {"lm_head."}}},
                    llama_original()},
        .guessed_model_type = detail::guess_llama_type};
    return family;
}

}  // namespace crossdock
