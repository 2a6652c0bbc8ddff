// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace crossdock {

/// What one tensor-parallel rank of one pipeline stage stores.
struct StoredRank {
    std::uint64_t rank = 0, stage = 0;
    std::uint64_t tensors = 0, bytes = 0;
};

/// How a checkpoint is stored, as far as its loader can tell.
struct Storage {
    std::vector<StoredRank> ranks;
    std::vector<std::string> unused;  ///< tensors that no message carries: "'lora.weight' (model.safetensors)"
};

}  // namespace crossdock
