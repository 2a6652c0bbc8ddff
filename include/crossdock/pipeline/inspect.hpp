// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "crossdock/plugin/any_loader.hpp"
#include "crossdock/plugin/concepts.hpp"
#include "crossdock/plugin/storage.hpp"
#include "crossdock/protocol/message_list.hpp"

namespace crossdock {

/// One canonical tensor of a model.
struct InspectedTensor {
    std::string message;  ///< "transformer layer 3"
    std::string name;     ///< "qkv weight"
    DType dtype = DType::f32;
    Shape shape;

    std::uint64_t bytes() const { return shape.element_count() * item_size(dtype); }
};

/// The tensors of one element type.
struct DTypeShare {
    std::uint64_t tensors = 0;
    std::uint64_t bytes = 0;
};

/// What a checkpoint is, from its headers alone.
struct Inspection {
    ModelHeader header;
    std::vector<InspectedTensor> tensors;  ///< in protocol order
    Storage storage;
    std::vector<std::string> notices;

    std::uint64_t parameters() const {
        std::uint64_t count = 0;
        for (const InspectedTensor& tensor : tensors) count += tensor.shape.element_count();
        return count;
    }
    std::uint64_t bytes() const {
        std::uint64_t count = 0;
        for (const InspectedTensor& tensor : tensors) count += tensor.bytes();
        return count;
    }
    std::map<DType, DTypeShare> dtypes() const {
        std::map<DType, DTypeShare> shares;
        for (const InspectedTensor& tensor : tensors) {
            ++shares[tensor.dtype].tensors;
            shares[tensor.dtype].bytes += tensor.bytes();
        }
        return shares;
    }
};

namespace detail {

template <class M>
void list_tensors(const M& message, std::vector<InspectedTensor>& list) {
    for (const auto& field : tensor_fields<M>)
        if (const auto& tensor = message.*field.tensor)
            list.push_back({message_name(message), std::string(field.name), tensor->dtype(), tensor->shape()});
}

inline Inspection run_inspection(AnyLoader& loader) {
    Inspection found{
        .header = loader.header(), .tensors = {}, .storage = loader.storage(), .notices = loader.notices()};
    for_each_message(found.header, [&](auto key) { list_tensors(pull(key, loader), found.tensors); });
    return found;
}

}  // namespace detail

/// Lists what the loader would send. Reads no weights, and does not mind tensors that no message carries. Throws Error
/// where the loader does; runs on the caller's thread.
template <Loader L>
Inspection inspect(L& loader) {
    auto&& any = as_any_loader(loader);
    return detail::run_inspection(any);
}

}  // namespace crossdock
