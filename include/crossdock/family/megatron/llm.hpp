// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "crossdock/core/join_lists.hpp"
#include "crossdock/family/megatron/claims.hpp"
#include "crossdock/family/megatron/dialect.hpp"
#include "crossdock/family/megatron/flags.hpp"
#include "crossdock/family/megatron/legacy.hpp"
#include "crossdock/family/megatron/llm_args.hpp"
#include "crossdock/family/megatron/other_args.hpp"
#include "crossdock/family/megatron/shared.hpp"

namespace crossdock {

namespace detail {

inline TensorTable llm_table(Arrangement qkv) {
    using L = TransformerLayer;
    TensorTable table = legacy_table({.input_norm = "language_model/encoder/layers.{}.input_layernorm.",
                                      .post_norm = "language_model/encoder/layers.{}.post_attention_layernorm.",
                                      .final_norm = "language_model/encoder/final_layernorm.",
                                      .output_layer = "language_model/lm_head",
                                      .lm_norm = "lm_head/layernorm.",
                                      .qkv = qkv,
                                      .gate_up = up_over_gate});
    Rows<L>& layer = table.rows<L>();
    layer = join_lists(std::move(layer),
                       {{{&L::mlp_norm_weight}, {"language_model/encoder/layers.{}.mlp_layernorm.weight"}},
                        {{&L::mlp_norm_bias}, {"language_model/encoder/layers.{}.mlp_layernorm.bias"}},
                        {{&L::output_norm_weight}, {"language_model/encoder/layers.{}.output_layernorm.weight"}},
                        {{&L::output_norm_bias}, {"language_model/encoder/layers.{}.output_layernorm.bias"}}});
    return table;
}

inline std::vector<Requirement> llm_requirements() {
    using H = ModelHeader;
    return join_lists(
        megatron_requirements(), legacy_requirements(),
        std::vector<Requirement>{
            require::plain_norm,
            require::plain_embeddings,
            require::full_rotary,
            require::biases_agree,
            {"no positions at all",
             [](const H& h) { return h.positions == PositionKind::rope || h.positions == PositionKind::learned; }},
            {"an activation that Megatron-LLM has no name for", megatron_llm_knows_activation}});
}

inline std::vector<Requirement> llm_limits() {
    const std::vector<Requirement> own{
        {"Megatron (llm) takes the rotary size from hidden_size / num_attention_heads, which differs from kv_channels "
         "here",
         require::heads_fill_hidden.holds}};
    return join_lists(own, bert_limits());
}

}  // namespace detail

/// epfLLM Megatron-LLM.
inline const MegatronDialect& megatron_llm() {
    static const MegatronDialect dialect{.name = "llm",
                                         .code = MegatronCode::llm,
                                         .line = MegatronLine::epfl,
                                         .table = detail::llm_table(grouped_qkv_pairs),
                                         .older_tables = detail::older_tables<grouped_qkv_pairs>(detail::llm_table),
                                         .older_spellings = {{"language_model.transformer.", "language_model.encoder."},
                                                             {".attention.", ".self_attention."}},
                                         .root = "language_model.",
                                         .marks = {.name_endings = {"language_model.lm_head"},
                                                   .arguments = {"num_attention_heads_kv", "tie_embed_logits",
                                                                 "glu_activation", "use_rms_norm", "parallel_attn"}},
                                         .writes_release = true,
                                         .args = megatron_llm_args(),
                                         .other_args = megatron_llm_other_args(),
                                         .claims = megatron_llm_claims(),
                                         .tokenizers = {{"llama", "SentencePieceTokenizer"},
                                                        {"mistral", "SentencePieceTokenizer"},
                                                        {"falcon", "FalconTokenizer"},
                                                        {"gpt2", "GPT2BPETokenizer"},
                                                        {"GPT", "GPT2BPETokenizer"},
                                                        {"bert", "BertWordPieceLowerCase"},
                                                        {"BERT", "BertWordPieceLowerCase"}},
                                         .constants = detail::plain_constants,
                                         .requirements = detail::llm_requirements(),
                                         .flags = megatron_llm_flags(),
                                         .unsaid = {detail::unsaid::any_scaling, detail::unsaid::scaled_embeddings},
                                         .limits = detail::llm_limits()};
    return dialect;
}

}  // namespace crossdock
