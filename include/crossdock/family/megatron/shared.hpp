// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/core/join_lists.hpp"
#include "crossdock/family/megatron/dialect.hpp"
#include "crossdock/family/requirements.hpp"

namespace crossdock::detail {

// What several dialects share.

/// What all Megatron code expects of a model.
inline std::vector<Requirement> megatron_requirements() {
    return {{"ALiBi positions", [](const ModelHeader& h) { return h.positions != PositionKind::alibi; }},
            {"a norm behind its embeddings (embedding_norm)", [](const ModelHeader& h) { return !h.embedding_norm; }},
            {"no final norm", [](const ModelHeader& h) { return h.final_norm || h.post_norm; }},
            require::head};
}

/// What Megatron's own model code, before Megatron-Core, expects besides.
inline std::vector<Requirement> legacy_requirements() {
    return join_lists(require::no_caps(), {require::plain_attention, require::equal_layers});
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

/// NVIDIA's names; Llama 3 and Mistral have no SentencePiece model that its Llama2Tokenizer reads.
inline std::vector<std::pair<std::string_view, std::string_view>> nvidia_tokenizers() {
    return {
        {"llama3", "HuggingFaceTokenizer"}, {"llama", "Llama2Tokenizer"},       {"mistral", "HuggingFaceTokenizer"},
        {"gemma", "HuggingFaceTokenizer"},  {"qwen", "HuggingFaceTokenizer"},   {"deepseek", "HuggingFaceTokenizer"},
        {"glm", "HuggingFaceTokenizer"},    {"falcon", "HuggingFaceTokenizer"}, {"gpt2", "GPT2BPETokenizer"},
        {"GPT", "GPT2BPETokenizer"},        {"bert", "BertWordPieceLowerCase"}, {"BERT", "BertWordPieceLowerCase"}};
}

}  // namespace crossdock::detail
