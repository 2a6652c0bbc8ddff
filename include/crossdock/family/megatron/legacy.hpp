// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "crossdock/family/arrangement.hpp"
#include "crossdock/family/megatron/dialect.hpp"
#include "crossdock/family/tensor_table.hpp"
#include "crossdock/layout/qkv_version.hpp"

namespace crossdock::detail {

// Megatron's own model code, before Megatron-Core: Megatron-LLM and Megatron-LM.

/// An arrangement of q, k and v as it was in files of a checkpoint_version below 1.0.
template <const Arrangement& latest>
inline constexpr Arrangement as_before_1{
    [](Parts stored, const ModelHeader& h, std::uint64_t layer) -> Parts {
        return latest.join({qkv_from_version_0(stored[0], attention_of(h, layer).kv_channels)}, h, layer);
    },
    [](Parts fields, const ModelHeader& h, std::uint64_t layer) -> Parts {
        return {qkv_to_version_0(latest.split(std::move(fields), h, layer)[0], attention_of(h, layer).kv_channels)};
    }};

/// The same for versions below 2.0.
template <const Arrangement& latest>
inline constexpr Arrangement as_before_2{
    [](Parts stored, const ModelHeader& h, std::uint64_t layer) -> Parts {
        return latest.join({qkv_from_version_1(stored[0], attention_of(h, layer).kv_channels)}, h, layer);
    },
    [](Parts fields, const ModelHeader& h, std::uint64_t layer) -> Parts {
        return {qkv_to_version_1(latest.split(std::move(fields), h, layer)[0], attention_of(h, layer).kv_channels)};
    }};

/// What the dialects of Megatron's own model code differ in: how norms, the encoder's head and the MLP are spelt.
struct LegacySpelling {
    std::string input_norm, post_norm, final_norm;  ///< what "weight" and "bias" are appended to
    std::string output_layer, lm_norm;
    Arrangement qkv, gate_up;
};

/// Below language_model: Megatron-LLM and Megatron-LM before Megatron-Core.
inline TensorTable legacy_table(const LegacySpelling& s) {
    using L = TransformerLayer;
    return {
        .messages =
            {Rows<Embeddings>{
                 {{&Embeddings::word}, {"language_model/embedding/word_embeddings/weight"}, as_is, Cut::rows},
                 {{&Embeddings::position}, {"language_model/embedding/position_embeddings/weight"}},
                 {{&Embeddings::token_type}, {"language_model/embedding/tokentype_embeddings/weight"}}},
             Rows<TransformerLayer>{
                 {{&L::input_norm_weight}, {s.input_norm + "weight"}},
                 {{&L::input_norm_bias}, {s.input_norm + "bias"}},
                 {{&L::qkv_weight},
                  {"language_model/encoder/layers.{}.self_attention.query_key_value.weight"},
                  s.qkv,
                  Cut::rows},
                 {{&L::qkv_bias},
                  {"language_model/encoder/layers.{}.self_attention.query_key_value.bias"},
                  s.qkv,
                  Cut::rows},
                 {{&L::dense_weight},
                  {"language_model/encoder/layers.{}.self_attention.dense.weight"},
                  as_is,
                  Cut::columns},
                 {{&L::dense_bias}, {"language_model/encoder/layers.{}.self_attention.dense.bias"}},
                 {{&L::post_norm_weight}, {s.post_norm + "weight"}},
                 {{&L::post_norm_bias}, {s.post_norm + "bias"}},
                 {{&L::gate_weight, &L::up_weight},
                  {"language_model/encoder/layers.{}.mlp.dense_h_to_4h.weight"},
                  s.gate_up,
                  Cut::rows},
                 {{&L::gate_bias, &L::up_bias},
                  {"language_model/encoder/layers.{}.mlp.dense_h_to_4h.bias"},
                  s.gate_up,
                  Cut::rows},
                 {{&L::fc1_weight}, {"language_model/encoder/layers.{}.mlp.dense_h_to_4h.weight"}, as_is, Cut::rows},
                 {{&L::fc1_bias}, {"language_model/encoder/layers.{}.mlp.dense_h_to_4h.bias"}, as_is, Cut::rows},
                 {{&L::fc2_weight}, {"language_model/encoder/layers.{}.mlp.dense_4h_to_h.weight"}, as_is, Cut::columns},
                 {{&L::fc2_bias}, {"language_model/encoder/layers.{}.mlp.dense_4h_to_h.bias"}}},
             Rows<FinalNorm>{{{&FinalNorm::weight}, {s.final_norm + "weight"}},
                             {{&FinalNorm::bias}, {s.final_norm + "bias"}}},
             Rows<OutputLayer>{{{&OutputLayer::weight}, {s.output_layer}, as_is, Cut::rows}},
             Rows<BertPooler>{{{&BertPooler::weight}, {"language_model/pooler/dense.weight"}},
                              {{&BertPooler::bias}, {"language_model/pooler/dense.bias"}}},
             Rows<BertLmHead>{{{&BertLmHead::output_bias}, {"lm_head/bias"}, as_is, Cut::rows},
                              {{&BertLmHead::dense_weight}, {"lm_head/dense.weight"}},
                              {{&BertLmHead::dense_bias}, {"lm_head/dense.bias"}},
                              {{&BertLmHead::norm_weight}, {s.lm_norm + "weight"}},
                              {{&BertLmHead::norm_bias}, {s.lm_norm + "bias"}}},
             Rows<BertBinaryHead>{{{&BertBinaryHead::weight}, {"binary_head/weight"}},
                                  {{&BertBinaryHead::bias}, {"binary_head/bias"}}}},
        .tied_copy = "word_embeddings_for_head/weight",
        .ignored_endings = {"._extra_state", ".rotary_pos_emb.inv_freq", ".rotary_emb.inv_freq"}};
}

/// Megatron's own model code neither centres norms around 0 nor scales embeddings.
inline void plain_constants(ModelHeader& header) {
    header.norm_zero_centered = false;
    header.embedding_multiplier = 1.0;
}

/// The tables of files of older versions; `table` makes one from the arrangement of q, k and v.
template <const Arrangement& latest>
std::vector<OlderTable> older_tables(TensorTable (*table)(Arrangement qkv)) {
    return {{1.0, table(as_before_1<latest>)}, {2.0, table(as_before_2<latest>)}};
}

}  // namespace crossdock::detail
