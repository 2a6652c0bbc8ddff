// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <type_traits>
#include <vector>

#include "crossdock/protocol/message_list.hpp"

namespace crossdock::test {

/// Remembers what it is given: the names of messages in their order, and each tensor by "message / tensor".
class RecordingSaver {
public:
    /// Called with a message's name before the message is taken: a place to throw.
    std::function<void(const std::string& message)> before = [](const std::string&) {};
    std::vector<std::string> lines;

    std::vector<std::string> messages;
    std::map<std::string, Tensor> tensors;
    ModelHeader header;
    bool is_finished = false;

    void write(const ModelHeader& message) {
        take("header");
        header = message;
    }
    template <class M>
    void write(const M& message) {
        take(message_name(message));
        for (const auto& field : tensor_fields<M>)
            if (const auto& tensor = message.*field.tensor)
                tensors.emplace(to_text(message_name(message), " / ", field.name), *tensor);
    }
    void finish() {
        before("finish");
        is_finished = true;
    }
    std::vector<std::string> notices() const { return lines; }

private:
    void take(const std::string& name) {
        before(name);
        messages.push_back(name);
    }
};

}  // namespace crossdock::test
