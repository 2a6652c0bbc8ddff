// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <tuple>
#include <type_traits>
#include <variant>

#include "crossdock/core/text.hpp"
#include "crossdock/protocol/fields.hpp"
#include "crossdock/protocol/messages.hpp"
#include "crossdock/protocol/model_header.hpp"

namespace crossdock {

namespace detail {

template <class... M>
struct MessageTypes {
    using Variant = std::variant<ModelHeader, M...>;
    /// Part<M> of each message type M.
    template <template <class> class Part>
    using Tuple = std::tuple<Part<M>...>;

    /// Calls visit.operator()<M>() for each M until one returns false.
    template <class Visit>
    static bool all_of(Visit&& visit) {
        return (visit.template operator()<M>() && ...);
    }
};

/// The messages after the header, in the order in which they are sent. A new one is its struct (messages.hpp), its
/// tensors (fields.hpp) and its name here.
using MessageList =
    MessageTypes<Embeddings, TransformerLayer, FinalNorm, OutputLayer, BertPooler, BertLmHead, BertBinaryHead>;

}  // namespace detail

/// The unit of the protocol: the header, then the messages that it implies, in the order of the alternatives.
using Message = detail::MessageList::Variant;

/// One message of a model: the only one of its type, or number `index` of those.
template <class M>
struct Key {
    std::uint64_t index = 0;
};

/// Whether a type of message comes once for each of something, such as a layer.
template <class M>
inline constexpr bool comes_in_numbers = requires(const ModelHeader& header) {
    M::count(header);
};

/// How many messages of a type a model with this header has.
template <class M>
std::uint64_t message_count(const ModelHeader& header) {
    if constexpr (comes_in_numbers<M>) {
        return M::count(header);
    } else {
        const auto& fields = tensor_fields<M>;
        return std::any_of(fields.begin(), fields.end(),
                           [&](const auto& field) { return field.expected(header, 0).has_value(); });
    }
}

/// Calls `visit.operator()<M>()` for each type of message that carries tensors, in protocol order.
template <class Visit>
void for_each_message_type(Visit&& visit) {
    detail::MessageList::all_of([&]<class M>() {
        visit.template operator()<M>();
        return true;
    });
}

/// Calls visit(Key<M>) for each message of a model with this header, in protocol order. Where visit returns a bool,
/// false is the end.
template <class Visit>
void for_each_message(const ModelHeader& header, Visit&& visit) {
    detail::MessageList::all_of([&]<class M>() {
        const std::uint64_t count = message_count<M>(header);
        for (std::uint64_t index = 0; index < count; ++index)
            if constexpr (std::is_void_v<decltype(visit(Key<M>{index}))>)
                visit(Key<M>{index});
            else if (!visit(Key<M>{index}))
                return false;
        return true;
    });
}

namespace detail {

// The member functions that loaders have for messages.
template <class L>
auto named(Key<Embeddings>, L& from) -> decltype(from.embeddings()) {
    return from.embeddings();
}
template <class L>
auto named(Key<TransformerLayer> key, L& from) -> decltype(from.layer(key.index)) {
    return from.layer(key.index);
}
template <class L>
auto named(Key<FinalNorm>, L& from) -> decltype(from.final_norm()) {
    return from.final_norm();
}
template <class L>
auto named(Key<OutputLayer>, L& from) -> decltype(from.output_layer()) {
    return from.output_layer();
}
template <class L>
auto named(Key<BertPooler>, L& from) -> decltype(from.pooler()) {
    return from.pooler();
}
template <class L>
auto named(Key<BertLmHead>, L& from) -> decltype(from.bert_lm_head()) {
    return from.bert_lm_head();
}
template <class L>
auto named(Key<BertBinaryHead>, L& from) -> decltype(from.bert_binary_head()) {
    return from.bert_binary_head();
}

}  // namespace detail

/// Gets a message from any kind of loader: by load<M>(index), by the member function named after the message, or, where
/// it has neither, empty.
template <class M, class L>
M pull(Key<M> key, L& loader) {
    if constexpr (requires { loader.template load<M>(key.index); })
        return loader.template load<M>(key.index);
    else if constexpr (requires { detail::named(key, loader); })
        return detail::named(key, loader);
    else
        return M{};
}

/// The key of a message that is at hand.
template <class M>
Key<M> key_of(const M& message) {
    if constexpr (requires { message.index; })
        return {message.index};
    else
        return {};
}

/// "transformer layer 3", as the reference names messages in its log.
template <class M>
std::string message_name(Key<M> key) {
    if constexpr (requires(const M& message) { message.index; })
        return to_text(M::name, " ", key.index);
    else
        return std::string(M::name);
}
template <class M>
std::string message_name(const M& message) {
    return message_name(key_of(message));
}

}  // namespace crossdock
