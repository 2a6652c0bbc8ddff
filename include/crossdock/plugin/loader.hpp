// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "crossdock/protocol/messages.hpp"

namespace crossdock {

/// A checkpoint seen as a canonical model, pulled message by message. Tensors are recipes, so each call is cheap and
/// moves no weights. Everything throws Error where the checkpoint is not what it claims to be.
///
/// Constructors open and check the checkpoint; header() comes first, then the messages that it implies, in protocol
/// order.
class Loader {
public:
    static constexpr std::string_view kind = "loader";

    virtual ~Loader() = default;

    virtual ModelHeader header() = 0;
    virtual Embeddings embeddings() = 0;
    virtual TransformerLayer layer(std::uint64_t index) = 0;
    virtual FinalNorm final_norm() = 0;
    virtual OutputLayer output_layer() { return {}; }  ///< asked for unless header().tied_embeddings
    virtual BertPooler pooler() { return {}; }
    virtual BertLmHead bert_lm_head() { return {}; }
    virtual BertBinaryHead bert_binary_head() { return {}; }

    /// What the user should know of the checkpoint without it being wrong.
    virtual std::vector<std::string> notices() const { return {}; }
};

}  // namespace crossdock
