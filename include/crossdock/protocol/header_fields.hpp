// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include "crossdock/protocol/model_header.hpp"

namespace crossdock {

/// Which group of the header a field is in.
enum class FieldGroup : std::uint8_t { none, attention, mlp };

/// A part of a group without which its fields mean nothing.
enum class FieldPart : std::uint8_t { none, experts, latent_attention };

/// A field of the header, or of one of its groups, by name: field::rope_theta(header) is header.attention.rope_theta.
template <class T>
struct HeaderField {
    std::string_view name;
    T& (*find)(ModelHeader&);
    FieldGroup group = FieldGroup::none;
    FieldPart part = FieldPart::none;

    T& operator()(ModelHeader& header) const { return find(header); }
    const T& operator()(const ModelHeader& header) const { return find(const_cast<ModelHeader&>(header)); }
};

namespace detail {

/// The member at the end of a path of pointers to members.
template <auto... path>
constexpr auto& member_of(ModelHeader& header) {
    return (header.*....*path);
}

template <auto first, auto... rest>
consteval FieldGroup group_of() {
    return std::is_same_v<decltype(first), Attention ModelHeader::*> ? FieldGroup::attention
           : std::is_same_v<decltype(first), Mlp ModelHeader::*>     ? FieldGroup::mlp
                                                                     : FieldGroup::none;
}

template <auto first, auto... rest>
consteval FieldPart part_of() {
    const auto is = [](auto member) { return ((std::is_same_v<decltype(rest), decltype(member)>) || ...); };
    return is(&Mlp::experts)        ? FieldPart::experts
           : is(&Attention::latent) ? FieldPart::latent_attention
                                    : FieldPart::none;
}

template <auto... path>
consteval auto named(std::string_view name) {
    using T = std::remove_reference_t<decltype(member_of<path...>(std::declval<ModelHeader&>()))>;
    return HeaderField<T>{name, [](ModelHeader& header) -> T& { return member_of<path...>(header); },
                          group_of<path...>(), part_of<path...>()};
}

}  // namespace detail

/// The fields that descriptions of models have, for tables.
namespace field {

using detail::named;
using H = ModelHeader;

inline constexpr auto num_layers = named<&H::num_layers>("num_layers");
inline constexpr auto mtp_num_layers = named<&H::mtp_num_layers>("mtp_num_layers");
inline constexpr auto hidden_size = named<&H::hidden_size>("hidden_size");
inline constexpr auto num_attention_heads =
    named<&H::attention, &Attention::num_attention_heads>("num_attention_heads");
inline constexpr auto num_query_groups = named<&H::attention, &Attention::num_query_groups>("num_query_groups");
inline constexpr auto kv_channels = named<&H::attention, &Attention::kv_channels>("kv_channels");
inline constexpr auto q_lora_rank =
    named<&H::attention, &Attention::latent, &LatentAttention::q_lora_rank>("q_lora_rank");
inline constexpr auto kv_lora_rank =
    named<&H::attention, &Attention::latent, &LatentAttention::kv_lora_rank>("kv_lora_rank");
inline constexpr auto qk_head_dim =
    named<&H::attention, &Attention::latent, &LatentAttention::qk_head_dim>("qk_head_dim");
inline constexpr auto qk_pos_emb_head_dim =
    named<&H::attention, &Attention::latent, &LatentAttention::qk_pos_emb_head_dim>("qk_pos_emb_head_dim");
inline constexpr auto v_head_dim = named<&H::attention, &Attention::latent, &LatentAttention::v_head_dim>("v_head_dim");
inline constexpr auto ffn_hidden_size = named<&H::mlp, &Mlp::ffn_hidden_size>("ffn_hidden_size");
inline constexpr auto true_vocab_size = named<&H::true_vocab_size>("true_vocab_size");
inline constexpr auto max_position_embeddings = named<&H::max_position_embeddings>("max_position_embeddings");
inline constexpr auto num_token_types = named<&H::num_token_types>("num_token_types");
inline constexpr auto norm = named<&H::norm>("norm");
inline constexpr auto positions = named<&H::positions>("positions");
inline constexpr auto gated_mlp = named<&H::mlp, &Mlp::gated>("gated_mlp");
inline constexpr HeaderField<std::uint64_t> num_experts{
    "num_experts", [](ModelHeader& header) -> std::uint64_t& { return header.mlp.experts.num_experts; },
    FieldGroup::mlp};
inline constexpr auto moe_router_topk = named<&H::mlp, &Mlp::experts, &Experts::router_topk>("moe_router_topk");
inline constexpr auto moe_ffn_hidden_size =
    named<&H::mlp, &Mlp::experts, &Experts::ffn_hidden_size>("moe_ffn_hidden_size");
inline constexpr auto moe_shared_expert_intermediate_size =
    named<&H::mlp, &Mlp::experts, &Experts::shared_ffn_hidden_size>("moe_shared_expert_intermediate_size");
inline constexpr auto moe_shared_expert_gate =
    named<&H::mlp, &Mlp::experts, &Experts::shared_gate>("moe_shared_expert_gate");
inline constexpr auto moe_router_enable_expert_bias =
    named<&H::mlp, &Mlp::experts, &Experts::router_bias>("moe_router_enable_expert_bias");
inline constexpr auto moe_router_score_function =
    named<&H::mlp, &Mlp::experts, &Experts::score>("moe_router_score_function");
inline constexpr auto moe_router_pre_softmax =
    named<&H::mlp, &Mlp::experts, &Experts::pre_softmax>("moe_router_pre_softmax");
inline constexpr auto moe_router_topk_scaling_factor =
    named<&H::mlp, &Mlp::experts, &Experts::scaling_factor>("moe_router_topk_scaling_factor");
inline constexpr auto moe_router_num_groups =
    named<&H::mlp, &Mlp::experts, &Experts::num_groups>("moe_router_num_groups");
inline constexpr auto moe_router_group_topk =
    named<&H::mlp, &Mlp::experts, &Experts::group_topk>("moe_router_group_topk");
inline constexpr auto tied_embeddings = named<&H::tied_embeddings>("tied_embeddings");
inline constexpr auto headless = named<&H::headless>("headless");
inline constexpr auto parallel_attention = named<&H::parallel_attention>("parallel_attention");
inline constexpr auto parallel_norm = named<&H::parallel_norm>("parallel_norm");
inline constexpr auto post_norm = named<&H::post_norm>("post_norm");
inline constexpr auto block_output_norms = named<&H::block_output_norms>("block_output_norms");
inline constexpr auto embedding_norm = named<&H::embedding_norm>("embedding_norm");
inline constexpr auto final_norm = named<&H::final_norm>("final_norm");
inline constexpr auto qkv_bias = named<&H::attention, &Attention::qkv_bias>("qkv_bias");
inline constexpr auto dense_bias = named<&H::attention, &Attention::dense_bias>("dense_bias");
inline constexpr auto qk_norm = named<&H::attention, &Attention::qk_norm>("qk_norm");
inline constexpr auto fc1_bias = named<&H::mlp, &Mlp::fc1_bias>("fc1_bias");
inline constexpr auto fc2_bias = named<&H::mlp, &Mlp::fc2_bias>("fc2_bias");
inline constexpr auto pooler = named<&H::bert, &BertHeads::pooler>("pooler");
inline constexpr auto bert_lm_head = named<&H::bert, &BertHeads::lm_head>("bert_lm_head");
inline constexpr auto bert_binary_head = named<&H::bert, &BertHeads::binary_head>("bert_binary_head");
inline constexpr auto norm_epsilon = named<&H::norm_epsilon>("norm_epsilon");
inline constexpr auto norm_zero_centered = named<&H::norm_zero_centered>("norm_zero_centered");
inline constexpr auto activation = named<&H::mlp, &Mlp::activation>("activation");
inline constexpr auto rope_theta = named<&H::attention, &Attention::rope_theta>("rope_theta");
inline constexpr auto rotary_percent = named<&H::attention, &Attention::rotary_percent>("rotary_percent");
inline constexpr auto rotary_interleaved = named<&H::attention, &Attention::rotary_interleaved>("rotary_interleaved");
inline constexpr auto rope_scaling = named<&H::attention, &Attention::rope_scaling>("rope_scaling");
inline constexpr auto sliding_window = named<&H::attention, &Attention::sliding_window>("sliding_window");
inline constexpr auto query_pre_attn_scalar =
    named<&H::attention, &Attention::query_pre_attn_scalar>("query_pre_attn_scalar");
inline constexpr auto logit_softcap = named<&H::attention, &Attention::logit_softcap>("logit_softcap");
inline constexpr auto final_logit_softcap = named<&H::final_logit_softcap>("final_logit_softcap");
inline constexpr auto embedding_multiplier = named<&H::embedding_multiplier>("embedding_multiplier");
inline constexpr auto other_layers = named<&H::other_layers>("other_layers");
inline constexpr auto seq_length = named<&H::training, &Training::seq_length>("seq_length");
inline constexpr auto hidden_dropout = named<&H::training, &Training::hidden_dropout>("hidden_dropout");
inline constexpr auto attention_dropout = named<&H::training, &Training::attention_dropout>("attention_dropout");
inline constexpr auto lima_dropout = named<&H::training, &Training::lima_dropout>("lima_dropout");
inline constexpr auto use_flash_attn = named<&H::training, &Training::use_flash_attn>("use_flash_attn");
inline constexpr auto iteration = named<&H::training, &Training::iteration>("iteration");
inline constexpr auto release = named<&H::training, &Training::release>("release");
inline constexpr auto consumed_train_samples =
    named<&H::training, &Training::consumed_train_samples>("consumed_train_samples");
inline constexpr auto consumed_valid_samples =
    named<&H::training, &Training::consumed_valid_samples>("consumed_valid_samples");
inline constexpr auto tokenizer_type = named<&H::training, &Training::tokenizer_type>("tokenizer_type");
inline constexpr auto params_dtype = named<&H::params_dtype>("params_dtype");
inline constexpr auto vocab_rows = named<&H::vocab_rows>("vocab_rows");
inline constexpr auto previous_tensor_parallel_size =
    named<&H::training, &Training::previous_tensor_parallel_size>("previous_tensor_parallel_size");
inline constexpr auto previous_pipeline_parallel_size =
    named<&H::training, &Training::previous_pipeline_parallel_size>("previous_pipeline_parallel_size");
inline constexpr auto make_vocab_size_divisible_by =
    named<&H::training, &Training::make_vocab_size_divisible_by>("make_vocab_size_divisible_by");

}  // namespace field

/// The fields of the model; `verify`, `inspect` and crossdock.json walk these.
inline constexpr std::tuple header_fields{field::num_layers,
                                          field::mtp_num_layers,
                                          field::hidden_size,
                                          field::num_attention_heads,
                                          field::num_query_groups,
                                          field::kv_channels,
                                          field::q_lora_rank,
                                          field::kv_lora_rank,
                                          field::qk_head_dim,
                                          field::qk_pos_emb_head_dim,
                                          field::v_head_dim,
                                          field::ffn_hidden_size,
                                          field::true_vocab_size,
                                          field::max_position_embeddings,
                                          field::num_token_types,
                                          field::norm,
                                          field::positions,
                                          field::gated_mlp,
                                          field::num_experts,
                                          field::moe_router_topk,
                                          field::moe_ffn_hidden_size,
                                          field::moe_shared_expert_intermediate_size,
                                          field::moe_shared_expert_gate,
                                          field::moe_router_enable_expert_bias,
                                          field::moe_router_score_function,
                                          field::moe_router_pre_softmax,
                                          field::moe_router_topk_scaling_factor,
                                          field::moe_router_num_groups,
                                          field::moe_router_group_topk,
                                          field::tied_embeddings,
                                          field::headless,
                                          field::parallel_attention,
                                          field::parallel_norm,
                                          field::post_norm,
                                          field::block_output_norms,
                                          field::embedding_norm,
                                          field::final_norm,
                                          field::qkv_bias,
                                          field::dense_bias,
                                          field::qk_norm,
                                          field::fc1_bias,
                                          field::fc2_bias,
                                          field::pooler,
                                          field::bert_lm_head,
                                          field::bert_binary_head,
                                          field::norm_epsilon,
                                          field::norm_zero_centered,
                                          field::activation,
                                          field::rope_theta,
                                          field::rotary_percent,
                                          field::rotary_interleaved,
                                          field::rope_scaling,
                                          field::sliding_window,
                                          field::query_pre_attn_scalar,
                                          field::logit_softcap,
                                          field::final_logit_softcap,
                                          field::embedding_multiplier,
                                          field::other_layers};

/// The fields of a training run: crossdock.json keeps them, `verify` does not compare them.
inline constexpr std::tuple training_fields{
    field::seq_length,    field::hidden_dropout,         field::attention_dropout,
    field::lima_dropout,  field::use_flash_attn,         field::iteration,
    field::release,       field::consumed_train_samples, field::consumed_valid_samples,
    field::tokenizer_type};

/// Whether a field means something in a model.
template <class T>
bool has_meaning(const HeaderField<T>& field, const ModelHeader& header) {
    return field.part == FieldPart::experts            ? has_experts(header.mlp)
           : field.part == FieldPart::latent_attention ? is_latent(header.attention)
                                                       : true;
}

/// Calls visit(HeaderField) for each of `fields`.
template <class Fields, class Visit>
constexpr void for_each_header_field(const Fields& fields, Visit&& visit) {
    std::apply([&](const auto&... each) { (visit(each), ...); }, fields);
}

}  // namespace crossdock
