// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/family/requirements.hpp"
#include "crossdock/family/stage_tensors.hpp"
#include "crossdock/family/tensor_table.hpp"
#include "crossdock/protocol/model_header.hpp"

namespace crossdock::detail {

// The layers that predict further tokens, in Megatron-Core (megatron/core/transformer/multi_token_prediction.py): they
// stand on the last pipeline stage, in its last chunk, under names of their own, and each holds a layer as the decoder's
// last, whose names are those of the decoder's behind another beginning. That stage has the embeddings too.

/// How the names of a decoder layer begin, and those of the layer inside an MTP layer, in the order of MtpLayerName.
inline constexpr std::string_view decoder_layer = "decoder.layers.{}.";
inline constexpr std::array<std::string_view, 2> mtp_inner_layers{"mtp.layers.{}.transformer_layer.",
                                                                  "mtp.layers.{}.mtp_model_layer."};

/// The names of MTP layer `index`, counted from 0, in a chunk.
inline NameScope mtp_scope(std::string prefix, std::uint64_t index, MtpLayerName name) {
    return {.prefix = std::move(prefix),
            .layer = index,
            .layers = 0,
            .usual = decoder_layer,
            .instead = mtp_inner_layers[static_cast<std::size_t>(name)]};
}

/// What an MTP layer has beside the layer inside.
inline Rows<TransformerLayer> core_mtp_rows() {
    using L = TransformerLayer;
    return Rows<L>{{{&L::embedding_norm_weight}, {"mtp.layers.{}.enorm.weight"}},
                   {{&L::hidden_norm_weight}, {"mtp.layers.{}.hnorm.weight"}},
                   {{&L::mtp_projection_weight}, {"mtp.layers.{}.eh_proj.weight"}, as_is, Cut::rows},
                   {{&L::mtp_final_norm_weight}, {"mtp.layers.{}.final_layernorm.weight"}}};
}

/// Megatron-Core makes the layers inside as it makes the last of the decoder's (gpt_layer_specs.py,
/// get_gpt_mtp_block_spec).
inline constexpr Requirement mtp_as_last_layer{
    "layers that predict further tokens (mtp_num_layers) unlike its last layer", [](const ModelHeader& h) {
        const std::uint64_t last = h.num_layers - 1;
        for (std::uint64_t layer = h.num_layers; layer < all_layers(h); ++layer)
            if (attention_of(h, layer) != attention_of(h, last) || mlp_of(h, layer) != mlp_of(h, last)) return false;
        return true;
    }};

}  // namespace crossdock::detail
