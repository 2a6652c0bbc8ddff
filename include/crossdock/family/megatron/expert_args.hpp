// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "crossdock/core/error.hpp"
#include "crossdock/core/text.hpp"
#include "crossdock/family/config_table.hpp"
#include "crossdock/family/megatron/args.hpp"
#include "crossdock/protocol/header_fields.hpp"
#include "crossdock/protocol/model_header.hpp"

namespace crossdock::detail {

// What Megatron-Core's arguments say of experts (megatron/training/arguments.py, core_v0.16.1). Without num_experts
// they mean nothing, whatever their values. Which layers have experts, how many and of which sizes, the tensors tell.

/// A line that is read where there are experts, and written as `without` where there are none.
inline ConfigEntry where_experts(ConfigEntry line, Json without) {
    line.read = [read = std::move(line.read)](const Json& value, ModelHeader& h) {
        if (has_experts(h.mlp)) read(value, h);
    };
    line.write = [write = std::move(line.write), without = std::move(without)](const ModelHeader& h) {
        return has_experts(h.mlp) ? write(h) : without;
    };
    return line;
}
template <class T>
ConfigEntry expert_entry(std::string_view key, const HeaderField<T>& field, Json without = nullptr) {
    return where_experts(config::entry({key}, field), std::move(without));
}
inline ConfigEntry expert_number(std::string_view key, const HeaderField<std::uint64_t>& field) {
    return where_experts(number_or_none(key, field), nullptr);
}

/// 1 for each layer with experts, 0 for each other; 1 alone where all have them.
inline Json layer_frequency(const ModelHeader& header) {
    Json list = Json::array();
    bool is_mixed = false;
    for (std::uint64_t layer = 0; layer < header.num_layers; ++layer) {
        const bool with_experts = has_experts(mlp_of(header, layer));
        is_mixed |= !with_experts;
        list.push_back(with_experts ? 1 : 0);
    }
    return has_experts(header.mlp) && is_mixed ? list : Json(1);
}

/// moe_router_pre_softmax says nothing of sigmoid scores, which are made to add up to 1 where there are several.
inline bool has_softmax_router(const ModelHeader& header) {
    return has_experts(header.mlp) && header.mlp.experts.score == RouterScore::softmax;
}

/// None is 1, whatever else is known of the factor.
inline void read_scaling_factor(const Json& value, std::optional<double>& factor) {
    if (!value.is_null())
        factor = json_as<double>(value);
    else if (factor)
        factor = 1.0;
}

inline ConfigTable megatron_expert_args() {
    using namespace config;
    using H = ModelHeader;
    return {{{"num_experts"},
             nullptr,
             [](const Json& value, H& h) {
                 if (!value.is_null()) h.mlp.experts.num_experts = json_as<std::uint64_t>(value);
             },
             [](const H& h) { return has_experts(h.mlp) ? Json(h.mlp.experts.num_experts) : Json(nullptr); }},
            expert_entry("moe_router_topk", field::moe_router_topk, 2),
            expert_number("moe_ffn_hidden_size", field::moe_ffn_hidden_size),
            expert_number("moe_shared_expert_intermediate_size", field::moe_shared_expert_intermediate_size),
            expert_entry("moe_shared_expert_gate", field::moe_shared_expert_gate, false),
            {{"moe_router_score_function"},
             nullptr,
             [](const Json& value, H& h) {
                 if (!has_experts(h.mlp) || value.is_null()) return;
                 const auto name = json_as<std::string>(value);
                 if (name != "softmax" && name != "sigmoid")
                     throw Error(to_text("is '", name, "', expected softmax or sigmoid"));
                 Experts& experts = h.mlp.experts;
                 experts.score = name == "softmax" ? RouterScore::softmax : RouterScore::sigmoid;
                 if (experts.score == RouterScore::sigmoid) experts.pre_softmax = experts.router_topk == 1;
             },
             [](const H& h) { return Json(enum_name(h.mlp.experts.score)); }},
            {{"moe_router_pre_softmax"},
             nullptr,
             [](const Json& value, H& h) {
                 if (has_softmax_router(h)) h.mlp.experts.pre_softmax = is_on(value);
             },
             [](const H& h) { return Json(has_softmax_router(h) && h.mlp.experts.pre_softmax); }},
            {{"moe_router_topk_scaling_factor"},
             nullptr,
             [](const Json& value, H& h) {
                 if (has_experts(h.mlp)) read_scaling_factor(value, h.mlp.experts.scaling_factor);
             },
             [](const H& h) { return or_null(h.mlp.experts.scaling_factor); }},
            expert_number("moe_router_num_groups", field::moe_router_num_groups),
            expert_number("moe_router_group_topk", field::moe_router_group_topk),
            expert_entry("moe_router_enable_expert_bias", field::moe_router_enable_expert_bias, false),
            written("moe_router_dtype",
                    [](const H& h) { return h.mlp.experts.router_bias ? Json("fp32") : Json(nullptr); }),
            written("moe_layer_freq", layer_frequency)};
}

}  // namespace crossdock::detail
