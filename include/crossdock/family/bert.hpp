// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
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

// Two architectures of transformers share BERT's names:
//     bert            a norm after the embeddings and after each block (modeling_bert.py)
//     megatron-bert   a norm before each block and after the last, as Megatron trains it
//                     (modeling_megatron_bert.py, convert_megatron_bert_checkpoint.py)
// Either stands alone (BertModel, without "bert." in its names) or below heads, which the files tell.

namespace detail {

/// What both have: all but the norms.
inline TensorTable bert_table_without_norms() {
    using L = TransformerLayer;
    const std::string layer = "bert.encoder.layer.{}.", self = layer + "attention.self.";
    return {
        .messages =
            {Rows<Embeddings>{{{&Embeddings::word}, {"bert.embeddings.word_embeddings.weight"}},
                              {{&Embeddings::position}, {"bert.embeddings.position_embeddings.weight"}},
                              {{&Embeddings::token_type}, {"bert.embeddings.token_type_embeddings.weight"}}},
             Rows<TransformerLayer>{
                 {{&L::qkv_weight}, {self + "query.weight", self + "key.weight", self + "value.weight"}, separate_qkv},
                 {{&L::qkv_bias}, {self + "query.bias", self + "key.bias", self + "value.bias"}, separate_qkv},
                 {{&L::dense_weight}, {layer + "attention.output.dense.weight"}},
                 {{&L::dense_bias}, {layer + "attention.output.dense.bias"}},
                 {{&L::fc1_weight}, {layer + "intermediate.dense.weight"}},
                 {{&L::fc1_bias}, {layer + "intermediate.dense.bias"}},
                 {{&L::fc2_weight}, {layer + "output.dense.weight"}},
                 {{&L::fc2_bias}, {layer + "output.dense.bias"}}},
             Rows<OutputLayer>{{{&OutputLayer::weight}, {"cls.predictions.decoder.weight"}}},
             Rows<BertPooler>{{{&BertPooler::weight}, {"bert.pooler.dense.weight"}},
                              {{&BertPooler::bias}, {"bert.pooler.dense.bias"}}},
             Rows<BertLmHead>{{{&BertLmHead::dense_weight}, {"cls.predictions.transform.dense.weight"}},
                              {{&BertLmHead::dense_bias}, {"cls.predictions.transform.dense.bias"}},
                              {{&BertLmHead::norm_weight}, {"cls.predictions.transform.LayerNorm.weight"}},
                              {{&BertLmHead::norm_bias}, {"cls.predictions.transform.LayerNorm.bias"}},
                              {{&BertLmHead::output_bias}, {"cls.predictions.bias"}}},
             Rows<BertBinaryHead>{{{&BertBinaryHead::weight}, {"cls.seq_relationship.weight"}},
                                  {{&BertBinaryHead::bias}, {"cls.seq_relationship.bias"}}}},
        .tied_copy = "cls.predictions.decoder.weight",
        .ignored_endings = {"embeddings.position_ids", "embeddings.token_type_ids"}};
}

inline TensorTable make_bert_table() {
    using L = TransformerLayer;
    TensorTable table = bert_table_without_norms();
    const std::string layer = "bert.encoder.layer.{}.";
    table.rows<Embeddings>().push_back({{&Embeddings::norm_weight}, {"bert.embeddings.LayerNorm.weight"}});
    table.rows<Embeddings>().push_back({{&Embeddings::norm_bias}, {"bert.embeddings.LayerNorm.bias"}});
    table.rows<TransformerLayer>().push_back({{&L::post_norm_weight}, {layer + "attention.output.LayerNorm.weight"}});
    table.rows<TransformerLayer>().push_back({{&L::post_norm_bias}, {layer + "attention.output.LayerNorm.bias"}});
    table.rows<TransformerLayer>().push_back({{&L::output_norm_weight}, {layer + "output.LayerNorm.weight"}});
    table.rows<TransformerLayer>().push_back({{&L::output_norm_bias}, {layer + "output.LayerNorm.bias"}});
    return table;
}

inline TensorTable make_megatron_bert_table() {
    using L = TransformerLayer;
    TensorTable table = bert_table_without_norms();
    const std::string layer = "bert.encoder.layer.{}.";
    table.rows<TransformerLayer>().push_back({{&L::input_norm_weight}, {layer + "attention.ln.weight"}});
    table.rows<TransformerLayer>().push_back({{&L::input_norm_bias}, {layer + "attention.ln.bias"}});
    table.rows<TransformerLayer>().push_back({{&L::post_norm_weight}, {layer + "ln.weight"}});
    table.rows<TransformerLayer>().push_back({{&L::post_norm_bias}, {layer + "ln.bias"}});
    table.rows<FinalNorm>() = {{{&FinalNorm::weight}, {"bert.encoder.ln.weight"}},
                               {{&FinalNorm::bias}, {"bert.encoder.ln.bias"}}};
    return table;
}

inline const TensorTable& bert_table(const ModelHeader& header) {
    static const TensorTable bert = make_bert_table(), megatron_bert = make_megatron_bert_table();
    return header.post_norm ? bert : megatron_bert;
}

/// Which of the architectures it is, and which heads there are.
inline Notices read_bert_tensors(ModelHeader& header, std::span<const TensorDict> ranks) {
    const auto has = [&](const char* name) { return ranks[0].find(name) != nullptr; };
    header.embedding_norm = header.post_norm = has("bert.embeddings.LayerNorm.weight");
    header.final_norm = !header.post_norm;
    header.bert.pooler = has("bert.pooler.dense.weight");
    header.bert.lm_head = has("cls.predictions.transform.dense.weight");
    header.bert.binary_head = has("cls.seq_relationship.weight");
    if (!header.bert.lm_head) header.tied_embeddings = true;
    return {};
}

/// The head's bias has two names, which a tied model gets from one: an untied one needs both.
inline void add_decoder_bias(TensorTable& table, const ModelHeader& header) {
    if (!header.tied_embeddings)
        table.rows<BertLmHead>().push_back({{&BertLmHead::output_bias}, {"cls.predictions.decoder.bias"}});
}

inline std::string bert_architecture(const ModelHeader& header) {
    if (header.origin.unexpressed.contains("is_decoder") && header.bert.lm_head)
        return header.post_norm ? "BertLMHeadModel" : "MegatronBertForCausalLM";
    const std::string_view head = header.bert.lm_head ? (header.bert.binary_head ? "ForPreTraining" : "ForMaskedLM")
                                  : header.bert.binary_head ? "ForNextSentencePrediction"
                                                            : "Model";
    return to_text(header.post_norm ? "Bert" : "MegatronBert", head);
}

}  // namespace detail

/// BERT and Megatron's BERT.
CROSSDOCK_ENTRY_POINT const Family& bert_family() {
    using namespace config;
    using H = ModelHeader;
    static const Family family{
        .name = "bert",
        .model_types = {"BERT"},
        .is_decoder = false,
        .defaults = defaults::learned_positions,
        .requirements = {require::plain_attention,
                         require::layer_norm,
                         require::plain_norm,
                         require::learned_positions,
                         require::sequential,
                         require::ungated,
                         require::no_window,
                         require::plain_embeddings,
                         require::all_biases,
                         require::multi_head,
                         require::heads_fill_hidden,
                         {"no token types", [](const H& h) { return h.num_token_types > 0; }},
                         {"norms that are neither BERT's nor Megatron's (post_norm, embedding_norm, final_norm)",
                          [](const H& h) { return h.post_norm == h.embedding_norm && h.final_norm != h.post_norm; }},
                         {"a head of its own without BERT's in front of it",
                          [](const H& h) { return h.tied_embeddings || h.bert.lm_head; }}},
        .layouts = {
            {.kind = &hugging_face,
             .types = {"bert", "megatron-bert"},
             .config = {size_entry({"hidden_size"}, field::hidden_size),
                        size_entry({"num_hidden_layers"}, field::num_layers),
                        size_entry({"num_attention_heads"}, field::num_attention_heads),
                        size_entry({"intermediate_size"}, field::ffn_hidden_size),
                        stated(entry({"max_position_embeddings"}, field::max_position_embeddings, 512)),
                        stated(entry({"type_vocab_size"}, field::num_token_types, 2)), vocab_size_config(),
                        dtype_config(), entry({"attention_probs_dropout_prob"}, field::attention_dropout),
                        entry({"hidden_dropout_prob"}, field::hidden_dropout),
                        stated(entry({"layer_norm_eps"}, field::norm_epsilon, 1e-12)),
                        activation_config("hidden_act", "gelu"),
                        stated(entry({"tie_word_embeddings"}, field::tied_embeddings, true)),
                        understood({"position_embedding_type"},
                                   [](const Json& value, H&) {
                                       if (!value.is_null() && value != "absolute")
                                           throw Error(to_text("is ", json_shown(value),
                                                               ", only absolute positions are supported"));
                                   })},
             .switches = {{"is_decoder", false}, {"add_cross_attention", false}},
             .type = [](const H& h) { return std::string_view(h.post_norm ? "bert" : "megatron-bert"); },
             .token_ids = "pad_token_id",
             .architecture = detail::bert_architecture,
             .table = detail::bert_table,
             .spellings = {.base = "bert.",
                           .heads = {"cls."},
                           .stands_alone = [](const H& h) { return !h.bert.lm_head && !h.bert.binary_head; },
                           .older = {{".LayerNorm.gamma", ".LayerNorm.weight"}, {".LayerNorm.beta", ".LayerNorm.bias"}},
                           .aliases = {{"cls.predictions.decoder.bias", "cls.predictions.bias"}}},
             .from_tensors = detail::read_bert_tensors,
             .add_twins = detail::add_decoder_bias}}};
    return family;
}

}  // namespace crossdock
