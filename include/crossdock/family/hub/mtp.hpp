// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "crossdock/family/config_table.hpp"
#include "crossdock/family/tensor_table.hpp"
#include "crossdock/protocol/header_fields.hpp"
#include "crossdock/protocol/messages.hpp"

namespace crossdock::detail {

// Layers that predict further tokens (MTP) as DeepSeek-V3 and GLM-4.5 release them: numbered behind the model's own, each
// with a copy of the embeddings and of the head (deepseek-ai/DeepSeek-V3 README_WEIGHTS.md). transformers reads none of
// their tensors and its save_pretrained leaves them out, while config.json goes on counting them.

/// What an MTP layer has beside the tensors of every layer.
inline Rows<TransformerLayer> hub_mtp_rows() {
    using L = TransformerLayer;
    return Rows<L>{{{&L::embedding_norm_weight}, {"model.layers.{}.enorm.weight"}},
                   {{&L::hidden_norm_weight}, {"model.layers.{}.hnorm.weight"}},
                   {{&L::mtp_projection_weight}, {"model.layers.{}.eh_proj.weight"}},
                   {{&L::mtp_final_norm_weight}, {"model.layers.{}.shared_head.norm.weight"}}};
}

inline std::vector<MtpTwin> hub_mtp_twins() {
    return {{"model.layers.{}.embed_tokens.weight", "model.embed_tokens.weight"},
            {"model.layers.{}.shared_head.head.weight", "lm_head.weight"}};
}

/// How many there are, of which the files have the last word.
inline ConfigEntry mtp_config() {
    return config::entry({"num_nextn_predict_layers", "num_mtp_layers"}, field::mtp_num_layers);
}

}  // namespace crossdock::detail
