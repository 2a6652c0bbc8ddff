// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "crossdock/protocol/message_list.hpp"

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

/// A checkpoint seen as a canonical model, pulled message by message. Tensors are recipes, so each call is cheap and
/// moves no weights. Everything throws Error where the checkpoint is not what it claims to be.
///
/// Constructors open and check the checkpoint; header() comes first, then the messages that it implies, in protocol
/// order. Who means to send the model on calls begin() before.
class Loader {
public:
    static constexpr std::string_view kind = "loader";

    virtual ~Loader() = default;

    /// Tells that whoever asks will cast floating tensors to `dtype`, before begin(): parts of one tensor that differ
    /// in their type are then no Error, and come in a type that holds them all.
    virtual void will_cast(DType) {}

    /// Throws Error when the checkpoint holds tensors that no message carries: they would be lost; or parts of one
    /// tensor that differ in their type, unless they will be cast.
    virtual void begin() {}

    virtual ModelHeader header() = 0;
    virtual Embeddings embeddings() = 0;
    virtual TransformerLayer layer(std::uint64_t index) = 0;
    virtual FinalNorm final_norm() = 0;
    virtual OutputLayer output_layer() { return {}; }  ///< asked for unless header().tied_embeddings
    virtual BertPooler pooler() { return {}; }
    virtual BertLmHead bert_lm_head() { return {}; }
    virtual BertBinaryHead bert_binary_head() { return {}; }

    /// From headers alone, before or after the messages.
    virtual Storage storage() const { return {}; }

    /// What the user should know of the checkpoint without it being wrong.
    virtual std::vector<std::string> notices() const { return {}; }
};

}  // namespace crossdock
