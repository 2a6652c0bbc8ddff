// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "crossdock/core/shape.hpp"

namespace crossdock {

/// What one tensor-parallel rank of one pipeline stage stores.
struct StoredRank {
    std::uint64_t rank = 0, stage = 0;
    std::uint64_t tensors = 0, bytes = 0;
};

/// How one tensor of a distributed checkpoint is cut into chunks.
struct StoredGrid {
    std::string name;  ///< as the checkpoint has it
    Shape shape;
    std::uint64_t chunks = 0;
    std::vector<std::uint64_t> grid;  ///< chunks along each axis; empty where they form no grid
};

/// What a distributed checkpoint holds of one kind: the model's weights, the optimizer, states of random numbers.
struct StoredKind {
    std::string kind;
    std::uint64_t items = 0;   ///< tensors, and objects that are none
    std::uint64_t chunks = 0;  ///< of the tensors
    std::uint64_t bytes = 0;   ///< in the files, with what wraps the values there
};

/// What a distributed checkpoint is made of.
struct DistributedStorage {
    std::uint64_t files = 0;
    std::vector<StoredKind> kinds;    ///< the model first
    std::vector<StoredGrid> tensors;  ///< of the model
};

/// How a checkpoint is stored, as far as its loader can tell.
struct Storage {
    std::vector<StoredRank> ranks;
    std::vector<std::string> unused;  ///< tensors that no message carries: "'lora.weight' (model.safetensors)"
    std::optional<DistributedStorage> distributed{};
};

}  // namespace crossdock
