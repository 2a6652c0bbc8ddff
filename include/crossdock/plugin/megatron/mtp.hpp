// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "crossdock/family/megatron/mtp.hpp"
#include "crossdock/plugin/megatron/content.hpp"
#include "crossdock/plugin/megatron/wrappers.hpp"
#include "crossdock/plugin/mtp.hpp"
#include "crossdock/plugin/table_loader.hpp"

namespace crossdock::detail {

/// The last stage of several repeats the embeddings for its MTP layers.
inline void take_last_embeddings(OpenCheckpoint& open) {
    const std::string& word = row_of(*open.table, &Embeddings::word)->names[0];
    StageTensors &first = open.stages.front(), &last = open.stages.back();
    for (std::size_t rank = 0; open.stages.size() > 1 && rank < last.size(); ++rank) {
        const NamedTensor* again = last.take(rank, open.last.name(word));
        const NamedTensor* embeddings = again ? first.find(rank, open.first.name(word)) : nullptr;
        if (embeddings) open.repeated.push_back({*embeddings, *again});
    }
}

/// What the files call the layer inside an MTP layer.
inline MtpLayerName mtp_layer_name(const StageTensors& stage) {
    const auto& entries = stage.rank(0).entries();
    const bool is_newer = std::any_of(entries.begin(), entries.end(), [](const NamedTensor& entry) {
        return entry.name.find(".mtp_model_layer.") != entry.name.npos;
    });
    return is_newer ? MtpLayerName::mtp_model_layer : MtpLayerName::transformer_layer;
}

/// Places the MTP layers behind the decoder's, and says in the header how many there are.
inline void place_mtp_layers(const MegatronContent& content, OpenCheckpoint& open) {
    const Row<TransformerLayer>* row = row_of(*open.table, &TransformerLayer::mtp_projection_weight);
    const std::string& chunk = content.chunks.back();
    open.header.mtp_num_layers = row ? count_layers(open.stages.back(), chunk_prefix(chunk, '.'), row->names[0]) : 0;
    if (open.header.mtp_num_layers == 0) return;
    const MtpLayerName name = mtp_layer_name(open.stages.back());
    for (std::uint64_t index = 0; index < open.header.mtp_num_layers; ++index)
        open.layers.push_back({open.stages.size() - 1, mtp_scope(chunk_prefix(chunk, '/'), index, name)});
    if (!open.header.origin.torch_dist) open.header.origin.mtp_layer_name = name;
    take_last_embeddings(open);
}

/// Takes out of the args what they say of MTP layers.
inline void drop_mtp_arguments(MegatronContent& content) {
    for (Json* args : {&content.args.values, &content.args.kept})
        if (args->is_object()) args->erase("mtp_num_layers");
}

}  // namespace crossdock::detail
