// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/family/megatron/llm_args.hpp"
#include "crossdock/family/megatron/lm_args.hpp"
#include "crossdock/family/megatron/other_args.hpp"
#include "crossdock/family/original/rotary_pairs.hpp"
#include "crossdock/family/requirements.hpp"

namespace crossdock {

/// One way in which Megatron code stores a model in rank files. The names stand below `model` (or `model0`, `model1` …
/// with a virtual pipeline); layers are counted from 0 on every stage.
struct MegatronDialect {
    std::string_view name;
    TensorTable table;
    ConfigTable args;
    std::vector<Requirement> requirements;
    /// Older spellings of parts of names → the spelling in the table.
    std::vector<std::pair<std::string_view, std::string_view>> older_spellings{};
    /// Keys of every layer that hold None: Transformer Engine's modules load strictly and add them only themselves.
    std::vector<std::string> layer_placeholders{};
    /// tokenizer_type for a model_type or a family, where the source names none of this Megatron's own.
    std::vector<std::pair<std::string_view, std::string_view>> tokenizers{};
    bool writes_release = false;                            ///< an unstated iteration is "release", otherwise 1
    void (*constants)(ModelHeader&) = [](ModelHeader&) {};  ///< what is true of every model of this dialect
};

/// The tokenizer_type of a model from elsewhere; empty when nothing is known of it.
inline std::optional<std::string> default_tokenizer(const MegatronDialect& dialect, const ModelHeader& header) {
    for (const std::string& kind : {header.model_type, header.family})
        for (const auto& [known, tokenizer] : dialect.tokenizers)
            if (known == kind) return std::string(tokenizer);
    return std::nullopt;
}

namespace detail {

/// NVIDIA's names; Llama 3 and Mistral have no SentencePiece model that its Llama2Tokenizer reads.
inline std::vector<std::pair<std::string_view, std::string_view>> megatron_lm_tokenizers() {
    return {{"llama3", "HuggingFaceTokenizer"}, {"llama", "Llama2Tokenizer"},       {"mistral", "HuggingFaceTokenizer"},
            {"gemma", "HuggingFaceTokenizer"},  {"falcon", "HuggingFaceTokenizer"}, {"gpt2", "GPT2BPETokenizer"},
            {"GPT", "GPT2BPETokenizer"},        {"bert", "BertWordPieceLowerCase"}, {"BERT", "BertWordPieceLowerCase"}};
}

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

/// What all Megatron code expects of a model.
inline std::vector<Requirement> megatron_requirements() {
    return {{"ALiBi positions", [](const ModelHeader& h) { return h.positions != PositionKind::alibi; }},
            {"a norm behind its embeddings (embedding_norm)", [](const ModelHeader& h) { return !h.embedding_norm; }},
            {"no final norm", [](const ModelHeader& h) { return h.final_norm || h.post_norm; }},
            require::head,
            require::equal_layers};
}

/// What NVIDIA's code expects: add_bias_linear decides over all linear layers, add_qkv_bias over q, k and v alone.
inline std::vector<Requirement> nvidia_requirements() {
    return {require::sequential,
            require::pre_norm,
            {"biases in some but not all of its linear layers", [](const ModelHeader& h) {
                 return h.attention.dense_bias == h.mlp.fc1_bias && h.mlp.fc1_bias == h.mlp.fc2_bias &&
                        (h.attention.qkv_bias || !h.attention.dense_bias);
             }}};
}

/// Megatron-Core's names for its two implementations, which differ in where the norms live; "weight" and "bias" are
/// appended to these.
inline TensorTable core_table(const std::string& input_norm, const std::string& post_norm) {
    using L = TransformerLayer;
    return {.messages =
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

/// Megatron-Core with its own ("local") layers.
inline MegatronDialect make_core_local() {
    return {.name = "mcore",
            .table = core_table("decoder.layers.{}.input_layernorm.", "decoder.layers.{}.pre_mlp_layernorm."),
            .args = megatron_core_args("local"),
            .requirements = join_lists(megatron_requirements(), nvidia_requirements()),
            .tokenizers = megatron_lm_tokenizers()};
}

/// Megatron-Core with Transformer Engine's layers, which hold the norm in front of them.
inline MegatronDialect make_core_te() {
    return {.name = "mcore",
            .table = core_table("decoder.layers.{}.self_attention.linear_qkv.layer_norm_",
                                "decoder.layers.{}.mlp.linear_fc1.layer_norm_"),
            .args = megatron_core_args("transformer_engine"),
            .requirements = join_lists(megatron_requirements(), nvidia_requirements()),
            .layer_placeholders = {"decoder.layers.{}.self_attention.linear_proj._extra_state",
                                   "decoder.layers.{}.self_attention.linear_qkv._extra_state",
                                   "decoder.layers.{}.mlp.linear_fc1._extra_state",
                                   "decoder.layers.{}.mlp.linear_fc2._extra_state"},
            .tokenizers = megatron_lm_tokenizers()};
}

/// Megatron-Core's BERT calls its blocks "encoder".
inline MegatronDialect as_encoder(MegatronDialect dialect) {
    dialect.table = renamed(std::move(dialect.table), "decoder.", "encoder.");
    for (std::string& name : dialect.layer_placeholders) name = replaced(std::move(name), "decoder.", "encoder.");
    return dialect;
}

}  // namespace detail

/// epfLLM Megatron-LLM.
inline const MegatronDialect& megatron_llm() {
    using L = TransformerLayer;
    static const MegatronDialect dialect = [] {
        MegatronDialect d{
            .name = "llm",
            .table = detail::legacy_table({.input_norm = "language_model/encoder/layers.{}.input_layernorm.",
                                           .post_norm = "language_model/encoder/layers.{}.post_attention_layernorm.",
                                           .final_norm = "language_model/encoder/final_layernorm.",
                                           .output_layer = "language_model/lm_head",
                                           .lm_norm = "lm_head/layernorm.",
                                           .qkv = grouped_qkv_pairs,
                                           .gate_up = up_over_gate}),
            .args = megatron_llm_args(),
            .requirements = join_lists(detail::megatron_requirements(),
                                       {require::plain_norm,
                                        require::plain_embeddings,
                                        require::full_rotary,
                                        require::biases_agree,
                                        {"no positions at all",
                                         [](const ModelHeader& h) {
                                             return h.positions == PositionKind::rope ||
                                                    h.positions == PositionKind::learned;
                                         }},
                                        {"an activation that Megatron-LLM has no name for",
                                         [](const ModelHeader& h) { return megatron_llm_knows_activation(h); }}}),
            .older_spellings = {{"language_model.transformer.", "language_model.encoder."},
                                {".attention.", ".self_attention."}},
            .tokenizers = {{"llama", "SentencePieceTokenizer"},
                           {"mistral", "SentencePieceTokenizer"},
                           {"falcon", "FalconTokenizer"},
                           {"gpt2", "GPT2BPETokenizer"},
                           {"GPT", "GPT2BPETokenizer"},
                           {"bert", "BertWordPieceLowerCase"},
                           {"BERT", "BertWordPieceLowerCase"}},
            .writes_release = true,
            .constants = detail::plain_constants};
        const std::vector<Row<L>> norms{
            {{&L::mlp_norm_weight}, {"language_model/encoder/layers.{}.mlp_layernorm.weight"}},
            {{&L::mlp_norm_bias}, {"language_model/encoder/layers.{}.mlp_layernorm.bias"}},
            {{&L::output_norm_weight}, {"language_model/encoder/layers.{}.output_layernorm.weight"}},
            {{&L::output_norm_bias}, {"language_model/encoder/layers.{}.output_layernorm.bias"}}};
        d.table.rows<TransformerLayer>().insert(d.table.rows<TransformerLayer>().end(), norms.begin(), norms.end());
        return d;
    }();
    return dialect;
}

/// NVIDIA Megatron-LM's own model code, as it was until Megatron-Core; norm names of core_v0.4.0 and later are written.
inline const MegatronDialect& megatron_lm() {
    static const MegatronDialect dialect{
        .name = "lm",
        .table = detail::legacy_table({.input_norm = "language_model/encoder/layers.{}.input_norm.",
                                       .post_norm = "language_model/encoder/layers.{}.post_attention_norm.",
                                       .final_norm = "language_model/encoder/final_norm.",
                                       .output_layer = "language_model/output_layer/weight",
                                       .lm_norm = "lm_head/norm.",
                                       .qkv = as_is,
                                       .gate_up = gate_over_up}),
        .args = megatron_lm_args(),
        .requirements = join_lists(
            detail::megatron_requirements(), detail::nvidia_requirements(),
            std::vector<Requirement>{
                require::plain_norm,
                require::plain_embeddings,
                {"no positions at all", [](const ModelHeader& h) { return h.positions != PositionKind::none; }}}),
        .older_spellings = {{"language_model.transformer.", "language_model.encoder."},
                            {".attention.", ".self_attention."},
                            {".input_layernorm.", ".input_norm."},
                            {".post_attention_layernorm.", ".post_attention_norm."},
                            {".final_layernorm.", ".final_norm."},
                            {"lm_head.layernorm.", "lm_head.norm."}},
        .tokenizers = detail::megatron_lm_tokenizers(),
        .constants = detail::plain_constants};
    return dialect;
}

/// Megatron-Core with its own ("local") layers, a decoder or its BERT.
inline const MegatronDialect& megatron_core_local(bool is_bert) {
    static const MegatronDialect decoder = detail::make_core_local(), bert = detail::as_encoder(decoder);
    return is_bert ? bert : decoder;
}

/// Megatron-Core with Transformer Engine's layers, a decoder or its BERT.
inline const MegatronDialect& megatron_core_te(bool is_bert) {
    static const MegatronDialect decoder = detail::make_core_te(), bert = detail::as_encoder(decoder);
    return is_bert ? bert : decoder;
}

}  // namespace crossdock
