// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "crossdock/container/torch/reader.hpp"
#include "crossdock/plugin/megatron/content.hpp"
#include "crossdock/plugin/megatron/files.hpp"

namespace crossdock::detail {

/// Reads the files of rank folders. Throws Error naming the file where one is damaged or no Megatron's.
inline MegatronContent read_rank_files(const MegatronFiles& files) {
    MegatronContent content;
    for (std::size_t stage = 0; stage < files.stages.size(); ++stage)
        for (std::size_t rank = 0; rank < files.stages[stage].size(); ++rank) {
            const auto& file = files.stages[stage][rank];
            add_rank({.pipeline = stage, .tensor = rank}, file.string(), torch::read(file), content);
        }
    return content;
}

}  // namespace crossdock::detail
