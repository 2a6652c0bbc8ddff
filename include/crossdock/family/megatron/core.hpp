// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/core/join_lists.hpp"
#include "crossdock/core/text.hpp"
#include "crossdock/family/megatron/claims.hpp"
#include "crossdock/family/megatron/dialect.hpp"
#include "crossdock/family/megatron/flags.hpp"
#include "crossdock/family/megatron/latent_attention.hpp"
#include "crossdock/family/megatron/mtp.hpp"
#include "crossdock/family/megatron/nvidia_args.hpp"
#include "crossdock/family/megatron/other_args.hpp"
#include "crossdock/family/megatron/shared.hpp"
#include "crossdock/family/original/rotary_pairs.hpp"
#include "crossdock/family/requirements.hpp"
#include "crossdock/family/tensor_table.hpp"

namespace crossdock {

namespace detail {

/// Where the norms of Megatron-Core's two implementations live; "weight" and "bias" are appended to these.
struct CoreNorms {
    std::string input, latent_input;  ///< in front of attention, and of latent attention
    std::string dense_post, experts_post;
    LatentNorms latents;
};

inline bool layer_has_experts(const ModelHeader& header, std::uint64_t layer) {
    return has_experts(mlp_of(header, layer));
}
inline bool layer_has_shared_expert(const ModelHeader& header, std::uint64_t layer) {
    return mlp_of(header, layer).experts.shared_ffn_hidden_size > 0;
}
inline bool layer_is_dense(const ModelHeader& header, std::uint64_t layer) { return !layer_has_experts(header, layer); }

using InLayer = bool (*)(const ModelHeader&, std::uint64_t layer);

/// The rows of a norm that has one name in some layers and may have another in all others.
inline Rows<TransformerLayer> core_norm_rows(std::optional<Tensor> TransformerLayer::*weight,
                                             std::optional<Tensor> TransformerLayer::*bias,
                                             const std::pair<std::string, InLayer>& usual,
                                             const std::pair<std::string, InLayer>& other) {
    Rows<TransformerLayer> rows{{{weight}, {usual.first + "weight"}}, {{bias}, {usual.first + "bias"}}};
    if (other.first == usual.first) return rows;
    rows.push_back({{weight}, {other.first + "weight"}});
    rows.push_back({{bias}, {other.first + "bias"}});
    rows[0].in_layer = rows[1].in_layer = usual.second;
    rows[2].in_layer = rows[3].in_layer = other.second;
    return rows;
}

inline Rows<TransformerLayer> core_layer_norm_rows(const CoreNorms& norms) {
    using L = TransformerLayer;
    return join_lists(core_norm_rows(&L::input_norm_weight, &L::input_norm_bias, {norms.input, layer_has_qkv},
                                     {norms.latent_input, layer_is_latent}),
                      core_norm_rows(&L::post_norm_weight, &L::post_norm_bias, {norms.dense_post, layer_is_dense},
                                     {norms.experts_post, layer_has_experts}));
}

/// The router, the shared expert, and the experts, whose ranks share them in two ways: each has some, and those of an
/// expert-tensor-parallel group have a part of each.
inline Rows<TransformerLayer> core_expert_rows(ExpertLayout layout) {
    using L = TransformerLayer;
    const std::string mlp = "decoder.layers.{}.mlp.", shared = mlp + "shared_experts.";
    const std::string experts = mlp + (layout == ExpertLayout::sequential ? "experts.local_experts.{e}." : "experts.");
    const std::string number = layout == ExpertLayout::te_grouped ? "{e}" : "";
    const bool is_grouped = layout == ExpertLayout::grouped;
    const std::string fc1 = experts + (is_grouped ? "weight1" : "linear_fc1.weight" + number);
    const std::string fc2 = experts + (is_grouped ? "weight2" : "linear_fc2.weight" + number);
    const Cut by_expert{.axis = 0, .group = Group::expert};
    return Rows<L>{
        {{&L::router_weight}, {mlp + "router.weight"}},
        {{&L::router_bias}, {mlp + "router.expert_bias"}},
        {{&L::experts_gate_weight, &L::experts_up_weight},
         {fc1},
         is_grouped ? grouped_experts_fc1 : gate_over_up,
         {by_expert, {.axis = 1, .group = Group::expert_tensor}}},
        {{&L::experts_fc2_weight},
         {fc2},
         is_grouped ? grouped_experts_fc2 : as_is,
         {by_expert, {.axis = 2, .group = Group::expert_tensor}}},
        {{&L::shared_gate_weight, &L::shared_up_weight}, {shared + "linear_fc1.weight"}, gate_over_up, Cut::rows},
        {{&L::shared_fc2_weight}, {shared + "linear_fc2.weight"}, as_is, Cut::columns},
        {{&L::shared_expert_gate}, {shared + "gate_weight"}}};
}

inline Rows<TransformerLayer> core_attention_rows() {
    using L = TransformerLayer;
    return Rows<L>{
        {{&L::dense_weight}, {"decoder.layers.{}.self_attention.linear_proj.weight"}, as_is, Cut::columns},
        {{&L::dense_bias}, {"decoder.layers.{}.self_attention.linear_proj.bias"}},
        {{&L::qkv_weight}, {"decoder.layers.{}.self_attention.linear_qkv.weight"}, grouped_qkv_as_flagged, Cut::rows},
        {{&L::qkv_bias}, {"decoder.layers.{}.self_attention.linear_qkv.bias"}, grouped_qkv_as_flagged, Cut::rows},
        {{&L::q_norm_weight}, {"decoder.layers.{}.self_attention.q_layernorm.weight"}, head_norm_as_flagged},
        {{&L::k_norm_weight}, {"decoder.layers.{}.self_attention.k_layernorm.weight"}, head_norm_as_flagged}};
}

inline Rows<TransformerLayer> core_mlp_rows() {
    using L = TransformerLayer;
    return Rows<L>{
        {{&L::gate_weight, &L::up_weight}, {"decoder.layers.{}.mlp.linear_fc1.weight"}, gate_over_up, Cut::rows},
        {{&L::gate_bias, &L::up_bias}, {"decoder.layers.{}.mlp.linear_fc1.bias"}, gate_over_up, Cut::rows},
        {{&L::fc1_weight}, {"decoder.layers.{}.mlp.linear_fc1.weight"}, as_is, Cut::rows},
        {{&L::fc1_bias}, {"decoder.layers.{}.mlp.linear_fc1.bias"}, as_is, Cut::rows},
        {{&L::fc2_weight}, {"decoder.layers.{}.mlp.linear_fc2.weight"}, as_is, Cut::columns},
        {{&L::fc2_bias}, {"decoder.layers.{}.mlp.linear_fc2.bias"}}};
}

inline Rows<TransformerLayer> core_layer_rows(const CoreNorms& norms, ExpertLayout layout, const Cut& latent_down) {
    return join_lists(core_layer_norm_rows(norms), core_attention_rows(), core_latent_rows(norms.latents, latent_down),
                      core_mlp_rows(), core_expert_rows(layout), core_mtp_rows());
}

/// Megatron-Core's names; ranks share the down projections of latent attention as `latent_down` says.
inline TensorTable core_table(const CoreNorms& norms, ExpertLayout layout, const Cut& latent_down) {
    return {.messages = {Rows<Embeddings>{{{&Embeddings::word}, {"embedding.word_embeddings.weight"}, as_is, Cut::rows},
                                          {{&Embeddings::position}, {"embedding.position_embeddings.weight"}},
                                          {{&Embeddings::token_type}, {"embedding.tokentype_embeddings.weight"}}},
                         core_layer_rows(norms, layout, latent_down),
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

/// The norms of what attention and MLP put out, as Megatron-Bridge names them: a part of the linear layer before it
/// (TERowParallelLinearLayerNorm).
inline Rows<TransformerLayer> core_output_norm_rows() {
    using L = TransformerLayer;
    return Rows<L>{
        {{&L::attention_output_norm_weight}, {"decoder.layers.{}.self_attention.linear_proj.post_layernorm.weight"}},
        {{&L::mlp_output_norm_weight}, {"decoder.layers.{}.mlp.linear_fc2.post_layernorm.weight"}}};
}

/// Whether layers differ in having experts and in their window alone; those of a Gemma 3 in their positions, too.
inline bool core_layers_may_differ_so(const ModelHeader& h) {
    return attends_in_two_ways(h) &&
           (is_gemma_3(h) ? differs_in_window_and_positions_alone(h) : differs_in_window_alone(h)) &&
           std::all_of(h.other_layers.begin(), h.other_layers.end(), [&h](const auto& other) {
               Mlp mlp = mlp_of(h, other.first);
               if (!has_experts(mlp)) mlp.experts = h.mlp.experts;
               return mlp == h.mlp;
           });
}

/// Whether a Gemma 3 stretches its positions by a factor, if at all, and where it has no window alone.
inline bool core_turns_so(const ModelHeader& h) {
    const Attention* windowed = windowed_attention(h);
    const auto& full = full_attention(h).rope_scaling;
    return !is_gemma_3(h) ||
           ((is_unscaled(full) || full->type == "linear") && (!windowed || is_unscaled(windowed->rope_scaling)));
}

inline std::vector<Requirement> core_requirements() {
    using H = ModelHeader;
    const auto of_gemma = [](const Requirement& plain, bool (*holds)(const H&)) {
        return Requirement{plain.otherwise, holds};
    };
    return {of_gemma(require::uncapped_scores,
                     [](const H& h) { return h.block_output_norms || require::uncapped_scores.holds(h); }),
            of_gemma(require::uncapped_logits,
                     [](const H& h) { return h.block_output_norms || require::uncapped_logits.holds(h); }),
            of_gemma(require::usual_scale,
                     [](const H& h) { return h.block_output_norms || require::usual_scale.holds(h); }),
            {"norms of what experts put out (block_output_norms)",
             [](const H& h) { return !h.block_output_norms || !has_experts(h.mlp); }},
            {"layers that differ from each other in more than having experts or a window (other_layers)",
             core_layers_may_differ_so},
            {"rotary positions that are scaled otherwise than by a factor, on layers without a window (rope_scaling)",
             core_turns_so}};
}

/// The extra states of a layer's linear modules.
inline std::vector<LayerPlaceholder> core_placeholders(ExpertLayout layout) {
    const std::string layer = "decoder.layers.{}.", mlp = layer + "mlp.";
    const std::string experts = mlp + (layout == ExpertLayout::sequential ? "experts.local_experts.{e}." : "experts.");
    std::vector<LayerPlaceholder> all =
        join_lists(std::vector<LayerPlaceholder>{{layer + "self_attention.linear_proj._extra_state"},
                                                 {layer + "self_attention.linear_qkv._extra_state", layer_has_qkv},
                                                 {"mtp.layers.{}.eh_proj._extra_state", is_mtp_layer}},
                   latent_placeholders());
    for (const std::string_view linear : {"linear_fc1._extra_state", "linear_fc2._extra_state"}) {
        all.push_back({to_text(mlp, linear), layer_is_dense});
        if (layout != ExpertLayout::grouped) all.push_back({to_text(experts, linear), layer_has_experts});
        all.push_back({to_text(mlp, "shared_experts.", linear), layer_has_shared_expert});
    }
    return all;
}

/// A decoder of Megatron-Core, whichever layers it has.
inline MegatronDialect core_dialect(const TensorTable& table, std::string_view transformer_impl) {
    return {.name = "mcore",
            .code = MegatronCode::core,
            .line = MegatronLine::nvidia,
            .shares_query_groups = true,
            .table = table,
            .other_down_cut = with_other_down_cut(table),
            .root = "decoder.layers.",
            .args = megatron_core_args(transformer_impl),
            .other_args = megatron_other_args(),
            .claims = megatron_core_claims(),
            .gate_switches = {"swiglu", "quick_geglu", "gemma_version"},
            .tokenizers = nvidia_tokenizers(),
            .read_of_layers = read_core_layers,
            .requirements = join_lists(megatron_requirements(), nvidia_requirements(), core_latent_requirements(),
                                       core_requirements(), std::vector<Requirement>{mtp_as_last_layer}),
            .flags = megatron_core_flags(),
            .unsaid = {unsaid::scaling_but_llama3, unsaid::scaled_embeddings, unsaid::llama3_constants,
                       unsaid::core_activation, unsaid::yarn_constants, unsaid::output_norms, unsaid::score_scale,
                       unsaid::score_cap, unsaid::logit_cap, unsaid::local_positions},
            .limits = join_lists(bert_limits(), core_latent_limits())};
}

/// How the experts' tensors are named. What TE's grouped linears hold by expert they hold in one tensor where
/// moe_single_grouped_weight is on (since core_v0.19), and load either.
inline void set_expert_layout(MegatronDialect& dialect, ExpertLayout layout) {
    dialect.expert_layout = layout;
    if (layout == ExpertLayout::te_grouped)
        dialect.stacked = {{".experts.linear_fc1.weight", {".experts.linear_fc1.weight{e}"}},
                           {".experts.linear_fc2.weight", {".experts.linear_fc2.weight{e}"}}};
}

/// With Megatron-Core's own ("local") layers.
inline MegatronDialect core_local(ExpertLayout layout) {
    const std::string input_norm = "decoder.layers.{}.input_layernorm.",
                      post_norm = "decoder.layers.{}.pre_mlp_layernorm.";
    MegatronDialect dialect = core_dialect(
        core_table({input_norm, input_norm, post_norm, post_norm, local_latent_norms}, layout, Cut::rows), "local");
    set_expert_layout(dialect, layout);
    dialect.requirements.push_back(
        {require::no_output_norms.otherwise, require::no_output_norms.holds,
         "Megatron-Core's own (local) layers have no place for them, and their norms are never zero-centred; give the "
         "option transformer_impl transformer_engine"});
    return dialect;
}

/// With Transformer Engine's layers, which hold the norm in front of them.
inline MegatronDialect core_te(ExpertLayout layout) {
    MegatronDialect dialect =
        core_dialect(core_table({"decoder.layers.{}.self_attention.linear_qkv.layer_norm_",
                                 "decoder.layers.{}.input_layernorm.", "decoder.layers.{}.mlp.linear_fc1.layer_norm_",
                                 "decoder.layers.{}.pre_mlp_layernorm.", engine_latent_norms},
                                layout, Cut::none),
                     "transformer_engine");
    set_expert_layout(dialect, layout);
    dialect.layer_placeholders = core_placeholders(layout);
    dialect.table.rows<TransformerLayer>() =
        join_lists(std::move(dialect.table.rows<TransformerLayer>()), core_output_norm_rows());
    dialect.older_spellings = {// of mbridge
                               {".post_attention_layernorm.", ".self_attention.linear_proj.post_layernorm."},
                               {".post_feedforward_layernorm.", ".mlp.linear_fc2.post_layernorm."}};
    dialect.marks.name_parts = {"linear_qkv.layer_norm_weight", "linear_kv_up_proj.layer_norm_weight"};
    return dialect;
}

/// Megatron-Core's BERT calls its blocks "encoder".
inline MegatronDialect as_encoder(MegatronDialect dialect) {
    dialect.root = "encoder.layers.";
    dialect.table = renamed(std::move(dialect.table), "decoder.", "encoder.");
    dialect.other_down_cut.reset();  // BERT has no latent attention
    for (LayerPlaceholder& line : dialect.layer_placeholders)
        line.pattern = replaced(std::move(line.pattern), "decoder.", "encoder.");
    return dialect;
}

/// The dialects of one implementation: a decoder with each layout of experts, and BERT.
class CoreDialects {
public:
    explicit CoreDialects(MegatronDialect (*make)(ExpertLayout))
        : decoders_{make(ExpertLayout::sequential), make(ExpertLayout::grouped), make(ExpertLayout::te_grouped)},
          bert_(as_encoder(decoders_[0])) {}

    const MegatronDialect& of(bool is_bert, ExpertLayout layout) const {
        return is_bert ? bert_ : decoders_[static_cast<std::size_t>(layout)];
    }

private:
    std::array<MegatronDialect, 3> decoders_;  // in the order of ExpertLayout
    MegatronDialect bert_;
};

}  // namespace detail

/// Megatron-Core with its own ("local") layers, a decoder or its BERT.
inline const MegatronDialect& megatron_core_local(bool is_bert, ExpertLayout layout = ExpertLayout::sequential) {
    static const detail::CoreDialects dialects(detail::core_local);
    return dialects.of(is_bert, layout);
}

/// Megatron-Core with Transformer Engine's layers, a decoder or its BERT.
inline const MegatronDialect& megatron_core_te(bool is_bert, ExpertLayout layout = ExpertLayout::sequential) {
    static const detail::CoreDialects dialects(detail::core_te);
    return dialects.of(is_bert, layout);
}

}  // namespace crossdock
