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

// Whether a plugin has a member function of a name, right or wrong. Overloads are seen where one of them is right.

template <class P>
concept HasNotices = std::is_member_function_pointer_v<decltype(&P::notices)> || requires(P& plugin) {
    plugin.notices();
};
template <class L>
concept HasStorage = std::is_member_function_pointer_v<decltype(&L::storage)> || requires(L& loader) {
    loader.storage();
};
template <class L>
concept HasParts = std::is_member_function_pointer_v<decltype(&L::parts)> ||
    requires(L& loader, const WantedPlace& wanted) {
    loader.parts(wanted);
};
template <class L>
concept HasWillCast = std::is_member_function_pointer_v<decltype(&L::will_cast)> || requires(L& loader, DType dtype) {
    loader.will_cast(dtype);
};
template <class L>
concept LoaderHasBegin = std::is_member_function_pointer_v<decltype(&L::begin)> || requires(L& loader) {
    loader.begin();
};
template <class S>
concept SaverHasBegin = std::is_member_function_pointer_v<decltype(&S::begin)> ||
    requires(S& saver, const SaverContext& context) {
    saver.begin(context);
};

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
    std::vector<TensorParts> parts(const WantedPlace&);
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
concept RightParts = requires(IfThere<L, HasParts<L>>& loader, const WantedPlace& wanted) {
    { loader.parts(wanted) } -> std::convertible_to<std::vector<TensorParts>>;
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

/// Whether a saver takes a message that is passed as `M`: const FinalNorm&, FinalNorm& or FinalNorm.
template <class S, class M>
concept Takes = requires(S& saver, M&& message) {
    saver.write(std::forward<M>(message));
};
template <class S, class M>
concept Writes = Takes<S, const M&>;
template <class S, class M>
concept WritesOther = !Writes<S, M> && (Takes<S, M&> || Takes<S, M>);

/// Whether a loader has a function for such messages, and whether that returns them.
template <class L, class M>
concept HasNamed = requires(L& loader) {
    named(Key<M>{}, loader);
};
template <class L, class M>
concept ReturnsNamed = requires(L& loader) {
    { named(Key<M>{}, loader) } -> std::convertible_to<M>;
};
template <class L, class M>
concept LoadsOther = HasNamed<L, M> && !ReturnsNamed<L, M>;

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
