// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

#include "crossdock/core/dtype.hpp"
#include "crossdock/core/shape.hpp"
#include "crossdock/core/tensor.hpp"
#include "crossdock/protocol/messages.hpp"
#include "crossdock/protocol/model_header.hpp"

namespace crossdock {

/// One tensor of a message: its name in the reference protocol, where it stands, and the shape that a header asks for
/// in the message number `layer`, which counts in messages that come once for each layer (empty: there is no such
/// tensor). Weights are [out, in].
template <class Message>
struct TensorField {
    std::string_view name;
    std::optional<Tensor> Message::*tensor;
    std::optional<Shape> (*expected)(const ModelHeader&, std::uint64_t layer);
    bool vocabulary = false;  ///< its rows are the vocabulary's
    bool always_f32 = false;  ///< whatever the model's type: in fewer bits its values would choose otherwise
};

/// What a field's floating tensors become where the model is to be of the type `asked`; none: they keep their own.
template <class Message>
std::optional<DType> type_of_field(const TensorField<Message>& field, std::optional<DType> asked) {
    return field.always_f32 ? DType::f32 : asked;
}

namespace detail {

using Index = std::uint64_t;

inline std::optional<Shape> when(bool present, Shape shape) {
    return present ? std::optional(std::move(shape)) : std::nullopt;
}
inline bool layer_norm(const ModelHeader& h) { return h.norm == NormKind::layer; }
inline std::uint64_t qkv_rows(const Attention& attention) {
    return (attention.num_attention_heads + 2 * attention.num_query_groups) * attention.kv_channels;
}

inline const LatentAttention& latent_of(const ModelHeader& h, Index layer) { return attention_of(h, layer).latent; }
inline bool is_latent_layer(const ModelHeader& h, Index layer) { return is_latent(attention_of(h, layer)); }
inline bool has_query_latent(const ModelHeader& h, Index layer) {
    return is_latent_layer(h, layer) && latent_of(h, layer).q_lora_rank > 0;
}
/// Rows of the queries of all heads, which come from `columns` elements.
inline Shape latent_query_shape(const ModelHeader& h, Index layer, std::uint64_t columns) {
    const LatentAttention& latent = latent_of(h, layer);
    return {attention_of(h, layer).num_attention_heads * (latent.qk_head_dim + latent.qk_pos_emb_head_dim), columns};
}

inline const Experts& experts_of(const ModelHeader& h, Index layer) { return mlp_of(h, layer).experts; }
inline bool is_gated(const ModelHeader& h, Index layer) {
    return mlp_of(h, layer).gated && !has_experts(mlp_of(h, layer));
}
inline bool is_ungated(const ModelHeader& h, Index layer) {
    return !mlp_of(h, layer).gated && !has_experts(mlp_of(h, layer));
}
inline bool has_shared_expert(const ModelHeader& h, Index layer) {
    return has_experts(mlp_of(h, layer)) && experts_of(h, layer).shared_ffn_hidden_size > 0;
}
inline Shape fc1_shape(const ModelHeader& h, Index layer) { return {mlp_of(h, layer).ffn_hidden_size, h.hidden_size}; }
inline Shape experts_fc1_shape(const ModelHeader& h, Index layer) {
    return {experts_of(h, layer).num_experts, experts_of(h, layer).ffn_hidden_size, h.hidden_size};
}
inline Shape shared_fc1_shape(const ModelHeader& h, Index layer) {
    return {experts_of(h, layer).shared_ffn_hidden_size, h.hidden_size};
}

}  // namespace detail

/// The tensors of each message type.
template <class Message>
inline constexpr std::array<TensorField<Message>, 0> tensor_fields{};

template <>
inline constexpr std::array tensor_fields<Embeddings>{
    TensorField<Embeddings>{"word embeddings", &Embeddings::word,
                            [](const ModelHeader& h, detail::Index) {
                                return detail::when(true, {h.vocab_rows, h.hidden_size});
                            },
                            true},
    TensorField<Embeddings>{"position embeddings", &Embeddings::position,
                            [](const ModelHeader& h, detail::Index) {
                                return detail::when(h.positions == PositionKind::learned,
                                                    {h.max_position_embeddings.value_or(0), h.hidden_size});
                            }},
    TensorField<Embeddings>{"tokentype embeddings", &Embeddings::token_type,
                            [](const ModelHeader& h, detail::Index) {
                                return detail::when(h.num_token_types > 0, {h.num_token_types, h.hidden_size});
                            }},
    TensorField<Embeddings>{
        "embedding norm weight", &Embeddings::norm_weight,
        [](const ModelHeader& h, detail::Index) { return detail::when(h.embedding_norm, {h.hidden_size}); }},
    TensorField<Embeddings>{"embedding norm bias", &Embeddings::norm_bias,
                            [](const ModelHeader& h, detail::Index) {
                                return detail::when(h.embedding_norm && detail::layer_norm(h), {h.hidden_size});
                            }},
};

template <>
inline constexpr std::array tensor_fields<TransformerLayer> = [] {
    using L = TransformerLayer;
    using H = ModelHeader;
    using F = TensorField<L>;
    using detail::layer_norm;
    using detail::qkv_rows;
    using detail::Index;
    using detail::when;
    using detail::experts_fc1_shape, detail::experts_of, detail::fc1_shape, detail::has_shared_expert;
    using detail::has_query_latent, detail::is_latent_layer, detail::latent_of, detail::latent_query_shape;
    using detail::is_gated, detail::is_ungated, detail::shared_fc1_shape;
    return std::array{
        F{"input norm weight", &L::input_norm_weight,
          [](const H& h, Index) { return when(!h.post_norm, {h.hidden_size}); }},
        F{"input norm bias", &L::input_norm_bias,
          [](const H& h, Index) { return when(!h.post_norm && layer_norm(h), {h.hidden_size}); }},
        F{"mlp norm weight", &L::mlp_norm_weight,
          [](const H& h, Index) { return when(h.parallel_norm, {h.hidden_size}); }},
        F{"mlp norm bias", &L::mlp_norm_bias,
          [](const H& h, Index) { return when(h.parallel_norm && layer_norm(h), {h.hidden_size}); }},
        F{"post norm weight", &L::post_norm_weight,
          [](const H& h, Index) { return when(!h.parallel_attention, {h.hidden_size}); }},
        F{"post norm bias", &L::post_norm_bias,
          [](const H& h, Index) { return when(!h.parallel_attention && layer_norm(h), {h.hidden_size}); }},
        F{"output norm weight", &L::output_norm_weight,
          [](const H& h, Index) { return when(h.post_norm, {h.hidden_size}); }},
        F{"output norm bias", &L::output_norm_bias,
          [](const H& h, Index) { return when(h.post_norm && layer_norm(h), {h.hidden_size}); }},
        F{"attention output norm weight", &L::attention_output_norm_weight,
          [](const H& h, Index) { return when(h.block_output_norms, {h.hidden_size}); }},
        F{"mlp output norm weight", &L::mlp_output_norm_weight,
          [](const H& h, Index) { return when(h.block_output_norms, {h.hidden_size}); }},
        F{"qkv weight", &L::qkv_weight,
          [](const H& h, Index i) {
              return when(!is_latent_layer(h, i), {qkv_rows(attention_of(h, i)), h.hidden_size});
          }},
        F{"qkv bias", &L::qkv_bias,
          [](const H& h, Index i) { return when(attention_of(h, i).qkv_bias, {qkv_rows(attention_of(h, i))}); }},
        F{"q norm weight", &L::q_norm_weight,
          [](const H& h, Index i) { return when(attention_of(h, i).qk_norm, {attention_of(h, i).kv_channels}); }},
        F{"k norm weight", &L::k_norm_weight,
          [](const H& h, Index i) { return when(attention_of(h, i).qk_norm, {attention_of(h, i).kv_channels}); }},
        F{"q weight", &L::q_weight,
          [](const H& h, Index i) {
              return when(is_latent_layer(h, i) && !has_query_latent(h, i), latent_query_shape(h, i, h.hidden_size));
          }},
        F{"q down weight", &L::q_down_weight,
          [](const H& h, Index i) {
              return when(has_query_latent(h, i), {latent_of(h, i).q_lora_rank, h.hidden_size});
          }},
        F{"q latent norm weight", &L::q_latent_norm_weight,
          [](const H& h, Index i) { return when(has_query_latent(h, i), {latent_of(h, i).q_lora_rank}); }},
        F{"q up weight", &L::q_up_weight,
          [](const H& h, Index i) {
              return when(has_query_latent(h, i), latent_query_shape(h, i, latent_of(h, i).q_lora_rank));
          }},
        F{"kv down weight", &L::kv_down_weight,
          [](const H& h, Index i) {
              const LatentAttention& latent = latent_of(h, i);
              return when(is_latent_layer(h, i), {latent.kv_lora_rank + latent.qk_pos_emb_head_dim, h.hidden_size});
          }},
        F{"kv latent norm weight", &L::kv_latent_norm_weight,
          [](const H& h, Index i) { return when(is_latent_layer(h, i), {latent_of(h, i).kv_lora_rank}); }},
        F{"kv up weight", &L::kv_up_weight,
          [](const H& h, Index i) {
              const LatentAttention& latent = latent_of(h, i);
              return when(is_latent_layer(h, i),
                          {attention_of(h, i).num_attention_heads * (latent.qk_head_dim + latent.v_head_dim),
                           latent.kv_lora_rank});
          }},
        F{"dense weight", &L::dense_weight,
          [](const H& h, Index i) {
              return when(true,
                          {h.hidden_size, attention_of(h, i).num_attention_heads * attention_of(h, i).kv_channels});
          }},
        F{"dense bias", &L::dense_bias,
          [](const H& h, Index i) { return when(attention_of(h, i).dense_bias, {h.hidden_size}); }},
        F{"mlp l0 weight W", &L::gate_weight,
          [](const H& h, Index i) { return when(is_gated(h, i), fc1_shape(h, i)); }},
        F{"mlp l0 bias W", &L::gate_bias,
          [](const H& h, Index i) {
              return when(is_gated(h, i) && mlp_of(h, i).fc1_bias, {mlp_of(h, i).ffn_hidden_size});
          }},
        F{"mlp l0 weight V", &L::up_weight, [](const H& h, Index i) { return when(is_gated(h, i), fc1_shape(h, i)); }},
        F{"mlp l0 bias V", &L::up_bias,
          [](const H& h, Index i) {
              return when(is_gated(h, i) && mlp_of(h, i).fc1_bias, {mlp_of(h, i).ffn_hidden_size});
          }},
        F{"mlp l0 weight", &L::fc1_weight, [](const H& h, Index i) { return when(is_ungated(h, i), fc1_shape(h, i)); }},
        F{"mlp l0 bias", &L::fc1_bias,
          [](const H& h, Index i) {
              return when(is_ungated(h, i) && mlp_of(h, i).fc1_bias, {mlp_of(h, i).ffn_hidden_size});
          }},
        F{"mlp l1 weight", &L::fc2_weight,
          [](const H& h, Index i) {
              return when(!has_experts(mlp_of(h, i)), {h.hidden_size, mlp_of(h, i).ffn_hidden_size});
          }},
        F{"mlp l1 bias", &L::fc2_bias,
          [](const H& h, Index i) {
              return when(!has_experts(mlp_of(h, i)) && mlp_of(h, i).fc2_bias, {h.hidden_size});
          }},
        F{"router weight", &L::router_weight,
          [](const H& h, Index i) {
              return when(experts_of(h, i).num_experts > 0, {experts_of(h, i).num_experts, h.hidden_size});
          }},
        F{"router bias", &L::router_bias,
          [](const H& h, Index i) {
              return when(experts_of(h, i).num_experts > 0 && experts_of(h, i).router_bias,
                          {experts_of(h, i).num_experts});
          },
          false, true},
        F{"experts l0 weight W", &L::experts_gate_weight,
          [](const H& h, Index i) { return when(experts_of(h, i).num_experts > 0, experts_fc1_shape(h, i)); }},
        F{"experts l0 weight V", &L::experts_up_weight,
          [](const H& h, Index i) { return when(experts_of(h, i).num_experts > 0, experts_fc1_shape(h, i)); }},
        F{"experts l1 weight", &L::experts_fc2_weight,
          [](const H& h, Index i) {
              return when(experts_of(h, i).num_experts > 0,
                          {experts_of(h, i).num_experts, h.hidden_size, experts_of(h, i).ffn_hidden_size});
          }},
        F{"shared expert l0 weight W", &L::shared_gate_weight,
          [](const H& h, Index i) { return when(has_shared_expert(h, i), shared_fc1_shape(h, i)); }},
        F{"shared expert l0 weight V", &L::shared_up_weight,
          [](const H& h, Index i) { return when(has_shared_expert(h, i), shared_fc1_shape(h, i)); }},
        F{"shared expert l1 weight", &L::shared_fc2_weight,
          [](const H& h, Index i) {
              return when(has_shared_expert(h, i), {h.hidden_size, experts_of(h, i).shared_ffn_hidden_size});
          }},
        F{"shared expert gate", &L::shared_expert_gate,
          [](const H& h, Index i) {
              return when(has_shared_expert(h, i) && experts_of(h, i).shared_gate, {1, h.hidden_size});
          }},
        F{"embedding norm weight", &L::embedding_norm_weight,
          [](const H& h, Index i) { return when(is_mtp_layer(h, i), {h.hidden_size}); }},
        F{"hidden norm weight", &L::hidden_norm_weight,
          [](const H& h, Index i) { return when(is_mtp_layer(h, i), {h.hidden_size}); }},
        F{"mtp projection weight", &L::mtp_projection_weight,
          [](const H& h, Index i) {
              return when(is_mtp_layer(h, i), {h.hidden_size, 2 * h.hidden_size});
          }},
        F{"mtp final norm weight", &L::mtp_final_norm_weight,
          [](const H& h, Index i) { return when(is_mtp_layer(h, i), {h.hidden_size}); }},
    };
}();

template <>
inline constexpr std::array tensor_fields<FinalNorm>{
    TensorField<FinalNorm>{
        "weight", &FinalNorm::weight,
        [](const ModelHeader& h, detail::Index) { return detail::when(h.final_norm, {h.hidden_size}); }},
    TensorField<FinalNorm>{"bias", &FinalNorm::bias,
                           [](const ModelHeader& h, detail::Index) {
                               return detail::when(h.final_norm && detail::layer_norm(h), {h.hidden_size});
                           }},
};

template <>
inline constexpr std::array tensor_fields<OutputLayer>{
    TensorField<OutputLayer>{"weight", &OutputLayer::weight,
                             [](const ModelHeader& h, detail::Index) {
                                 return detail::when(!h.tied_embeddings && !h.headless, {h.vocab_rows, h.hidden_size});
                             },
                             true},
};

template <>
inline constexpr std::array tensor_fields<BertPooler>{
    TensorField<BertPooler>{"weight", &BertPooler::weight,
                            [](const ModelHeader& h, detail::Index) {
                                return detail::when(h.bert.pooler, {h.hidden_size, h.hidden_size});
                            }},
    TensorField<BertPooler>{
        "bias", &BertPooler::bias,
        [](const ModelHeader& h, detail::Index) { return detail::when(h.bert.pooler, {h.hidden_size}); }},
};

template <>
inline constexpr std::array tensor_fields<BertLmHead> = [] {
    using B = BertLmHead;
    using H = ModelHeader;
    using F = TensorField<B>;
    using detail::Index;
    using detail::when;
    return std::array{
        F{"dense weight", &B::dense_weight,
          [](const H& h, Index) {
              return when(h.bert.lm_head, {h.hidden_size, h.hidden_size});
          }},
        F{"dense bias", &B::dense_bias, [](const H& h, Index) { return when(h.bert.lm_head, {h.hidden_size}); }},
        F{"norm weight", &B::norm_weight, [](const H& h, Index) { return when(h.bert.lm_head, {h.hidden_size}); }},
        F{"norm bias", &B::norm_bias, [](const H& h, Index) { return when(h.bert.lm_head, {h.hidden_size}); }},
        F{"output bias", &B::output_bias, [](const H& h, Index) { return when(h.bert.lm_head, {h.vocab_rows}); }, true},
    };
}();

template <>
inline constexpr std::array tensor_fields<BertBinaryHead>{
    TensorField<BertBinaryHead>{"weight", &BertBinaryHead::weight,
                                [](const ModelHeader& h, detail::Index) {
                                    return detail::when(h.bert.binary_head, {2, h.hidden_size});
                                }},
    TensorField<BertBinaryHead>{
        "bias", &BertBinaryHead::bias,
        [](const ModelHeader& h, detail::Index) { return detail::when(h.bert.binary_head, {2}); }},
};

}  // namespace crossdock
