// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/core/compiled.hpp"
#include "crossdock/core/join_lists.hpp"
#include "crossdock/family/defaults.hpp"
#include "crossdock/family/entry_points.hpp"
#include "crossdock/family/family.hpp"
#include "crossdock/family/hub/config.hpp"
#include "crossdock/family/hub/experts.hpp"
#include "crossdock/family/hub/layout.hpp"
#include "crossdock/family/hub/windows.hpp"
#include "crossdock/family/llama/hub.hpp"
#include "crossdock/family/mistral/original.hpp"
#include "crossdock/family/requirements.hpp"
#include "crossdock/protocol/header_fields.hpp"
#include "crossdock/protocol/layer_windows.hpp"

namespace crossdock {

namespace detail {

/// sliding_window: null is none, and none is 0 in the header.
inline ConfigEntry window_config(std::vector<std::string_view> keys, Json absent) {
    return {std::move(keys), std::move(absent),
            [](const Json& value, ModelHeader& h) {
                h.attention.sliding_window = value.is_null() ? 0 : json_as<std::uint64_t>(value);
                if (value == Json(0)) throw Error("is 0, expected at least 1, or null for no window");
            },
            [](const ModelHeader& h) {
                return h.attention.sliding_window.value_or(0) ? Json(*h.attention.sliding_window) : Json(nullptr);
            }};
}

// Mixtral is a Mistral with experts in place of every MLP, no window unless it states one, and another epsilon
// (transformers configuration_mixtral.py).

inline bool is_mixtral(const Json& config) { return hub_type_of(config) == std::string_view("mixtral"); }

/// A Mistral that lists its layers' windows is a Ministral to transformers (models/auto/configuration_auto.py), which is
/// the same where the list says the same of each as sliding_window does.
inline void check_listed_windows(const ModelHeader& header, const Json& config) {
    const auto types = config.find("layer_types");
    if (types == config.end() || types->is_null()) return;
    const std::vector<bool> listed = listed_windows(*types, header.num_layers);
    if (std::find(listed.begin(), listed.end(), !has_window(header.attention)) != listed.end())
        throw Error(
            "'layer_types' says other than 'sliding_window', by which transformers takes the model for a ministral, "
            "another architecture than mistral");
}

inline Notices read_mistral(ModelHeader& header, const Json& config) {
    header.mlp.experts = {};
    if (!is_mixtral(config)) {
        check_listed_windows(header, config);
    } else {
        Experts& experts = header.mlp.experts;
        experts.num_experts = value_or<std::uint64_t>(config, {"num_local_experts", "num_experts"}, 8);
        experts.router_topk = value_or<std::uint64_t>(config, {"num_experts_per_tok"}, 2);
        experts.ffn_hidden_size = header.mlp.ffn_hidden_size;
        if (!config.contains("sliding_window")) header.attention.sliding_window = 0;
        if (!config.contains("rms_norm_eps")) header.norm_epsilon = 1e-5;
    }
    return read_rope_only(header, config);
}

/// Llama's names, and those of experts.
inline const TensorTable& mistral_hub_table(const ModelHeader& header) {
    static const TensorTable table = [&] {
        TensorTable all = llama_hub_table(header);
        auto& rows = all.rows<TransformerLayer>();
        rows = join_lists(std::move(rows), hub_expert_rows({"model.layers.{}.block_sparse_moe.", "w1", "w3", "w2"}));
        return all;
    }();
    return table;
}

/// intermediate_size is an expert's, where there are any.
inline ConfigTable mixtral_config() {
    return {experts_config("num_local_experts", [](const Experts& e) { return Json(e.num_experts); }),
            experts_config("num_experts_per_tok", [](const Experts& e) { return Json(e.router_topk); }),
            config::written("intermediate_size", [](const ModelHeader& h) {
                return Json(has_experts(h.mlp) ? h.mlp.experts.ffn_hidden_size : h.mlp.ffn_hidden_size);
            })};
}

}  // namespace detail

/// Mistral 7B in its versions, Nemo, Mixtral, and what else has their architecture.
CROSSDOCK_ENTRY_POINT const Family& mistral_family() {
    using namespace config;
    using H = ModelHeader;
    static const Family family{
        .name = "mistral",
        .model_types = {"mistral", "mixtral"},
        .defaults = defaults::rms_decoder,
        .requirements =
            join_lists(require::rms_decoder(), {require::plain_norm,
                                                require::plain_embeddings,
                                                require::known_activation,
                                                require::no_bias,
                                                require::softmax_router,
                                                {"routers whose scores do not add up to 1 (moe_router_pre_softmax)",
                                                 [](const H& h) { return !h.mlp.experts.pre_softmax; }}}),
        .layouts = {{.kind = &hugging_face,
                     .types = {"mistral", "mixtral"},
                     .relatives = {"mistral3", "ministral", "ministral3"},
                     .config =
                         join_lists(detail::llama_sizes({.key_value_heads = 8, .positions = 131072}), rope_config(),
                                    ConfigTable{activation_config("hidden_act", "silu"),
                                                stated(entry({"rms_norm_eps"}, field::norm_epsilon, 1e-6)),
                                                stated(entry({"tie_word_embeddings"}, field::tied_embeddings, false)),
                                                detail::window_config({"sliding_window"}, 4096),
                                                written("layer_types", [](const H&) { return left_out(); })},
                                    detail::mixtral_config()),
                     .after_config = detail::read_mistral,
                     .type = [](const H& h) { return std::string_view(has_experts(h.mlp) ? "mixtral" : "mistral"); },
                     .architecture =
                         [](const H& h) {
                             return std::string(has_experts(h.mlp) ? "MixtralForCausalLM" : "MistralForCausalLM");
                         },
                     .table = detail::mistral_hub_table,
                     .spellings = {.base = "model.",
                                   .heads = {"lm_head."},
                                   // In memory, transformers 5 has Mixtral's experts under another block's name.
                                   .older = {{".mlp.experts.", ".block_sparse_moe.experts."},
                                             {".mlp.gate.", ".block_sparse_moe.gate."}},
                                   .stacked = detail::hub_stacked_experts("w1", "w3", "w2")}},
                    mistral_original()},
        .guessed_model_type = [](const H& h) { return std::string_view(has_experts(h.mlp) ? "mixtral" : "mistral"); }};
    return family;
}

}  // namespace crossdock
