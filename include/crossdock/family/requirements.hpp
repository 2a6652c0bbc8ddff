// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <string_view>
#include <vector>

#include "crossdock/core/error.hpp"
#include "crossdock/core/join_lists.hpp"
#include "crossdock/core/text.hpp"
#include "crossdock/family/tensor_table.hpp"
#include "crossdock/protocol/layer_windows.hpp"
#include "crossdock/protocol/messages.hpp"
#include "crossdock/protocol/model_header.hpp"

namespace crossdock {

/// A property that a format can express only in one way. `holds` tells whether a model agrees with it.
struct Requirement {
    std::string_view otherwise;  ///< what the model has if not, as a part of a sentence: "parallel attention"
    bool (*holds)(const ModelHeader&);
    std::string_view remedy{};  ///< what the user can do then, if there is something
};

/// Throws Error naming the first property of the model that `format` cannot express: nothing is dropped in silence.
inline void require_expressible(const std::vector<Requirement>& requirements, const ModelHeader& header,
                                std::string_view format) {
    for (const Requirement& requirement : requirements)
        if (!requirement.holds(header))
            throw Error(to_text("the model has ", requirement.otherwise, ", which ", format, " cannot express",
                                requirement.remedy.empty() ? "" : "; ", requirement.remedy));
}

/// Throws Error where the model has layers that predict further tokens and the table has no place for them.
inline void require_mtp_places(const TensorTable& table, const ModelHeader& header, std::string_view format) {
    if (header.mtp_num_layers > 0 && !row_of(table, &TransformerLayer::mtp_projection_weight))
        throw Error(to_text("the model has layers that predict further tokens (mtp_num_layers ", header.mtp_num_layers,
                            "), which ", format,
                            " has no place for; to convert it without them, give the option drop_mtp"));
}

/// Throws Error naming the first tensor of the model for which the table has no row: the net below the requirements.
inline void require_rows(const TensorTable& table, const ModelHeader& header, std::string_view format) {
    for_each_message(header, [&]<class M>(Key<M> key) {
        for (const TensorField<M>& field : tensor_fields<M>)
            if (field.expected(header, key.index) && !row_of(table, field.tensor))
                throw Error(to_text("the model has a tensor '", field.name, "' (", M::name, "), which ", format,
                                    " has no place for"));
    });
}

/// Requirements that several formats share. A list of them says what its format can express; what a requirement does
/// not speak of, the format can say either way.
namespace require {

inline constexpr Requirement equal_layers{"layers that differ from each other (other_layers)",
                                          [](const ModelHeader& h) { return h.other_layers.empty(); }};
inline constexpr Requirement plain_attention{
    "latent attention (kv_lora_rank)", [](const ModelHeader& h) {
        return !is_latent(h.attention) &&
               std::none_of(h.other_layers.begin(), h.other_layers.end(),
                            [&h](const auto& other) { return is_latent(attention_of(h, other.first)); });
    }};
inline constexpr Requirement rms_norm{"layer norms", [](const ModelHeader& h) { return h.norm == NormKind::rms; }};
inline constexpr Requirement layer_norm{"RMS norms", [](const ModelHeader& h) { return h.norm == NormKind::layer; }};
inline constexpr Requirement plain_norm{"zero-centred norm weights",
                                        [](const ModelHeader& h) { return !h.norm_zero_centered.value_or(false); }};
inline constexpr Requirement zero_centered_norm{
    "norm weights that are not zero-centred", [](const ModelHeader& h) { return h.norm_zero_centered.value_or(true); }};
inline constexpr Requirement rotary{"positions that are not rotary",
                                    [](const ModelHeader& h) { return h.positions == PositionKind::rope; }};
inline constexpr Requirement learned_positions{
    "no learned position table", [](const ModelHeader& h) { return h.positions == PositionKind::learned; }};
inline constexpr Requirement sequential{"parallel attention (parallel_attention)",
                                        [](const ModelHeader& h) { return !h.parallel_attention; }};
inline constexpr Requirement pre_norm{"norms after the blocks (post_norm)",
                                      [](const ModelHeader& h) { return !h.post_norm && !h.embedding_norm; }};
inline constexpr Requirement final_norm{"no final norm", [](const ModelHeader& h) { return h.final_norm; }};
inline constexpr Requirement gated{"an MLP without a gate", [](const ModelHeader& h) { return h.mlp.gated; }};
inline constexpr Requirement ungated{"a gated MLP", [](const ModelHeader& h) { return !h.mlp.gated; }};
inline constexpr Requirement known_activation{"a gated MLP whose activation its source does not state",
                                              [](const ModelHeader& h) { return h.mlp.activation.has_value(); }};
inline constexpr Requirement no_bias{"biases in its linear layers", [](const ModelHeader& h) {
                                         return !h.attention.qkv_bias && !h.attention.dense_bias && !h.mlp.fc1_bias &&
                                                !h.mlp.fc2_bias;
                                     }};
inline constexpr Requirement all_biases{"linear layers without biases", [](const ModelHeader& h) {
                                            return h.attention.qkv_bias && h.attention.dense_bias && h.mlp.fc1_bias &&
                                                   h.mlp.fc2_bias;
                                        }};
inline constexpr Requirement biases_agree{"biases in some but not all of its linear layers", [](const ModelHeader& h) {
                                              return h.attention.qkv_bias == h.attention.dense_bias &&
                                                     h.attention.dense_bias == h.mlp.fc1_bias &&
                                                     h.mlp.fc1_bias == h.mlp.fc2_bias;
                                          }};
inline constexpr Requirement no_window{"a sliding attention window (sliding_window)", [](const ModelHeader& h) {
                                           const auto window = h.attention.sliding_window.value_or(0);
                                           return window == 0 || window >= h.max_position_embeddings.value_or(~0ULL);
                                       }};
inline constexpr Requirement plain_embeddings{"scaled embeddings (embedding_multiplier)", [](const ModelHeader& h) {
                                                  return h.embedding_multiplier.value_or(1.0) == 1.0;
                                              }};
inline constexpr Requirement decoder_only{"BERT's heads or token types", [](const ModelHeader& h) {
                                              return !h.bert.pooler && !h.bert.lm_head && !h.bert.binary_head &&
                                                     h.num_token_types == 0;
                                          }};
inline constexpr Requirement multi_head{"grouped query heads", [](const ModelHeader& h) {
                                            return h.attention.num_query_groups == h.attention.num_attention_heads;
                                        }};
inline constexpr Requirement heads_fill_hidden{
    "heads whose size is not hidden_size / num_attention_heads",
    [](const ModelHeader& h) { return h.attention.kv_channels * h.attention.num_attention_heads == h.hidden_size; }};
inline constexpr Requirement head{"no head (headless): it is an embedding model",
                                  [](const ModelHeader& h) { return !h.headless; }};
inline constexpr Requirement full_rotary{"partial rotary positions (rotary_percent)", [](const ModelHeader& h) {
                                             return h.attention.rotary_percent.value_or(1.0) == 1.0;
                                         }};
/// One key of a description decides over both.
inline constexpr Requirement attention_biases_agree{
    "a bias in some but not all of its attention layers",
    [](const ModelHeader& h) { return h.attention.qkv_bias == h.attention.dense_bias; }};
inline constexpr Requirement mlp_biases_agree{"a bias in some but not all of its MLP layers",
                                              [](const ModelHeader& h) { return h.mlp.fc1_bias == h.mlp.fc2_bias; }};
inline constexpr Requirement no_rope_scaling{
    "scaled rotary positions (rope_scaling)",
    [](const ModelHeader& h) { return h.attention.rope_scaling.value_or(RopeScaling{}).type == "default"; }};
inline constexpr Requirement silu{"an activation other than silu", [](const ModelHeader& h) {
                                      return h.mlp.activation.value_or(Activation::silu) == Activation::silu;
                                  }};

inline constexpr Requirement alike_but_for_experts{
    "layers that differ from each other in more than having experts (other_layers)", [](const ModelHeader& h) {
        return std::all_of(h.other_layers.begin(), h.other_layers.end(), [&h](const auto& other) {
            Mlp mlp = mlp_of(h, other.first);
            if (!has_experts(mlp)) mlp.experts = h.mlp.experts;
            return attention_of(h, other.first) == h.attention && mlp == h.mlp;
        });
    }};

inline constexpr Requirement softmax_router{
    "a router with sigmoid scores, a bias, groups or a factor", [](const ModelHeader& h) {
        const Experts& experts = h.mlp.experts;
        return experts.score == RouterScore::softmax && !experts.router_bias && experts.num_groups == 0 &&
               experts.scaling_factor.value_or(1.0) == 1.0;
    }};

inline constexpr Requirement usual_scale{
    "scores that are scaled otherwise than by 1 / √kv_channels (query_pre_attn_scalar)", [](const ModelHeader& h) {
        return all_attend(h, [](const Attention& attention) {
            const auto usual = static_cast<double>(attention.kv_channels);
            return attention.query_pre_attn_scalar.value_or(usual) == usual;
        });
    }};
inline constexpr Requirement uncapped_scores{
    "capped attention scores (logit_softcap)", [](const ModelHeader& h) {
        return all_attend(h, [](const Attention& attention) { return attention.logit_softcap.value_or(0) == 0; });
    }};
inline constexpr Requirement uncapped_logits{
    "capped logits (final_logit_softcap)", [](const ModelHeader& h) { return h.final_logit_softcap.value_or(0) == 0; }};
inline constexpr Requirement no_output_norms{"norms of what its attention and MLP put out (block_output_norms)",
                                             [](const ModelHeader& h) { return !h.block_output_norms; }};

/// What only Gemma 2 and 3 have: asked by every dialect of Megatron, and by every layout that does not say
/// Layout::says_caps.
inline std::vector<Requirement> no_caps() { return {no_output_norms, uncapped_scores, uncapped_logits, usual_scale}; }

/// Of decoders with RMS norms before the blocks, rotary positions and a gated MLP, whatever their attention.
inline std::vector<Requirement> rms_blocks() {
    return {decoder_only, rms_norm, rotary, full_rotary, sequential, pre_norm, final_norm, gated};
}

/// Of decoders as Llama's.
inline std::vector<Requirement> rms_decoder() { return join_lists(std::vector{plain_attention}, rms_blocks()); }

}  // namespace require

}  // namespace crossdock
