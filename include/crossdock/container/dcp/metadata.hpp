// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "crossdock/core/axes.hpp"
#include "crossdock/core/dtype.hpp"
#include "crossdock/core/shape.hpp"
#include "crossdock/core/shared_text.hpp"

// PyTorch's distributed checkpoint (torch/distributed/checkpoint), which Megatron-Core calls torch_dist: global tensors
// in chunks of any grid, each chunk an item of a .distcp file, and a pickled index named .metadata.

namespace crossdock::dcp {

/// Where an item's bytes lie.
struct Place {
    SharedText file;  ///< relative to the checkpoint's directory
    std::uint64_t offset = 0, length = 0;
};

/// A box of a global tensor that is stored as one item.
struct Chunk {
    Axes offsets;  ///< of its first element, as many as the tensor has axes
    Shape sizes;
    Place place;
};

/// A global tensor; its chunks tile it.
struct TensorItem {
    std::string name;
    std::optional<DType> dtype;  ///< none: of a type that Crossdock does not know
    Shape shape;
    std::vector<Chunk> chunks;
};

/// A pickled value that is stored as one item.
struct BytesItem {
    std::string name;  ///< "decoder.layers.mlp.linear_fc1._extra_state/shard_3_32"
    Place place;
};

/// What a .metadata file says.
struct Metadata {
    std::vector<TensorItem> tensors;
    std::vector<BytesItem> bytes;
};

}  // namespace crossdock::dcp
