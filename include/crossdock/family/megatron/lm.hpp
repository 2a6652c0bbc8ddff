// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "crossdock/core/join_lists.hpp"
#include "crossdock/family/megatron/claims.hpp"
#include "crossdock/family/megatron/dialect.hpp"
#include "crossdock/family/megatron/flags.hpp"
#include "crossdock/family/megatron/legacy.hpp"
#include "crossdock/family/megatron/nvidia_args.hpp"
#include "crossdock/family/megatron/other_args.hpp"
#include "crossdock/family/megatron/shared.hpp"

namespace crossdock {

namespace detail {

inline TensorTable lm_table(Arrangement qkv) {
    return legacy_table({.input_norm = "language_model/encoder/layers.{}.input_norm.",
                         .post_norm = "language_model/encoder/layers.{}.post_attention_norm.",
                         .final_norm = "language_model/encoder/final_norm.",
                         .output_layer = "language_model/output_layer/weight",
                         .lm_norm = "lm_head/norm.",
                         .qkv = qkv,
                         .gate_up = gate_over_up});
}

inline std::vector<Requirement> lm_requirements() {
    return join_lists(
        megatron_requirements(), legacy_requirements(), nvidia_requirements(),
        std::vector<Requirement>{
            require::plain_norm, require::plain_embeddings, {"no positions at all", [](const ModelHeader& h) {
                                                                 return h.positions != PositionKind::none;
                                                             }}});
}

}  // namespace detail

/// NVIDIA Megatron-LM's own model code, as it was until Megatron-Core; norm names of core_v0.4.0 and later are written.
inline const MegatronDialect& megatron_lm() {
    static const MegatronDialect dialect{
        .name = "lm",
        .code = MegatronCode::lm,
        .line = MegatronLine::nvidia,
        .table = detail::lm_table(as_is),
        .older_tables = detail::older_tables<as_is>(detail::lm_table),
        .older_spellings = {{"language_model.transformer.", "language_model.encoder."},
                            {".attention.", ".self_attention."},
                            {".input_layernorm.", ".input_norm."},
                            {".post_attention_layernorm.", ".post_attention_norm."},
                            {".final_layernorm.", ".final_norm."},
                            {"lm_head.layernorm.", "lm_head.norm."}},
        .root = "language_model.",
        .marks = {.name_parts = {"language_model.output_layer.", "_norm.weight"},
                  .arguments = {"swiglu", "num_query_groups", "normalization", "openai_gelu", "add_position_embedding",
                                "apply_query_key_layer_scaling"}},
        .args = megatron_lm_args(),
        .other_args = megatron_lm_other_args(),
        .claims = megatron_nvidia_claims(),
        .gate_switches = {"swiglu", "quick_geglu"},
        .legacy_models = true,
        .tokenizers = detail::nvidia_tokenizers(),
        .constants = detail::plain_constants,
        .requirements = detail::lm_requirements(),
        .flags = megatron_lm_flags(),
        .unsaid = {detail::unsaid::scaling_but_llama3, detail::unsaid::scaled_embeddings,
                   detail::unsaid::llama3_constants, detail::unsaid::activation},
        .limits = detail::bert_limits()};
    return dialect;
}

}  // namespace crossdock
