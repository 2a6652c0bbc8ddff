// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "crossdock/core/compiled.hpp"
#include "crossdock/core/join_lists.hpp"
#include "crossdock/family/defaults.hpp"
#include "crossdock/family/entry_points.hpp"
#include "crossdock/family/family.hpp"
#include "crossdock/family/hub/config.hpp"
#include "crossdock/family/hub/experts.hpp"
#include "crossdock/family/hub/layout.hpp"
#include "crossdock/family/hub/mtp.hpp"
#include "crossdock/family/hub/rope.hpp"
#include "crossdock/family/llama/hub.hpp"
#include "crossdock/family/requirements.hpp"
#include "crossdock/family/tensor_table.hpp"
#include "crossdock/protocol/header_fields.hpp"

namespace crossdock {

// GLM-4.5 and GLM-4.5-Air (transformers modeling_glm4_moe.py) are Llama's decoder with DeepSeek-V3's experts and layers
// that predict further tokens. Of each head the first half turns; q, k and v have biases, the output has none.

namespace detail {

inline const TensorTable& glm_table(const ModelHeader& header) {
    static const TensorTable table = [&] {
        using L = TransformerLayer;
        TensorTable all = llama_hub_table(header);
        all.rows<L>() = join_lists(all.rows<L>(), hub_head_norm_rows(), sigmoid_expert_rows(), hub_mtp_rows());
        all.mtp_twins = hub_mtp_twins();
        return all;
    }();
    return table;
}

/// Layers that differ have all else of the others, so that experts come last.
inline Notices read_glm(ModelHeader& header, const Json& config) {
    Notices notices;
    read_partial_hub_rope(header, config, 0.5, notices);
    read_sigmoid_experts(header, config,
                         {.num_experts = 128,
                          .expert_ffn = 1408,
                          .num_groups = 1,
                          .group_topk = 1,
                          .dense_layers = 1,
                          .scaling_factor = 1.0});
    return notices;
}

inline std::vector<Requirement> glm_requirements() {
    using H = ModelHeader;
    return join_lists(
        std::vector<Requirement>{
            require::plain_attention,
            require::decoder_only,
            require::rms_norm,
            require::rotary,
            require::sequential,
            require::pre_norm,
            require::final_norm,
            require::gated,
            require::plain_norm,
            require::no_window,
            require::plain_embeddings,
            require::known_activation,
            require::alike_but_for_experts,
            {"a bias of the attention's output", [](const H& h) { return !h.attention.dense_bias; }},
            {"biases in its MLP", [](const H& h) { return !h.mlp.fc1_bias && !h.mlp.fc2_bias; }}},
        sigmoid_expert_requirements());
}

}  // namespace detail

/// GLM-4.5 and GLM-4.5-Air.
CROSSDOCK_ENTRY_POINT const Family& glm_family() {
    using namespace config;
    using H = ModelHeader;
    static const Family family{
        .name = "glm",
        .model_types = {"glm4_moe"},
        .defaults = defaults::rms_decoder,
        .requirements = detail::glm_requirements(),
        .layouts = {{.kind = &hugging_face,
                     .types = {"glm4_moe"},
                     .relatives = {"chatglm", "glm", "glm4", "glm4v", "glm4v_moe", "glm4_moe_lite", "glm_moe_dsa"},
                     .config = join_lists(
                         detail::llama_sizes({.key_value_heads = 8, .positions = 131072}), rope_config(),
                         ConfigTable{written("partial_rotary_factor",
                                             [](const H& h) { return Json(h.attention.rotary_percent.value_or(1.0)); }),
                                     activation_config("hidden_act", "silu"),
                                     stated(entry({"rms_norm_eps"}, field::norm_epsilon, 1e-5)),
                                     stated(entry({"tie_word_embeddings"}, field::tied_embeddings, false)),
                                     stated(entry({"attention_bias"}, field::qkv_bias, false)),
                                     stated(entry({"use_qk_norm"}, field::qk_norm, false)), detail::mtp_config()},
                         detail::sigmoid_expert_config()),
                     .layers_may_differ = true,
                     .after_config = detail::read_glm,
                     .architecture = [](const H&) { return std::string("Glm4MoeForCausalLM"); },
                     .table = detail::glm_table,
                     .spellings = {.base = "model.",
                                   .heads = {"lm_head."},
                                   .stacked = detail::hub_stacked_experts("gate_proj", "up_proj", "down_proj")}}}};
    return family;
}

}  // namespace crossdock
