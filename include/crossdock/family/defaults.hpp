// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "crossdock/protocol/model_header.hpp"

namespace crossdock::defaults {

// What every model of a kind is, whatever its description says: the functions that families have as Family::defaults,
// called before any description is read.

/// As Llama: RMS norms, rotary positions over whole heads, a gated MLP, no window, embeddings as they are.
inline void rms_decoder(ModelHeader& header) {
    header.norm = NormKind::rms;
    header.norm_zero_centered = false;
    header.positions = PositionKind::rope;
    header.mlp.gated = true;
    header.attention.rotary_percent = 1.0;
    header.attention.sliding_window = 0;
    header.embedding_multiplier = 1.0;
}

/// As GPT-2 and BERT: learned positions, layer norms, biases everywhere, no gate.
inline void learned_positions(ModelHeader& header) {
    header.norm = NormKind::layer;
    header.norm_zero_centered = false;
    header.positions = PositionKind::learned;
    header.mlp.gated = false;
    header.attention.qkv_bias = header.attention.dense_bias = header.mlp.fc1_bias = header.mlp.fc2_bias = true;
    header.attention.sliding_window = 0;
    header.embedding_multiplier = 1.0;
}

}  // namespace crossdock::defaults
