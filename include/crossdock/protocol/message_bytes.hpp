// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "crossdock/core/dtype.hpp"
#include "crossdock/protocol/message_list.hpp"

namespace crossdock {

/// What a message weighs if it is as the header says; `dtype` is that of all weights.
template <class M>
std::uint64_t expected_bytes(Key<M> key, const ModelHeader& header, DType dtype) {
    std::uint64_t elements = 0;
    for (const auto& field : tensor_fields<M>)
        if (const auto shape = field.expected(header, key.index)) elements += shape->element_count();
    return elements * item_size(dtype);
}

/// What all messages of a model weigh if they are as the header says.
inline std::uint64_t expected_model_bytes(const ModelHeader& header, DType dtype) {
    std::uint64_t bytes = 0;
    for_each_message(header, [&](auto key) { bytes += expected_bytes(key, header, dtype); });
    return bytes;
}

/// What the tensors of a message weigh.
template <class M>
std::uint64_t byte_count(const M& message) {
    std::uint64_t bytes = 0;
    for (const auto& field : tensor_fields<M>)
        if (const auto& tensor = message.*field.tensor) bytes += tensor->byte_count();
    return bytes;
}

}  // namespace crossdock
