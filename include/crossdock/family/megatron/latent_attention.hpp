// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "crossdock/core/text.hpp"
#include "crossdock/family/arrangement.hpp"
#include "crossdock/family/megatron/dialect.hpp"
#include "crossdock/family/megatron/latent_args.hpp"
#include "crossdock/family/megatron/yarn.hpp"
#include "crossdock/family/requirements.hpp"
#include "crossdock/family/tensor_table.hpp"

namespace crossdock::detail {

// Latent attention in Megatron-Core (core/transformer/multi_latent_attention.py, core_v0.16.1). Rotary rows are in pairs,
// as in messages. Its own layers cut the down projections by their rows, and so did Transformer Engine's until core_v0.13;
// since, each rank holds them whole. No argument says which: the rows do.

inline bool layer_is_latent(const ModelHeader& header, std::uint64_t layer) {
    return is_latent(attention_of(header, layer));
}
inline bool layer_has_qkv(const ModelHeader& header, std::uint64_t layer) { return !layer_is_latent(header, layer); }
inline bool layer_has_query_latent(const ModelHeader& header, std::uint64_t layer) {
    return layer_is_latent(header, layer) && attention_of(header, layer).latent.q_lora_rank > 0;
}
inline bool layer_has_plain_query(const ModelHeader& header, std::uint64_t layer) {
    return layer_is_latent(header, layer) && attention_of(header, layer).latent.q_lora_rank == 0;
}

/// Where the norms of latents live; "weight" is appended to these.
struct LatentNorms {
    std::string_view query, key_value;
};
inline constexpr LatentNorms local_latent_norms{"q_layernorm.", "kv_layernorm."},
    engine_latent_norms{"linear_q_up_proj.layer_norm_", "linear_kv_up_proj.layer_norm_"};

/// The rows of latent attention, its down projections cut by `down`.
inline Rows<TransformerLayer> core_latent_rows(const LatentNorms& norms, const Cut& down) {
    using L = TransformerLayer;
    const std::string block = "decoder.layers.{}.self_attention.";
    return Rows<L>{{{&L::q_weight}, {block + "linear_q_proj.weight"}, as_is, Cut::rows},
                   {{&L::q_down_weight}, {block + "linear_q_down_proj.weight"}, as_is, down},
                   {{&L::q_latent_norm_weight}, {to_text(block, norms.query, "weight")}},
                   {{&L::q_up_weight}, {block + "linear_q_up_proj.weight"}, as_is, Cut::rows},
                   {{&L::kv_down_weight}, {block + "linear_kv_down_proj.weight"}, as_is, down},
                   {{&L::kv_latent_norm_weight}, {to_text(block, norms.key_value, "weight")}},
                   {{&L::kv_up_weight}, {block + "linear_kv_up_proj.weight"}, as_is, Cut::rows}};
}

/// The table with the down projections cut the other way.
inline TensorTable with_other_down_cut(TensorTable table) {
    for (Row<TransformerLayer>& row : table.rows<TransformerLayer>())
        if (row.fields[0] == &TransformerLayer::q_down_weight || row.fields[0] == &TransformerLayer::kv_down_weight)
            row.cuts = row.cuts.of(Group::tensor).axis ? Cut::none : Cut::rows;
    return table;
}

/// The extra states of its linear modules.
inline std::vector<LayerPlaceholder> latent_placeholders() {
    const std::string block = "decoder.layers.{}.self_attention.";
    return {{block + "linear_q_proj._extra_state", layer_has_plain_query},
            {block + "linear_q_down_proj._extra_state", layer_has_query_latent},
            {block + "linear_q_up_proj._extra_state", layer_has_query_latent},
            {block + "linear_kv_down_proj._extra_state", layer_is_latent},
            {block + "linear_kv_up_proj._extra_state", layer_is_latent}};
}

/// What its code can compute of a model with latent attention or with a sigmoid router.
inline std::vector<Requirement> core_latent_requirements() {
    using H = ModelHeader;
    return {
        {"rotary positions of latent attention that are scaled otherwise than by yarn (rope_scaling)",
         [](const H& h) { return !is_latent(h.attention) || has_yarn(h) || require::no_rope_scaling.holds(h); }},
        {"a yarn scaling of latent attention that does not truncate, or whose attention_factor is none that mscale and "
         "mscale_all_dim make",
         [](const H& h) {
             if (!is_latent(h.attention) || !has_yarn(h)) return true;
             const RopeScaling& yarn = *h.attention.rope_scaling;
             const auto truncate = yarn.others.find("truncate");
             return (truncate == yarn.others.end() || truncate->second == "true") && core_mscale(yarn);
         }},
        // core/transformer/moe/moe_utils.py, topk_routing_with_score_function
        {"a sigmoid router whose scores are not made to add up to 1 (norm_topk_prob false), or are although each "
         "token has one expert",
         [](const H& h) {
             const Experts& experts = h.mlp.experts;
             return experts.score != RouterScore::sigmoid || experts.pre_softmax == (experts.router_topk == 1);
         }},
        {"groups of experts chosen by their best two (topk_group is not half of num_experts_per_tok)", [](const H& h) {
             const Experts& experts = h.mlp.experts;
             return experts.num_groups == 0 || experts.router_topk == 2 * experts.group_topk ||
                    h.origin.megatron == MegatronCode::core;
         }}};
}

/// What it computes otherwise than transformers.
inline std::vector<Requirement> core_latent_limits() {
    return {
        {"Megatron (mcore) takes the model's norm_epsilon for the norms of latents too, where transformers takes 1e-6, "
         "and they differ here",
         [](const ModelHeader& h) {
             return !is_latent(h.attention) || h.norm_epsilon.value_or(1e-6) == 1e-6 ||
                    h.origin.megatron == MegatronCode::core;
         }},
        {"Megatron (mcore) does not run a model whose tokens have one expert each, with a probability that is made 1 "
         "(norm_topk_prob): its router would not learn",
         [](const ModelHeader& h) {
             const Experts& experts = h.mlp.experts;
             return !has_experts(h.mlp) || experts.score != RouterScore::softmax || experts.router_topk != 1 ||
                    experts.pre_softmax || h.origin.megatron == MegatronCode::core;
         }}};
}

}  // namespace crossdock::detail
