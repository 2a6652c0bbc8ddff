// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "crossdock/core/join_lists.hpp"
#include "crossdock/family/config_table.hpp"
#include "crossdock/family/megatron/other_args.hpp"
#include "crossdock/protocol/model_header.hpp"

namespace crossdock {

/// What an argument states outright and the tensors confirm or refute.
struct Claim {
    std::string_view argument;
    /// Whether the value can be true of a model with these tensors; an argument that is not there never gets here.
    bool (*agrees)(const Json& value, const Json& args, const ModelHeader& header);
    std::string_view instead;  ///< what the tensors have where it does not
};

namespace detail {

inline bool is_true(const Json& value) { return value.is_boolean() && value.get<bool>(); }
inline bool is_false(const Json& value) { return value.is_boolean() && !value.get<bool>(); }

namespace claim {

inline bool gated_if_true(const Json& value, const Json&, const ModelHeader& h) {
    return !is_true(value) || h.mlp.gated;
}
inline bool gated(const Json&, const Json&, const ModelHeader& h) { return h.mlp.gated; }

inline bool tied_if_true(const Json& value, const Json&, const ModelHeader& h) {
    return !is_true(value) || h.tied_embeddings;
}
inline bool untied_if_false(const Json& value, const Json&, const ModelHeader& h) {
    return !is_false(value) || !h.tied_embeddings;
}
inline bool untied_if_true(const Json& value, const Json&, const ModelHeader& h) {
    return !is_true(value) || !h.tied_embeddings;
}
inline bool tied_if_false(const Json& value, const Json&, const ModelHeader& h) {
    return !is_false(value) || h.tied_embeddings;
}

inline bool biases_if_true(const Json& value, const Json&, const ModelHeader& h) {
    return !is_true(value) || (h.attention.qkv_bias && h.attention.dense_bias && h.mlp.fc1_bias && h.mlp.fc2_bias);
}
/// q, k and v have a switch of their own.
inline bool no_biases_if_false(const Json& value, const Json&, const ModelHeader& h) {
    return !is_false(value) || !(h.attention.dense_bias || h.mlp.fc1_bias || h.mlp.fc2_bias);
}
inline bool qkv_bias_if_true(const Json& value, const Json&, const ModelHeader& h) {
    return !is_true(value) || h.attention.qkv_bias;
}
/// add_bias_linear gives q, k and v their biases too.
inline bool no_qkv_bias_if_all_false(const Json& value, const Json& args, const ModelHeader& h) {
    return !is_false(value) || !is_false(argument(args, "add_bias_linear")) || !h.attention.qkv_bias;
}

/// Those of latents go by the same switch.
inline bool qk_norms_if_true(const Json& value, const Json&, const ModelHeader& h) {
    return !is_true(value) || h.attention.qk_norm || is_latent(h.attention);
}
inline bool no_qk_norms_if_false(const Json& value, const Json&, const ModelHeader& h) {
    return !is_false(value) || !(h.attention.qk_norm || is_latent(h.attention));
}

inline bool latent_as_said(const Json& value, const Json&, const ModelHeader& h) {
    return is_true(value) == is_latent(h.attention);
}
/// A size of latent attention; null is Megatron's word for none.
template <auto size>
bool same_of_latents(const Json& value, const Json&, const ModelHeader& h) {
    return !is_latent(h.attention) || (value.is_null() ? Json(0U) : value) == Json(h.attention.latent.*size);
}

/// Of Gemma 2 and 3, which have norms of the blocks' outputs, the third has norms of queries and keys as well.
inline bool of_this_gemma(const Json& value, const Json&, const ModelHeader& h) {
    return is_off(value) || (h.block_output_norms && value == Json(h.attention.qk_norm ? 3 : 2));
}

inline bool as_many_experts(const Json& value, const Json&, const ModelHeader& h) {
    return is_off(value) == !has_experts(h.mlp) && (is_off(value) || value == Json(h.mlp.experts.num_experts));
}

/// A size of the experts; null leaves it open.
template <auto size>
bool same_of_experts(const Json& value, const Json&, const ModelHeader& h) {
    return !has_experts(h.mlp) || value.is_null() || value == Json(h.mlp.experts.*size);
}
/// Here null says that there is none.
inline bool same_shared_expert(const Json& value, const Json&, const ModelHeader& h) {
    return !has_experts(h.mlp) || (value.is_null() ? Json(0U) : value) == Json(h.mlp.experts.shared_ffn_hidden_size);
}

/// A number says that layers of its multiples have experts, a list says 0 or 1 for each layer.
inline bool same_layers_with_experts(const Json& value, const Json&, const ModelHeader& h) {
    if (!has_experts(h.mlp) || value.is_null()) return true;
    if (value.is_array() ? value.size() != h.num_layers : !value.is_number_integer() || value.get<std::int64_t>() <= 0)
        return false;
    for (std::uint64_t layer = 0; layer < h.num_layers; ++layer) {
        const bool said = value.is_array() ? value[layer] == Json(1) : layer % value.get<std::uint64_t>() == 0;
        if (said != has_experts(mlp_of(h, layer))) return false;
    }
    return true;
}

inline bool as_many_mtp_layers(const Json& value, const Json&, const ModelHeader& h) {
    return is_off(value) ? h.mtp_num_layers == 0 : value == Json(h.mtp_num_layers);
}

inline bool layer_norm_unless_rms(const Json& value, const Json&, const ModelHeader& h) {
    return !is_text(value, {"RMSNorm"}) || h.norm != NormKind::layer;
}
inline bool rms_norm_unless_layer(const Json& value, const Json&, const ModelHeader& h) {
    return !is_text(value, {"LayerNorm"}) || h.norm == NormKind::layer;
}

}  // namespace claim

}  // namespace detail

/// What Megatron-LLM's arguments claim of the tensors.
inline std::vector<Claim> megatron_llm_claims() {
    namespace claim = detail::claim;
    return {{"swiglu", claim::gated_if_true, "an MLP without a gate"},
            {"quick_geglu", claim::gated_if_true, "an MLP without a gate"},
            {"glu_activation", claim::gated, "an MLP without a gate"},
            {"tie_embed_logits", claim::tied_if_true, "a head of their own"},
            {"tie_embed_logits", claim::untied_if_false, "no head of their own"}};
}

/// What NVIDIA's arguments claim of the tensors: add_bias_linear of all linear layers, add_qkv_bias of q, k and v.
inline std::vector<Claim> megatron_nvidia_claims() {
    namespace claim = detail::claim;
    return {{"swiglu", claim::gated_if_true, "an MLP without a gate"},
            {"quick_geglu", claim::gated_if_true, "an MLP without a gate"},
            {"untie_embeddings_and_output_weights", claim::tied_if_false, "a head of their own"},
            {"untie_embeddings_and_output_weights", claim::untied_if_true, "no head of their own"},
            {"add_bias_linear", claim::biases_if_true, "linear layers without biases"},
            {"add_bias_linear", claim::no_biases_if_false, "linear layers with biases"},
            {"add_qkv_bias", claim::no_qkv_bias_if_all_false, "biases of q, k and v"},
            {"add_qkv_bias", claim::qkv_bias_if_true, "no biases of q, k and v"},
            {"normalization", claim::layer_norm_unless_rms, "norms with biases"},
            {"normalization", claim::rms_norm_unless_layer, "norms without biases"}};
}

/// What they claim besides where the code is Megatron-Core's.
inline std::vector<Claim> megatron_core_claims() {
    namespace claim = detail::claim;
    return join_lists(
        megatron_nvidia_claims(),
        {{"qk_layernorm", claim::qk_norms_if_true, "no norms of queries and keys"},
         {"qk_layernorm", claim::no_qk_norms_if_false, "norms of queries and keys"},
         {"gemma_version", claim::of_this_gemma, "the norms of another model"},
         {"multi_latent_attention", claim::latent_as_said, "the other kind of attention"},
         {"q_lora_rank", claim::same_of_latents<&LatentAttention::q_lora_rank>, "another size of latents"},
         {"kv_lora_rank", claim::same_of_latents<&LatentAttention::kv_lora_rank>, "another size of latents"},
         {"qk_head_dim", claim::same_of_latents<&LatentAttention::qk_head_dim>, "heads of another size"},
         {"qk_pos_emb_head_dim", claim::same_of_latents<&LatentAttention::qk_pos_emb_head_dim>,
          "heads of another size"},
         {"v_head_dim", claim::same_of_latents<&LatentAttention::v_head_dim>, "heads of another size"},
         {"num_experts", claim::as_many_experts, "another number of experts"},
         {"moe_ffn_hidden_size", claim::same_of_experts<&Experts::ffn_hidden_size>, "experts of another size"},
         {"moe_shared_expert_intermediate_size", claim::same_shared_expert, "a shared expert of another size, or none"},
         {"moe_layer_freq", claim::same_layers_with_experts, "experts in other layers"},
         {"mtp_num_layers", claim::as_many_mtp_layers, "another number of layers that predict further tokens"}});
}

}  // namespace crossdock
