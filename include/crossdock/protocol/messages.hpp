// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "crossdock/core/shape.hpp"
#include "crossdock/core/tensor.hpp"
#include "crossdock/protocol/model_header.hpp"

namespace crossdock {

/// One tensor of a message: its name in the reference protocol, where it stands, and the shape that a header asks for
/// (empty: this model has no such tensor). Weights are [out, in].
template <class Message>
struct TensorField {
    std::string_view name;
    std::optional<Tensor> Message::*tensor;
    std::optional<Shape> (*expected)(const ModelHeader&);
    bool vocabulary = false;  ///< its rows are the vocabulary's
};

/// Always the first message behind the header.
struct Embeddings {
    static constexpr std::string_view name = "embeddings";
    std::optional<Tensor> word, position, token_type, norm_weight, norm_bias;
};

/// Transformer layer `index`, counted from 0 over the whole model.
///
/// qkv rows, per query group: its query heads, its key head, its value head; rotary rows of a head in halves (i, i +
/// d/2). A gated MLP has gate and up as two tensors, any other has fc1. Norm weights are as stored.
struct TransformerLayer {
    static constexpr std::string_view name = "transformer layer";
    std::uint64_t index = 0;
    std::optional<Tensor> input_norm_weight, input_norm_bias, mlp_norm_weight, mlp_norm_bias;
    std::optional<Tensor> post_norm_weight, post_norm_bias, output_norm_weight, output_norm_bias;
    std::optional<Tensor> qkv_weight, qkv_bias, dense_weight, dense_bias;
    std::optional<Tensor> gate_weight, gate_bias, up_weight, up_bias, fc1_weight, fc1_bias, fc2_weight, fc2_bias;
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

/// The unit of the protocol, in the order of its alternatives; a layer comes num_layers times.
using Message = std::variant<ModelHeader, Embeddings, TransformerLayer, FinalNorm, OutputLayer, BertPooler, BertLmHead,
                             BertBinaryHead>;

namespace detail {

inline std::optional<Shape> when(bool present, Shape shape) {
    return present ? std::optional(std::move(shape)) : std::nullopt;
}
inline bool layer_norm(const ModelHeader& h) { return h.norm == NormKind::layer; }
inline std::uint64_t qkv_rows(const ModelHeader& h) {
    return (h.attention.num_attention_heads + 2 * h.attention.num_query_groups) * h.attention.kv_channels;
}

}  // namespace detail

/// The tensors of each message type.
template <class Message>
inline constexpr std::array<TensorField<Message>, 0> tensor_fields{};

template <>
inline constexpr std::array tensor_fields<Embeddings>{
    TensorField<Embeddings>{"word embeddings", &Embeddings::word,
                            [](const ModelHeader& h) {
                                return detail::when(true, {h.vocab_rows, h.hidden_size});
                            },
                            true},
    TensorField<Embeddings>{"position embeddings", &Embeddings::position,
                            [](const ModelHeader& h) {
                                return detail::when(h.positions == PositionKind::learned,
                                                    {h.max_position_embeddings.value_or(0), h.hidden_size});
                            }},
    TensorField<Embeddings>{"tokentype embeddings", &Embeddings::token_type,
                            [](const ModelHeader& h) {
                                return detail::when(h.num_token_types > 0, {h.num_token_types, h.hidden_size});
                            }},
    TensorField<Embeddings>{"embedding norm weight", &Embeddings::norm_weight,
                            [](const ModelHeader& h) { return detail::when(h.embedding_norm, {h.hidden_size}); }},
    TensorField<Embeddings>{
        "embedding norm bias", &Embeddings::norm_bias,
        [](const ModelHeader& h) { return detail::when(h.embedding_norm && detail::layer_norm(h), {h.hidden_size}); }},
};

template <>
inline constexpr std::array tensor_fields<TransformerLayer> = [] {
    using L = TransformerLayer;
    using H = ModelHeader;
    using F = TensorField<L>;
    using detail::layer_norm;
    using detail::qkv_rows;
    using detail::when;
    return std::array{
        F{"input norm weight", &L::input_norm_weight, [](const H& h) { return when(!h.post_norm, {h.hidden_size}); }},
        F{"input norm bias", &L::input_norm_bias,
          [](const H& h) { return when(!h.post_norm && layer_norm(h), {h.hidden_size}); }},
        F{"mlp norm weight", &L::mlp_norm_weight, [](const H& h) { return when(h.parallel_norm, {h.hidden_size}); }},
        F{"mlp norm bias", &L::mlp_norm_bias,
          [](const H& h) { return when(h.parallel_norm && layer_norm(h), {h.hidden_size}); }},
        F{"post norm weight", &L::post_norm_weight,
          [](const H& h) { return when(!h.parallel_attention, {h.hidden_size}); }},
        F{"post norm bias", &L::post_norm_bias,
          [](const H& h) { return when(!h.parallel_attention && layer_norm(h), {h.hidden_size}); }},
        F{"output norm weight", &L::output_norm_weight, [](const H& h) { return when(h.post_norm, {h.hidden_size}); }},
        F{"output norm bias", &L::output_norm_bias,
          [](const H& h) { return when(h.post_norm && layer_norm(h), {h.hidden_size}); }},
        F{"qkv weight", &L::qkv_weight,
          [](const H& h) {
              return when(true, {qkv_rows(h), h.hidden_size});
          }},
        F{"qkv bias", &L::qkv_bias, [](const H& h) { return when(h.attention.qkv_bias, {qkv_rows(h)}); }},
        F{"dense weight", &L::dense_weight,
          [](const H& h) {
              return when(true, {h.hidden_size, h.attention.num_attention_heads * h.attention.kv_channels});
          }},
        F{"dense bias", &L::dense_bias, [](const H& h) { return when(h.attention.dense_bias, {h.hidden_size}); }},
        F{"mlp l0 weight W", &L::gate_weight,
          [](const H& h) {
              return when(h.mlp.gated, {h.mlp.ffn_hidden_size, h.hidden_size});
          }},
        F{"mlp l0 bias W", &L::gate_bias,
          [](const H& h) { return when(h.mlp.gated && h.mlp.fc1_bias, {h.mlp.ffn_hidden_size}); }},
        F{"mlp l0 weight V", &L::up_weight,
          [](const H& h) {
              return when(h.mlp.gated, {h.mlp.ffn_hidden_size, h.hidden_size});
          }},
        F{"mlp l0 bias V", &L::up_bias,
          [](const H& h) { return when(h.mlp.gated && h.mlp.fc1_bias, {h.mlp.ffn_hidden_size}); }},
        F{"mlp l0 weight", &L::fc1_weight,
          [](const H& h) {
              return when(!h.mlp.gated, {h.mlp.ffn_hidden_size, h.hidden_size});
          }},
        F{"mlp l0 bias", &L::fc1_bias,
          [](const H& h) { return when(!h.mlp.gated && h.mlp.fc1_bias, {h.mlp.ffn_hidden_size}); }},
        F{"mlp l1 weight", &L::fc2_weight,
          [](const H& h) {
              return when(true, {h.hidden_size, h.mlp.ffn_hidden_size});
          }},
        F{"mlp l1 bias", &L::fc2_bias, [](const H& h) { return when(h.mlp.fc2_bias, {h.hidden_size}); }},
    };
}();

template <>
inline constexpr std::array tensor_fields<FinalNorm>{
    TensorField<FinalNorm>{"weight", &FinalNorm::weight,
                           [](const ModelHeader& h) { return detail::when(h.final_norm, {h.hidden_size}); }},
    TensorField<FinalNorm>{
        "bias", &FinalNorm::bias,
        [](const ModelHeader& h) { return detail::when(h.final_norm && detail::layer_norm(h), {h.hidden_size}); }},
};

template <>
inline constexpr std::array tensor_fields<OutputLayer>{
    TensorField<OutputLayer>{"weight", &OutputLayer::weight,
                             [](const ModelHeader& h) {
                                 return detail::when(!h.tied_embeddings && !h.headless, {h.vocab_rows, h.hidden_size});
                             },
                             true},
};

template <>
inline constexpr std::array tensor_fields<BertPooler>{
    TensorField<BertPooler>{"weight", &BertPooler::weight,
                            [](const ModelHeader& h) {
                                return detail::when(h.bert.pooler, {h.hidden_size, h.hidden_size});
                            }},
    TensorField<BertPooler>{"bias", &BertPooler::bias,
                            [](const ModelHeader& h) { return detail::when(h.bert.pooler, {h.hidden_size}); }},
};

template <>
inline constexpr std::array tensor_fields<BertLmHead> = [] {
    using B = BertLmHead;
    using H = ModelHeader;
    using F = TensorField<B>;
    using detail::when;
    return std::array{
        F{"dense weight", &B::dense_weight,
          [](const H& h) {
              return when(h.bert.lm_head, {h.hidden_size, h.hidden_size});
          }},
        F{"dense bias", &B::dense_bias, [](const H& h) { return when(h.bert.lm_head, {h.hidden_size}); }},
        F{"norm weight", &B::norm_weight, [](const H& h) { return when(h.bert.lm_head, {h.hidden_size}); }},
        F{"norm bias", &B::norm_bias, [](const H& h) { return when(h.bert.lm_head, {h.hidden_size}); }},
        F{"output bias", &B::output_bias, [](const H& h) { return when(h.bert.lm_head, {h.vocab_rows}); }, true},
    };
}();

template <>
inline constexpr std::array tensor_fields<BertBinaryHead>{
    TensorField<BertBinaryHead>{"weight", &BertBinaryHead::weight,
                                [](const ModelHeader& h) {
                                    return detail::when(h.bert.binary_head, {2, h.hidden_size});
                                }},
    TensorField<BertBinaryHead>{"bias", &BertBinaryHead::bias,
                                [](const ModelHeader& h) { return detail::when(h.bert.binary_head, {2}); }},
};

/// Whether a model with this header has the message at all.
template <class Message>
bool has_message(const ModelHeader& header) {
    for (const auto& field : tensor_fields<Message>)
        if (field.expected(header)) return true;
    return false;
}

/// "transformer layer 3", as the reference names messages in its log.
template <class Message>
std::string message_name(const Message& message) {
    if constexpr (requires { message.index; })
        return to_text(Message::name, " ", message.index);
    else
        return std::string(Message::name);
}

}  // namespace crossdock
