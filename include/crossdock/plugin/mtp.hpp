// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "crossdock/core/text.hpp"
#include "crossdock/plugin/placement.hpp"
#include "crossdock/plugin/table_loader.hpp"

namespace crossdock::detail {

/// How many layers behind the model's own, of `layers` in all, are ones that predict further tokens.
inline std::uint64_t count_mtp_layers(const TensorTable& table, const StageTensors& stage, std::uint64_t num_layers,
                                      std::uint64_t layers) {
    const Row<TransformerLayer>* row = row_of(table, &TransformerLayer::mtp_projection_weight);
    const bool is_there = row && layers > num_layers && stage.find(0, stored_name(row->names[0], num_layers));
    return is_there ? layers - num_layers : 0;
}

/// What the MTP layers of a single stage hold again is checked later and not sent.
inline void take_mtp_twins(OpenCheckpoint& open) {
    StageTensors& stage = open.stages.front();
    const Row<Embeddings>* word = row_of(*open.table, &Embeddings::word);
    for (std::uint64_t layer = open.header.num_layers; layer < all_layers(open.header); ++layer)
        for (const MtpTwin& twin : open.table->mtp_twins) {
            const bool is_tied = open.header.tied_embeddings && twin.of == open.table->tied_copy;
            const NamedTensor* first = stage.find(0, is_tied ? word->names[0] : twin.of);
            const NamedTensor* again = first ? stage.take(0, open.layers[layer].scope.name(twin.name)) : nullptr;
            if (again) open.repeated.push_back({*first, *again});
        }
}

/// Leaves the layers that predict further tokens out, as the user wants it.
inline void drop_mtp_layers(OpenCheckpoint& open) {
    ModelHeader& header = open.header;
    if (header.mtp_num_layers == 0)
        return open.notices.push_back("drop_mtp: the model has no layers that predict further tokens");
    const std::string& pattern = row_of(*open.table, &TransformerLayer::mtp_projection_weight)->names[0];
    const std::string beginning = pattern.substr(0, pattern.find("{}") + 3);  // with the number and a point
    for (std::uint64_t layer = header.num_layers; layer < all_layers(header); ++layer) {
        const NameScope& scope = open.layers[layer].scope;
        open.left_out.push_back(replaced(scope.name(beginning), "/", "."));  // nested dictionaries are read flat
    }
    open.notices.push_back(to_text("drop_mtp: the layers that predict further tokens (mtp_num_layers ",
                                   header.mtp_num_layers, ") are left out"));
    open.layers.resize(header.num_layers);
    header.other_layers.erase(header.other_layers.lower_bound(header.num_layers), header.other_layers.end());
    header.origin.mtp_layer_name.reset();
    header.mtp_num_layers = 0;
    open.repeated.clear();
}

}  // namespace crossdock::detail
