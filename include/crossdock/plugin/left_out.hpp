// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "crossdock/core/dtype.hpp"
#include "crossdock/plugin/saver_context.hpp"
#include "crossdock/plugin/storage.hpp"
#include "crossdock/protocol/message_list.hpp"

// What a plugin may leave out is detected, and what it has must be right: a member of the name that cannot be used as
// the concepts say is an error, not a member that is passed over.

namespace crossdock::detail {

template <class F>
concept MemberFunction = std::is_member_function_pointer_v<F>;

// Whether a plugin has a member function of a name, right or wrong. Overloads are seen where one of them is right.

template <class P>
concept HasNotices = requires(P& plugin) {
    plugin.notices();
}
|| requires { requires MemberFunction<decltype(&P::notices)>; };
template <class L>
concept HasStorage = requires(L& loader) {
    loader.storage();
}
|| requires { requires MemberFunction<decltype(&L::storage)>; };
template <class L>
concept HasWillCast = requires(L& loader, DType dtype) {
    loader.will_cast(dtype);
}
|| requires { requires MemberFunction<decltype(&L::will_cast)>; };
template <class L>
concept LoaderHasBegin = requires(L& loader) {
    loader.begin();
}
|| requires { requires MemberFunction<decltype(&L::begin)>; };
template <class S>
concept SaverHasBegin = requires(S& saver, const SaverContext& context) {
    saver.begin(context);
}
|| requires { requires MemberFunction<decltype(&S::begin)>; };
/// One function template for all messages.
template <class L>
concept HasLoad = requires(L& loader, std::uint64_t index) {
    loader.template load<Embeddings>(index);
    loader.template load<TransformerLayer>(index);
};

/// All that can be left out, as it should be.
struct LeftOut {
    Embeddings embeddings();
    TransformerLayer layer(std::uint64_t);
    template <class M>
    M load(std::uint64_t);
    void will_cast(DType);
    void begin();
    void begin(const SaverContext&);
    Storage storage();
    std::vector<std::string> notices();
};

/// Of whom a member is required: of the plugin, or where it leaves that out, of LeftOut. Errors then name the member.
template <class P, bool has>
using IfThere = std::conditional_t<has, P, LeftOut>;

template <class P>
concept RightNotices = requires(IfThere<P, HasNotices<P>>& plugin) {
    { plugin.notices() } -> std::convertible_to<std::vector<std::string>>;
};
template <class L>
concept RightStorage = requires(IfThere<L, HasStorage<L>>& loader) {
    { loader.storage() } -> std::convertible_to<Storage>;
};
template <class L>
concept RightWillCast = requires(IfThere<L, HasWillCast<L>>& loader, DType dtype) {
    loader.will_cast(dtype);
};
template <class L>
concept RightLoaderBegin = requires(IfThere<L, LoaderHasBegin<L>>& loader) {
    loader.begin();
};
template <class S>
concept RightSaverBegin = requires(IfThere<S, SaverHasBegin<S>>& saver, const SaverContext& context) {
    saver.begin(context);
};
template <class L>
concept RightLoad = requires(IfThere<L, HasLoad<L>>& loader, std::uint64_t index) {
    { loader.template load<Embeddings>(index) } -> std::convertible_to<Embeddings>;
    { loader.template load<TransformerLayer>(index) } -> std::convertible_to<TransformerLayer>;
};
/// Who has no load<M>() has these.
template <class L>
concept RightNamedLoads = requires(IfThere<L, !HasLoad<L>>& loader, std::uint64_t index) {
    { loader.embeddings() } -> std::convertible_to<Embeddings>;
    { loader.layer(index) } -> std::convertible_to<TransformerLayer>;
};

template <class S, class M>
concept Writes = requires(S& saver, const M& message) {
    saver.write(message);
};

/// Whether a saver takes such messages, but not as they are handed over: only those that it may change.
template <class S, class M>
concept WritesOther = !Writes<S, M> && (
                                           requires(S & saver, M& message) { saver.write(message); } ||
                                           requires(S & saver, M&& message) { saver.write(std::move(message)); });

/// Whether a loader's function for such messages returns something else.
template <class L, class M>
concept LoadsOther = requires(L& loader) {
    named(Key<M>{}, loader);
}
&&!requires(L & loader) {
    { named(Key<M>{}, loader) } -> std::convertible_to<M>;
};

/// A message, if something is wrong.
template <bool is_wrong, class M>
struct Wrong : std::bool_constant<is_wrong> {
    using Message = M;
};
using NoMessage = Wrong<true, void>;

/// The first type of message that a plugin has wrongly; void where there is none.
template <class P, class Messages = Message>
struct FirstWrong;
template <class P, class... M>
struct FirstWrong<P, std::variant<ModelHeader, M...>> {
    using Loaded = typename std::disjunction<Wrong<LoadsOther<P, M>, M>..., NoMessage>::Message;
    using Written = typename std::disjunction<Wrong<WritesOther<P, M>, M>..., NoMessage>::Message;
};

/// No function for a message returns something else.
template <class FirstWrong>
concept LoadsMessagesOfItsNames = std::same_as<FirstWrong, void>;

/// No write() wants to change its message.
template <class FirstWrong>
concept WritesMessagesByConstReference = std::same_as<FirstWrong, void>;

}  // namespace crossdock::detail
