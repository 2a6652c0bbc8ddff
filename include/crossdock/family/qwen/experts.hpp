// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "crossdock/family/config_table.hpp"
#include "crossdock/family/hub/experts.hpp"
#include "crossdock/family/qwen/type.hpp"
#include "crossdock/protocol/model_header.hpp"

namespace crossdock::detail {

// Qwen2-MoE has a shared expert with a gate of its own, Qwen3-MoE none. In both, layers may have one MLP instead of
// experts: those in mlp_only_layers, and those whose number, counted from 1, decoder_sparse_step does not divide.

/// The layers without experts. Throws Error where config.json names one that is none of this model's.
inline std::vector<std::uint64_t> dense_qwen_layers(const Json& config, std::uint64_t layers) {
    const auto step = value_or<std::uint64_t>(config, {"decoder_sparse_step"}, 1);
    if (step == 0) throw Error("'decoder_sparse_step' is 0, expected at least 1");
    std::vector<bool> is_dense(layers);
    for (std::uint64_t layer = 0; layer < layers; ++layer) is_dense[layer] = (layer + 1) % step != 0;
    if (const auto listed = config.find("mlp_only_layers"); listed != config.end() && !listed->is_null()) {
        if (!listed->is_array())
            throw Error(to_text("'mlp_only_layers' is ", json_shown(*listed), ", expected a list"));
        for (const Json& item : *listed) {
            const auto layer = in_context("'mlp_only_layers'", [&] { return json_as<std::uint64_t>(item); });
            if (layer < layers) is_dense[layer] = true;
        }
    }
    std::vector<std::uint64_t> dense;
    for (std::uint64_t layer = 0; layer < layers; ++layer)
        if (is_dense[layer]) dense.push_back(layer);
    return dense;
}

/// What config.json says of experts.
inline void read_qwen_experts(ModelHeader& header, const Json& config, bool is_third) {
    Experts& experts = header.mlp.experts;
    experts.num_experts = value_or<std::uint64_t>(config, {"num_experts", "num_local_experts"}, is_third ? 128 : 60);
    experts.router_topk = value_or<std::uint64_t>(config, {"num_experts_per_tok"}, is_third ? 8 : 4);
    experts.ffn_hidden_size = value_or<std::uint64_t>(config, {"moe_intermediate_size"}, is_third ? 768 : 1408);
    experts.pre_softmax = !value_or(config, {"norm_topk_prob"}, false);
    experts.shared_ffn_hidden_size =
        is_third ? 0 : value_or<std::uint64_t>(config, {"shared_expert_intermediate_size"}, 5632);
    experts.shared_gate = experts.shared_ffn_hidden_size > 0;
    make_dense(header, dense_qwen_layers(config, header.num_layers));
}

/// Rows of the router, the experts and the shared one.
inline Rows<TransformerLayer> qwen_expert_rows() {
    using L = TransformerLayer;
    const std::string block = "model.layers.{}.mlp.", shared = block + "shared_expert.";
    Rows<L> rows = hub_expert_rows({block, "gate_proj", "up_proj", "down_proj"});
    rows.push_back({{&L::shared_gate_weight}, {shared + "gate_proj.weight"}});
    rows.push_back({{&L::shared_up_weight}, {shared + "up_proj.weight"}});
    rows.push_back({{&L::shared_fc2_weight}, {shared + "down_proj.weight"}});
    rows.push_back({{&L::shared_expert_gate}, {block + "shared_expert_gate.weight"}});
    return rows;
}

/// Which layers are dense, as the source says it where it says the same.
inline bool carried_says_dense_layers(const ModelHeader& header) {
    const Json& config = carried_config(header);
    return hub_type_of(config) == qwen_type(header) &&
           dense_qwen_layers(config, header.num_layers) == dense_layers(header);
}

inline ConfigTable qwen_expert_config() {
    using namespace config;
    using H = ModelHeader;
    const auto which_dense = [](std::string_view key, Json (*value)(const H&)) {
        return written(key, [key, value](const H& h) {
            if (!has_experts(h.mlp)) return left_out();
            return carried_says_dense_layers(h) ? carried_value(h, std::string(key)) : value(h);
        });
    };
    return {experts_config("num_experts", [](const Experts& e) { return Json(e.num_experts); }),
            understood({"num_local_experts"}, [](const Json&, H&) {}),
            experts_config("num_experts_per_tok", [](const Experts& e) { return Json(e.router_topk); }),
            experts_config("moe_intermediate_size", [](const Experts& e) { return Json(e.ffn_hidden_size); }),
            experts_config("norm_topk_prob", [](const Experts& e) { return Json(!e.pre_softmax); }),
            experts_config("shared_expert_intermediate_size",
                           [](const Experts& e) {
                               return e.shared_ffn_hidden_size > 0 ? Json(e.shared_ffn_hidden_size) : left_out();
                           }),
            which_dense("mlp_only_layers", [](const H& h) { return Json(dense_layers(h)); }),
            which_dense("decoder_sparse_step", [](const H&) { return Json(1); })};
}

}  // namespace crossdock::detail
