// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "crossdock/core/tensor.hpp"
#include "crossdock/protocol/model_header.hpp"

namespace crossdock {

// The messages of the protocol after the header. fields.hpp says which of its tensors a message has and of which
// shapes, message_list.hpp in which order messages come.

struct Embeddings {
    static constexpr std::string_view name = "embeddings";
    std::optional<Tensor> word, position, token_type, norm_weight, norm_bias;
};

/// Transformer layer `index`, counted from 0 over the whole model; those behind header.num_layers predict further tokens
/// (multi-token prediction, DeepSeek-V3 technical report 2.2): the norms of the next token's embedding and of the hidden
/// state before it, the projection of both, side by side in this order, onto a hidden state, the layer itself, and the
/// norm in front of the head, which is the model's.
///
/// qkv rows, per query group: its query heads, its key head, its value head. Rotary rows of a head are in halves: row i
/// turns with row i + d/2. The norms of queries and keys have the weights of one head. A gated MLP has gate and up as two
/// tensors, any other has fc1. Norm weights are as stored.
///
/// Latent attention has no qkv. A head's rows of q_up (of q, where queries have no latent) are those that are not turned,
/// then those that are; of kv_up its key's, then its value's. The rows of kv_down are the latent's, then the rotary ones
/// that all heads share. Its rotary rows are in pairs: row 2i turns with row 2i + 1.
struct TransformerLayer {
    static constexpr std::string_view name = "transformer layer";
    /// How many of these messages a model has; without it a message comes once, or not at all.
    static std::uint64_t count(const ModelHeader& header) { return all_layers(header); }

    std::uint64_t index = 0;
    std::optional<Tensor> input_norm_weight, input_norm_bias, mlp_norm_weight, mlp_norm_bias;
    std::optional<Tensor> post_norm_weight, post_norm_bias, output_norm_weight, output_norm_bias;
    std::optional<Tensor> attention_output_norm_weight, mlp_output_norm_weight;
    std::optional<Tensor> qkv_weight, qkv_bias, q_norm_weight, k_norm_weight, dense_weight, dense_bias;
    /// Of latent attention, in place of qkv: down to a latent, its norm, and up to the heads.
    std::optional<Tensor> q_weight, q_down_weight, q_latent_norm_weight, q_up_weight;
    std::optional<Tensor> kv_down_weight, kv_latent_norm_weight, kv_up_weight;
    std::optional<Tensor> gate_weight, gate_bias, up_weight, up_bias, fc1_weight, fc1_bias, fc2_weight, fc2_bias;
    /// Of a layer with experts, in place of one MLP: those of all experts are stacked on an axis in front.
    std::optional<Tensor> router_weight, router_bias, experts_gate_weight, experts_up_weight, experts_fc2_weight;
    std::optional<Tensor> shared_gate_weight, shared_up_weight, shared_fc2_weight, shared_expert_gate;
    /// Of a layer that predicts further tokens.
    std::optional<Tensor> embedding_norm_weight, hidden_norm_weight, mtp_projection_weight, mtp_final_norm_weight;
};

struct FinalNorm {
    static constexpr std::string_view name = "final norm";
    std::optional<Tensor> weight, bias;
};

/// The head of an untied model.
struct OutputLayer {
    static constexpr std::string_view name = "output layer";
    std::optional<Tensor> weight;
};

struct BertPooler {
    static constexpr std::string_view name = "pooler";
    std::optional<Tensor> weight, bias;
};

/// The masked-language-model head; its decoder is tied to the word embeddings.
struct BertLmHead {
    static constexpr std::string_view name = "lm head";
    std::optional<Tensor> dense_weight, dense_bias, norm_weight, norm_bias, output_bias;
};

struct BertBinaryHead {
    static constexpr std::string_view name = "binary head";
    std::optional<Tensor> weight, bias;
};

}  // namespace crossdock
