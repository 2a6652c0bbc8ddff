// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>

#include "crossdock/core/error.hpp"
#include "crossdock/core/text.hpp"
#include "crossdock/protocol/message_list.hpp"

namespace crossdock {

/// Throws Error when a message lacks a tensor that the header asks for, holds one that it excludes, or has one of
/// another shape. The text names the message and the tensor.
template <class Message>
void check_message(const Message& message, const ModelHeader& header) {
    for (const auto& field : tensor_fields<Message>) {
        const std::optional<Tensor>& tensor = message.*field.tensor;
        const std::optional<Shape> expected = field.expected(header, key_of(message).index);
        const auto fail = [&](const auto&... parts) {
            throw Error(to_text("message '", message_name(message), "': tensor '", field.name, "' ", parts...));
        };
        if (expected && !tensor) fail("is missing; the header asks for ", *expected);
        if (!expected && tensor)
            fail("of shape ", tensor->shape(), " is unexpected; the header says that there is none");
        if (expected && tensor->shape() != *expected)
            fail("has shape ", tensor->shape(), ", the header asks for ", *expected);
    }
}

/// Throws Error when no saver could make sense of a message: a tensor without content, a gate without the rows that it
/// multiplies, or qkv rows of which the header's heads do not tell what they are.
template <class Message>
void check_weights(const Message& message, const ModelHeader& header) {
    for (const auto& field : tensor_fields<Message>)
        if (const std::optional<Tensor>& tensor = message.*field.tensor; tensor && !tensor->recipe())
            throw Error(to_text("message '", message_name(message), "': tensor '", field.name, "' of shape ",
                                tensor->shape(), " has no content"));
    if constexpr (!std::is_same_v<Message, TransformerLayer>) {
        static_cast<void>(header);
    } else {
        const auto require_both = [&](const std::optional<Tensor>& gate, const std::optional<Tensor>& up,
                                      std::string_view kind) {
            if (gate.has_value() != up.has_value())
                throw Error(to_text("message '", message_name(message), "': has the ", kind, "s of the MLP's ",
                                    gate ? "gate but not of its up" : "up but not of its gate", " projection"));
        };
        require_both(message.gate_weight, message.up_weight, "weight");
        require_both(message.gate_bias, message.up_bias, "bias");
        const std::uint64_t rows = detail::qkv_rows(attention_of(header, message.index));
        for (const std::optional<Tensor>& tensor : {message.qkv_weight, message.qkv_bias})
            if (tensor && (tensor->shape().rank() == 0 || tensor->shape()[0] != rows))
                throw Error(to_text("message '", message_name(message), "': a qkv tensor has shape ", tensor->shape(),
                                    ", the header's heads have ", rows, " rows"));
    }
}

/// Holds the messages of a model against the order that the list of messages gives them. Feed it every one; it throws
/// Error on the first that is out of place.
class SequenceChecker {
public:
    void accept(const Message& message) {
        if (!has_header_) return begin(message);
        const std::string found = std::visit([](const auto& content) { return message_name(content); }, message);
        if (found != expected())
            throw Error(to_text("protocol: message '", found, "' came, expected ", quoted(expected())));
        if (++index_ < due_.front().count) return;
        index_ = 0;
        due_.pop_front();
    }

    /// Throws Error when messages are still owed.
    void finish() const {
        if (!has_header_) throw Error("protocol: the loader ended before it sent the header");
        if (!due_.empty()) throw Error(to_text("protocol: the loader ended, expected ", quoted(expected())));
    }

private:
    /// Messages of one type that are still owed.
    struct Due {
        std::string (*name)(std::uint64_t index);
        std::uint64_t count;
    };

    void begin(const Message& message) {
        const auto* header = std::get_if<ModelHeader>(&message);
        if (!header) throw Error("protocol: the first message must be the header");
        has_header_ = true;
        for_each_message_type([&]<class M>() {
            if (const std::uint64_t count = message_count<M>(*header))
                due_.push_back({[](std::uint64_t index) { return message_name(Key<M>{index}); }, count});
        });
    }

    std::string expected() const { return due_.empty() ? std::string() : due_.front().name(index_); }
    static std::string quoted(const std::string& name) { return name.empty() ? "the end" : "'" + name + "'"; }

    bool has_header_ = false;
    std::deque<Due> due_;
    std::uint64_t index_ = 0;  // of the first of these
};

}  // namespace crossdock
