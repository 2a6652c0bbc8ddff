// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>

#include "crossdock/container/torch/reader.hpp"
#include "crossdock/plugin/megatron/content.hpp"
#include "crossdock/plugin/megatron/files.hpp"
#include "crossdock/plugin/megatron/wrappers.hpp"

namespace crossdock::detail {

/// Reads the files of rank folders. Throws Error naming the file where one is damaged or no Megatron's.
inline MegatronContent read_rank_files(const MegatronFiles& files) {
    MegatronContent content;
    for (std::size_t stage = 0; stage < files.stages.size(); ++stage)
        for (std::size_t rank = 0; rank < files.stages[stage].size(); ++rank) {
            const std::string file = files.stages[stage][rank].string();
            const pickle::Value root = torch::read(file);
            if (content.chunks.empty()) content.chunks = chunk_keys(root, file);
            add_rank({.pipeline = stage, .tensor = rank}, file, root, model_tensors(root, content.chunks, file),
                     content);
        }
    return content;
}

}  // namespace crossdock::detail
