// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

#include "crossdock/container/json.hpp"
#include "crossdock/family/config_table.hpp"
#include "crossdock/family/hub/config.hpp"
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

}  // namespace crossdock::detail
