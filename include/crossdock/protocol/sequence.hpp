// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>

#include "crossdock/core/error.hpp"
#include "crossdock/core/text.hpp"
#include "crossdock/protocol/messages.hpp"

namespace crossdock {

/// Throws Error when a message lacks a tensor that the header asks for, holds one that it excludes, or has one of
/// another shape. The text names the message and the tensor.
template <class Message>
void check_message(const Message& message, const ModelHeader& header) {
    for (const auto& field : tensor_fields<Message>) {
        const std::optional<Tensor>& tensor = message.*field.tensor;
        const std::optional<Shape> expected = field.expected(header);
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
        for (const std::optional<Tensor>& tensor : {message.qkv_weight, message.qkv_bias})
            if (tensor && (tensor->shape().rank() == 0 || tensor->shape()[0] != detail::qkv_rows(header)))
                throw Error(to_text("message '", message_name(message), "': a qkv tensor has shape ", tensor->shape(),
                                    ", the header's heads have ", detail::qkv_rows(header), " rows"));
    }
}

/// The order of messages: header, embeddings, layers 0 … num_layers - 1, final norm, output layer, pooler, lm head,
/// binary head; those that the header excludes are left out. Feed it every message; it throws Error on the first that
/// is out of place.
class SequenceChecker {
public:
    void accept(const Message& message) {
        if (!header_) {
            const auto* header = std::get_if<ModelHeader>(&message);
            if (!header) throw Error("protocol: the first message must be the header");
            header_ = *header;
            advance(1);
            return;
        }
        const std::string found = std::visit([](const auto& m) { return message_name(m); }, message);
        if (found != expected())
            throw Error(to_text("protocol: message '", found, "' came, expected ", quoted(expected())));
        if (std::holds_alternative<TransformerLayer>(message) && ++next_layer_ < header_->num_layers) return;
        advance(step_ + 1);
    }

    /// Throws Error when messages are still owed.
    void finish() const {
        if (!header_) throw Error("protocol: the loader ended before it sent the header");
        if (step_ < std::variant_size_v<Message>)
            throw Error(to_text("protocol: the loader ended, expected ", quoted(expected())));
    }

private:
    static std::string quoted(const std::string& name) { return name.empty() ? "the end" : "'" + name + "'"; }

    /// Moves to alternative `step`, or to the next one that this model has.
    void advance(std::size_t step) {
        step_ = step;
        while (step_ < std::variant_size_v<Message> &&
               !present(std::make_index_sequence<std::variant_size_v<Message>>{}))
            ++step_;
    }

    template <std::size_t... I>
    bool present(std::index_sequence<I...>) const {
        return ((I == step_ && present_at<I>()) || ...);
    }

    template <std::size_t I>
    bool present_at() const {
        using M = std::variant_alternative_t<I, Message>;
        if constexpr (std::is_same_v<M, ModelHeader>)
            return false;
        else if constexpr (std::is_same_v<M, TransformerLayer>)
            return header_->num_layers > 0;
        else
            return has_message<M>(*header_);
    }

    std::string expected() const { return expected_name(std::make_index_sequence<std::variant_size_v<Message>>{}); }

    template <std::size_t... I>
    std::string expected_name(std::index_sequence<I...>) const {
        std::string name;
        ((I == step_ ? void(name = name_at<I>()) : void()), ...);
        return name;
    }

    template <std::size_t I>
    std::string name_at() const {
        using M = std::variant_alternative_t<I, Message>;
        if constexpr (std::is_same_v<M, TransformerLayer>)
            return to_text(M::name, " ", next_layer_);
        else
            return std::string(M::name);
    }

    std::optional<ModelHeader> header_;
    std::size_t step_ = 0;
    std::uint64_t next_layer_ = 0;
};

}  // namespace crossdock
