// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <utility>

#include "crossdock/plugin/loader.hpp"
#include "crossdock/protocol/messages.hpp"

namespace crossdock {

/// Calls send(Message) with a whole model in protocol order. Stops when send() returns false: nobody listens any more.
template <class Send>
void send_model(Loader& loader, Send&& send) {
    loader.begin();
    const ModelHeader header = loader.header();
    if (!send(Message(header))) return;
    if (!send(Message(loader.embeddings()))) return;
    for (std::uint64_t index = 0; index < header.num_layers; ++index)
        if (!send(Message(loader.layer(index)))) return;
    const auto send_if_present = [&]<class M>(auto load) {
        return !has_message<M>(header) || send(Message((loader.*load)()));
    };
    send_if_present.template operator()<FinalNorm>(&Loader::final_norm) &&
        send_if_present.template operator()<OutputLayer>(&Loader::output_layer) &&
        send_if_present.template operator()<BertPooler>(&Loader::pooler) &&
        send_if_present.template operator()<BertLmHead>(&Loader::bert_lm_head) &&
        send_if_present.template operator()<BertBinaryHead>(&Loader::bert_binary_head);
}

}  // namespace crossdock
