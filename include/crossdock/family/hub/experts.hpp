// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <numeric>
#include <string>
#include <vector>

#include "crossdock/container/json.hpp"
#include "crossdock/container/json_text.hpp"
#include "crossdock/core/checked.hpp"
#include "crossdock/core/join_lists.hpp"
#include "crossdock/family/config_table.hpp"
#include "crossdock/family/hub/config.hpp"
#include "crossdock/family/requirements.hpp"
#include "crossdock/family/stacked_names.hpp"
#include "crossdock/family/tensor_table.hpp"
#include "crossdock/protocol/model_header.hpp"

namespace crossdock::detail {

// What families with experts share in Hugging Face's layout.

/// What config.json says under the first of `keys` that it has; `absent` where it has none of them, or null.
template <class T>
T value_or(const Json& config, std::initializer_list<const char*> keys, T absent) {
    for (const char* key : keys)
        if (const auto found = config.find(key); found != config.end() && !found->is_null())
            return in_context(to_text("'", key, "'"), [&] { return json_as<T>(*found); });
    return absent;
}

/// How one architecture names a layer's router and experts, behind the name of the layer's block.
struct HubExpertNames {
    std::string block;  ///< "model.layers.{}.mlp."
    std::string gate, up, down;
};

/// Rows of experts that have a tensor each for every matrix.
inline Rows<TransformerLayer> hub_expert_rows(const HubExpertNames& names) {
    using L = TransformerLayer;
    const std::string expert = names.block + "experts.{e}.";
    return Rows<TransformerLayer>{{{&L::router_weight}, {names.block + "gate.weight"}},
                                  {{&L::experts_gate_weight}, {expert + names.gate + ".weight"}},
                                  {{&L::experts_up_weight}, {expert + names.up + ".weight"}},
                                  {{&L::experts_fc2_weight}, {expert + names.down + ".weight"}}};
}

/// All experts of a layer in one tensor for each matrix, as models of transformers since release 5 have them in memory:
/// a state_dict() saved by hand holds these. Its own save_pretrained() writes a tensor for each expert.
inline std::vector<StackedNames> hub_stacked_experts(const std::string& gate, const std::string& up,
                                                     const std::string& down) {
    const std::string expert = ".experts.{e}.", end = ".weight";
    return {{".experts.gate_up_proj", {expert + gate + end, expert + up + end}},
            {".experts.down_proj", {expert + down + end}}};
}

/// A key that says something of experts, and is left out where there are none.
inline ConfigEntry experts_config(std::string_view key, Json (*write)(const Experts&)) {
    return config::written(
        key, [write](const ModelHeader& h) { return has_experts(h.mlp) ? write(h.mlp.experts) : config::left_out(); });
}

/// The numbers of the layers without experts in a model that has them.
inline std::vector<std::uint64_t> dense_layers(const ModelHeader& header) {
    std::vector<std::uint64_t> dense;
    for (std::uint64_t layer = 0; layer < header.num_layers; ++layer)
        if (!has_experts(mlp_of(header, layer))) dense.push_back(layer);
    return dense;
}

/// Gives these layers one MLP each, of the header's ffn_hidden_size.
inline void make_dense(ModelHeader& header, const std::vector<std::uint64_t>& layers) {
    Mlp dense = header.mlp;
    dense.experts = {};
    if (layers.size() == header.num_layers) return void(header.mlp = dense);
    for (const std::uint64_t layer : layers) header.other_layers[layer].mlp = dense;
}

// DeepSeek-V3's experts, which GLM-4.5 has as well (transformers modeling_deepseek_v3.py, modeling_glm4_moe.py): sigmoid
// scores, a bias that takes part in the choice alone, groups of experts, shared experts that are one MLP, and layers
// without experts in front.

/// What it means that config.json has no such key.
struct SigmoidExpertDefaults {
    std::uint64_t num_experts, expert_ffn, num_groups, group_topk, dense_layers;
    double scaling_factor;
};

/// What config.json says of experts. Throws Error where it asks for another router than transformers has.
inline void read_sigmoid_experts(ModelHeader& header, const Json& config, const SigmoidExpertDefaults& absent) {
    const auto require = [&](const char* key, const Json& only) {
        if (const auto found = config.find(key); found != config.end() && !found->is_null() && *found != only)
            throw Error(to_text("'", key, "' is ", json_shown(*found), ", expected ", json_shown(only),
                                ", all that transformers computes"));
    };
    require("scoring_func", "sigmoid");
    require("topk_method", "noaux_tc");
    require("moe_layer_freq", 1);
    Experts& experts = header.mlp.experts = {};
    experts.num_experts =
        value_or<std::uint64_t>(config, {"n_routed_experts", "num_local_experts"}, absent.num_experts);
    experts.router_topk = value_or<std::uint64_t>(config, {"num_experts_per_tok"}, 8);
    experts.ffn_hidden_size = value_or<std::uint64_t>(config, {"moe_intermediate_size"}, absent.expert_ffn);
    experts.shared_ffn_hidden_size = checked_multiply(value_or<std::uint64_t>(config, {"n_shared_experts"}, 1),
                                                      experts.ffn_hidden_size, "rows of shared experts");
    experts.router_bias = true;
    experts.score = RouterScore::sigmoid;
    experts.pre_softmax = !value_or(config, {"norm_topk_prob"}, true);
    experts.scaling_factor = value_or(config, {"routed_scaling_factor"}, absent.scaling_factor);
    const auto groups = value_or<std::uint64_t>(config, {"n_group"}, absent.num_groups);
    if (groups > 1) {
        experts.num_groups = groups;
        experts.group_topk = value_or<std::uint64_t>(config, {"topk_group"}, absent.group_topk);
    }
    constexpr std::uint64_t most_layers = 1'000'000;
    if (header.num_layers == 0 || header.num_layers > most_layers)
        throw Error(to_text("'num_hidden_layers' is ", header.num_layers, ", expected 1 to ", most_layers));
    header.other_layers.clear();
    std::vector<std::uint64_t> dense(
        std::min(header.num_layers, value_or<std::uint64_t>(config, {"first_k_dense_replace"}, absent.dense_layers)));
    std::iota(dense.begin(), dense.end(), std::uint64_t{0});
    make_dense(header, dense);
}

/// Rows of the router, the experts and the shared ones.
inline Rows<TransformerLayer> sigmoid_expert_rows() {
    using L = TransformerLayer;
    const std::string block = "model.layers.{}.mlp.", shared = block + "shared_experts.";
    return join_lists(hub_expert_rows({block, "gate_proj", "up_proj", "down_proj"}),
                      Rows<L>{{{&L::router_bias}, {block + "gate.e_score_correction_bias"}},
                              {{&L::shared_gate_weight}, {shared + "gate_proj.weight"}},
                              {{&L::shared_up_weight}, {shared + "up_proj.weight"}},
                              {{&L::shared_fc2_weight}, {shared + "down_proj.weight"}}});
}

inline ConfigTable sigmoid_expert_config() {
    using namespace config;
    return {
        experts_config("n_routed_experts", [](const Experts& e) { return Json(e.num_experts); }),
        understood({"num_local_experts"}, [](const Json&, ModelHeader&) {}),
        experts_config("num_experts_per_tok", [](const Experts& e) { return Json(e.router_topk); }),
        experts_config("moe_intermediate_size", [](const Experts& e) { return Json(e.ffn_hidden_size); }),
        experts_config("n_shared_experts",
                       [](const Experts& e) { return Json(e.shared_ffn_hidden_size / e.ffn_hidden_size); }),
        experts_config("norm_topk_prob", [](const Experts& e) { return Json(!e.pre_softmax); }),
        experts_config("routed_scaling_factor", [](const Experts& e) { return Json(e.scaling_factor.value_or(1.0)); }),
        experts_config("n_group", [](const Experts& e) { return Json(std::max<std::uint64_t>(e.num_groups, 1)); }),
        experts_config("topk_group",
                       [](const Experts& e) { return Json(e.num_groups > 0 ? e.group_topk : std::uint64_t{1}); }),
        written("first_k_dense_replace",
                [](const ModelHeader& h) { return has_experts(h.mlp) ? Json(dense_layers(h).size()) : left_out(); })};
}

/// What these keys can say of a model.
inline std::vector<Requirement> sigmoid_expert_requirements() {
    using H = ModelHeader;
    return {{"no experts", [](const H& h) { return has_experts(h.mlp); }},
            {"a router without sigmoid scores or without a bias",
             [](const H& h) { return h.mlp.experts.score == RouterScore::sigmoid && h.mlp.experts.router_bias; }},
            {"a shared expert with a gate of its own", [](const H& h) { return !h.mlp.experts.shared_gate; }},
            {"no shared experts, or rows of theirs that are no multiple of an expert's",
             [](const H& h) {
                 const Experts& e = h.mlp.experts;
                 return e.shared_ffn_hidden_size > 0 && e.shared_ffn_hidden_size % e.ffn_hidden_size == 0;
             }},
            {"layers without experts behind layers with them", [](const H& h) {
                 const std::vector<std::uint64_t> dense = dense_layers(h);
                 return dense.empty() || dense.back() == dense.size() - 1;
             }}};
}

}  // namespace crossdock::detail
