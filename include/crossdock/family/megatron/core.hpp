// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/core/join_lists.hpp"
#include "crossdock/family/megatron/claims.hpp"
#include "crossdock/family/megatron/dialect.hpp"
#include "crossdock/family/megatron/flags.hpp"
#include "crossdock/family/megatron/nvidia_args.hpp"
#include "crossdock/family/megatron/other_args.hpp"
#include "crossdock/family/megatron/shared.hpp"
#include "crossdock/family/original/rotary_pairs.hpp"
#include "crossdock/family/tensor_table.hpp"

namespace crossdock {

namespace detail {

/// Megatron-Core's names for its two implementations, which differ in where the norms live; "weight" and "bias" are
/// appended to these.
inline TensorTable core_table(const std::string& input_norm, const std::string& post_norm) {
    using L = TransformerLayer;
    return {
        .messages =
            {Rows<Embeddings>{{{&Embeddings::word}, {"embedding.word_embeddings.weight"}, as_is, Cut::rows},
                              {{&Embeddings::position}, {"embedding.position_embeddings.weight"}},
                              {{&Embeddings::token_type}, {"embedding.tokentype_embeddings.weight"}}},
             Rows<TransformerLayer>{
                 {{&L::input_norm_weight}, {input_norm + "weight"}},
                 {{&L::input_norm_bias}, {input_norm + "bias"}},
                 {{&L::dense_weight}, {"decoder.layers.{}.self_attention.linear_proj.weight"}, as_is, Cut::columns},
                 {{&L::dense_bias}, {"decoder.layers.{}.self_attention.linear_proj.bias"}},
                 {{&L::qkv_weight},
                  {"decoder.layers.{}.self_attention.linear_qkv.weight"},
                  grouped_qkv_as_flagged,
                  Cut::rows},
                 {{&L::qkv_bias},
                  {"decoder.layers.{}.self_attention.linear_qkv.bias"},
                  grouped_qkv_as_flagged,
                  Cut::rows},
                 {{&L::q_norm_weight}, {"decoder.layers.{}.self_attention.q_layernorm.weight"}, head_norm_as_flagged},
                 {{&L::k_norm_weight}, {"decoder.layers.{}.self_attention.k_layernorm.weight"}, head_norm_as_flagged},
                 {{&L::post_norm_weight}, {post_norm + "weight"}},
                 {{&L::post_norm_bias}, {post_norm + "bias"}},
                 {{&L::gate_weight, &L::up_weight},
                  {"decoder.layers.{}.mlp.linear_fc1.weight"},
                  gate_over_up,
                  Cut::rows},
                 {{&L::gate_bias, &L::up_bias}, {"decoder.layers.{}.mlp.linear_fc1.bias"}, gate_over_up, Cut::rows},
                 {{&L::fc1_weight}, {"decoder.layers.{}.mlp.linear_fc1.weight"}, as_is, Cut::rows},
                 {{&L::fc1_bias}, {"decoder.layers.{}.mlp.linear_fc1.bias"}, as_is, Cut::rows},
                 {{&L::fc2_weight}, {"decoder.layers.{}.mlp.linear_fc2.weight"}, as_is, Cut::columns},
                 {{&L::fc2_bias}, {"decoder.layers.{}.mlp.linear_fc2.bias"}}},
             Rows<FinalNorm>{{{&FinalNorm::weight}, {"decoder.final_layernorm.weight"}},
                             {{&FinalNorm::bias}, {"decoder.final_layernorm.bias"}}},
             Rows<OutputLayer>{{{&OutputLayer::weight}, {"output_layer.weight"}, as_is, Cut::rows}},
             Rows<BertPooler>{{{&BertPooler::weight}, {"pooler.dense.weight"}},
                              {{&BertPooler::bias}, {"pooler.dense.bias"}}},
             Rows<BertLmHead>{{{&BertLmHead::dense_weight}, {"lm_head.dense.weight"}},
                              {{&BertLmHead::dense_bias}, {"lm_head.dense.bias"}},
                              {{&BertLmHead::norm_weight}, {"lm_head.layer_norm.weight"}},
                              {{&BertLmHead::norm_bias}, {"lm_head.layer_norm.bias"}},
                              {{&BertLmHead::output_bias}, {"output_layer.bias"}, as_is, Cut::rows}},
             Rows<BertBinaryHead>{{{&BertBinaryHead::weight}, {"binary_head.weight"}},
                                  {{&BertBinaryHead::bias}, {"binary_head.bias"}}}},
        .tied_copy = "output_layer.weight",
        .ignored_endings = {"._extra_state", ".inv_freq"}};
}

/// A decoder of Megatron-Core, whichever layers it has.
inline MegatronDialect core_dialect(TensorTable table, std::string_view transformer_impl) {
    return {.name = "mcore",
            .code = MegatronCode::core,
            .line = MegatronLine::nvidia,
            .table = std::move(table),
            .root = "decoder.layers.",
            .args = megatron_core_args(transformer_impl),
            .other_args = megatron_other_args(),
            .claims = megatron_core_claims(),
            .gate_switches = {"swiglu", "quick_geglu"},
            .tokenizers = nvidia_tokenizers(),
            .requirements = join_lists(megatron_requirements(), nvidia_requirements()),
            .flags = megatron_core_flags(),
            .unsaid = {unsaid::scaling_but_llama3, unsaid::scaled_embeddings, unsaid::llama3_constants,
                       unsaid::core_activation},
            .limits = bert_limits()};
}

/// With Megatron-Core's own ("local") layers.
inline MegatronDialect core_local() {
    return core_dialect(core_table("decoder.layers.{}.input_layernorm.", "decoder.layers.{}.pre_mlp_layernorm."),
                        "local");
}

/// With Transformer Engine's layers, which hold the norm in front of them.
inline MegatronDialect core_te() {
    MegatronDialect dialect = core_dialect(core_table("decoder.layers.{}.self_attention.linear_qkv.layer_norm_",
                                                      "decoder.layers.{}.mlp.linear_fc1.layer_norm_"),
                                           "transformer_engine");
    dialect.layer_placeholders = {"decoder.layers.{}.self_attention.linear_proj._extra_state",
                                  "decoder.layers.{}.self_attention.linear_qkv._extra_state",
                                  "decoder.layers.{}.mlp.linear_fc1._extra_state",
                                  "decoder.layers.{}.mlp.linear_fc2._extra_state"};
    dialect.marks.name_parts = {"linear_qkv.layer_norm_weight"};
    return dialect;
}

/// Megatron-Core's BERT calls its blocks "encoder".
inline MegatronDialect as_encoder(MegatronDialect dialect) {
    dialect.root = "encoder.layers.";
    dialect.table = renamed(std::move(dialect.table), "decoder.", "encoder.");
    for (std::string& name : dialect.layer_placeholders) name = replaced(std::move(name), "decoder.", "encoder.");
    return dialect;
}

}  // namespace detail

/// Megatron-Core with its own ("local") layers, a decoder or its BERT.
inline const MegatronDialect& megatron_core_local(bool is_bert) {
    static const MegatronDialect decoder = detail::core_local(), bert = detail::as_encoder(decoder);
    return is_bert ? bert : decoder;
}

/// Megatron-Core with Transformer Engine's layers, a decoder or its BERT.
inline const MegatronDialect& megatron_core_te(bool is_bert) {
    static const MegatronDialect decoder = detail::core_te(), bert = detail::as_encoder(decoder);
    return is_bert ? bert : decoder;
}

}  // namespace crossdock
