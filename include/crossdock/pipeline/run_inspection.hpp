// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "crossdock/core/compiled.hpp"
#include "crossdock/core/shared_text.hpp"
#include "crossdock/pipeline/entry_points.hpp"
#include "crossdock/protocol/message_list.hpp"

namespace crossdock::detail {

template <class M>
void list_tensors(const M& message, std::vector<InspectedTensor>& list) {
    const SharedText name = message_name(message);
    for (const auto& field : tensor_fields<M>)
        if (const auto& tensor = message.*field.tensor)
            list.push_back({name, std::string(field.name), tensor->dtype(), tensor->shape()});
}

CROSSDOCK_ENTRY_POINT Inspection run_inspection(AnyLoader& loader) {
    Inspection found{
        .header = loader.header(), .tensors = {}, .storage = loader.storage(), .notices = loader.notices()};
    for_each_message(found.header, [&](auto key) { list_tensors(pull(key, loader), found.tensors); });
    return found;
}

}  // namespace crossdock::detail
