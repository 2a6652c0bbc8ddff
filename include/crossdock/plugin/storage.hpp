// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "crossdock/core/dtype.hpp"
#include "crossdock/core/shape.hpp"
#include "crossdock/core/shared_text.hpp"
#include "crossdock/family/ranks.hpp"
#include "crossdock/protocol/model_header.hpp"

namespace crossdock {

/// What one tensor-parallel rank of one pipeline stage stores, with the experts of one expert-parallel rank.
struct StoredRank {
    std::uint64_t rank = 0, stage = 0;
    std::uint64_t tensors = 0, bytes = 0;
    std::uint64_t expert = 0;  ///< which expert-parallel rank
    std::uint64_t layers = 0;  ///< of the stage
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

/// What becomes of a tensor that a checkpoint stores. What is unknown would be lost, so that no conversion begins.
enum class TensorUse : std::uint8_t { used, ignored, unknown };
template <>
inline constexpr std::array<std::string_view, 3> enum_names<TensorUse>{"used", "ignored", "unknown"};

/// One tensor as a checkpoint stores it: of one rank, or where it is distributed, of all.
struct SourceTensor {
    std::string name;
    SharedText file{};
    std::optional<DType> dtype{};  ///< none: of a type that nothing here knows
    TensorUse use = TensorUse::used;
    Shape shape{};
    std::uint64_t bytes = 0;
    SharedText why{};  ///< it is ignored
};

/// A stored tensor that a canonical one is made of, by itself or with others; of a distributed checkpoint a chunk.
struct TensorPart {
    std::string name;  ///< as the checkpoint has it
    std::string file;
    std::optional<RankCoordinates> rank{};  ///< that stores it; none where chunks are nobody's
    std::vector<std::uint64_t> offsets{};   ///< of a chunk in the tensor of that name
    DType dtype = DType::f32;
    Shape shape{};
};

/// What one canonical tensor is made of.
struct TensorParts {
    std::string place;  ///< "transformer layer 3 / qkv weight"
    std::vector<TensorPart> parts{};
};

/// Whether somebody wants to know of a canonical tensor, by its place.
using WantedPlace = std::function<bool(const std::string& place)>;

/// What a distributed checkpoint is made of.
struct DistributedStorage {
    std::uint64_t files = 0;
    std::vector<StoredKind> kinds;    ///< the model first
    std::vector<StoredGrid> tensors;  ///< of the model
};

/// How a checkpoint is stored, as far as its loader can tell.
struct Storage {
    std::vector<StoredRank> ranks;
    std::vector<std::string> unused;      ///< tensors that no message carries: "'lora.weight' (model.safetensors)"
    std::vector<SourceTensor> tensors{};  ///< all that there are, and what becomes of each
    std::optional<DistributedStorage> distributed{};
};

}  // namespace crossdock
