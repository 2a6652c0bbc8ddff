// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "crossdock/plugin/concepts.hpp"
#include "crossdock/protocol/message_list.hpp"

namespace crossdock {

/// Calls send(Message) with a whole model in protocol order. Stops when send() returns false: nobody is listening any
/// more.
template <Loader L, class Send>
void send_model(L& loader, Send&& send) {
    if constexpr (detail::LoaderHasBegin<L>) loader.begin();
    const ModelHeader header = loader.header();
    if (!send(Message(header))) return;
    for_each_message(header, [&](auto key) -> bool { return send(Message(pull(key, loader))); });
}

}  // namespace crossdock
