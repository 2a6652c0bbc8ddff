// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

#include "crossdock/core/checked.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/text.hpp"
#include "crossdock/protocol/model_header.hpp"

namespace crossdock {

/// Throws Error where sizes are missing, contradict each other or overflow: shapes and layouts may be computed from all
/// others.
inline void check_header(const ModelHeader& header) {
    const auto require = [](std::uint64_t value, std::string_view name) {
        if (value == 0) throw Error(to_text(name, " is missing or 0"));
    };
    require(header.num_layers, "the number of layers");
    require(header.hidden_size, "the hidden size");
    require(header.attention.num_attention_heads, "the number of attention heads");
    require(header.attention.num_query_groups, "the number of key/value heads");
    require(header.attention.kv_channels, "the head size");
    if (header.attention.num_attention_heads % header.attention.num_query_groups != 0)
        throw Error(to_text(header.attention.num_attention_heads, " attention heads do not divide into ",
                            header.attention.num_query_groups, " key/value heads"));
    if (header.positions == PositionKind::rope && header.attention.kv_channels % 2 != 0)
        throw Error(to_text("the head size is ", header.attention.kv_channels,
                            ", expected an even one: rotary positions turn elements in pairs"));
    const std::uint64_t heads = checked_add(header.attention.num_attention_heads,
                                            checked_multiply(2, header.attention.num_query_groups, "heads"), "heads");
    checked_multiply(checked_multiply(heads, header.attention.kv_channels, "attention rows"), header.hidden_size,
                     "attention");
    checked_multiply(checked_multiply(header.mlp.ffn_hidden_size, 2, "MLP rows"), header.hidden_size, "MLP");
    checked_multiply(header.vocab_rows, header.hidden_size, "vocabulary");
    checked_multiply(header.max_position_embeddings.value_or(0), header.hidden_size, "position embeddings");
    checked_multiply(header.num_token_types, header.hidden_size, "token type embeddings");
    checked_multiply(header.hidden_size, header.hidden_size, "heads of a BERT");
}

}  // namespace crossdock
