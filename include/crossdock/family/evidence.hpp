// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "crossdock/core/dtype.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/text.hpp"
#include "crossdock/family/apply_table.hpp"
#include "crossdock/family/tensor_table.hpp"
#include "crossdock/protocol/model_header.hpp"

namespace crossdock {

// What the stored tensors tell of a model, whatever its description says.

/// The layers that tell of all: the first that is as the header says, and each that differs.
inline std::vector<std::uint64_t> telling_layers(const ModelHeader& header) {
    std::vector<std::uint64_t> layers;
    std::uint64_t usual = 0;
    while (header.other_layers.contains(usual)) ++usual;
    if (usual < header.num_layers) layers.push_back(usual);
    for (const auto& other : header.other_layers) layers.push_back(other.first);
    return layers;
}

/// Sets those bias fields of layer `layer` whose tensors the stage holds in `scope`. Fields that are set stay: a
/// description that asks for missing biases is found out when they are loaded.
inline void find_biases(const TensorTable& table, const StageTensors& stage, const NameScope& scope,
                        std::uint64_t layer, ModelHeader& header) {
    using L = TransformerLayer;
    const auto has = [&](std::optional<Tensor> L::*field) { return has_stored(table, stage, scope, field); };
    Attention& attention = attention_of(header, layer);
    Mlp& mlp = mlp_of(header, layer);
    attention.qkv_bias |= has(&L::qkv_bias);
    attention.dense_bias |= has(&L::dense_bias);
    mlp.fc1_bias |= has(&L::gate_bias) || has(&L::fc1_bias);
    mlp.fc2_bias |= has(&L::fc2_bias);
}

/// The first name under which a table stores a field in a layer: what its extents are read from. Throws Error where it
/// has no row for it.
template <class Message>
std::string stored_name(const TensorTable& table, std::optional<Tensor> Message::*field, std::uint64_t layer = 0) {
    const Row<Message>* row = row_of(table, field);
    if (!row) throw Error(to_text("the table has no row for a tensor of the message '", Message::name, "'"));
    return stored_name(row->names[0], layer);
}

/// The pattern of a name that every layer of the model has, by which layers are counted. Throws Error where the table
/// has none.
inline const std::string& counted_name(const TensorTable& table, const ModelHeader& header) {
    const std::uint64_t layers = std::min<std::uint64_t>(header.num_layers, 1'000'000);  // more are not counted
    const auto is_in_all = [&](const Row<TransformerLayer>& row) {
        for (std::uint64_t layer = 0; layer < layers; ++layer)
            if (!detail::expected_shape(row.fields[0], header, layer)) return false;
        return true;
    };
    const Rows<TransformerLayer>& rows = table.rows<TransformerLayer>();
    const auto row = std::find_if(rows.begin(), rows.end(), is_in_all);
    if (row == rows.end()) throw Error("the table has no row that every layer has, so that none can be counted");
    return row->names[0];
}

/// The element type that most bytes of the stage's first rank have; f32 where it holds none.
inline DType prevailing_dtype(const StageTensors& stage) {
    std::map<DType, std::uint64_t> bytes;
    for (const NamedTensor& entry : stage.rank(0).entries()) bytes[entry.tensor.dtype()] += entry.tensor.byte_count();
    const auto most =
        std::max_element(bytes.begin(), bytes.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
    return most == bytes.end() ? DType::f32 : most->first;
}

}  // namespace crossdock
