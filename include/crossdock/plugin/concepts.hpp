// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>

#include "crossdock/plugin/left_out.hpp"
#include "crossdock/plugin/saver_context.hpp"
#include "crossdock/plugin/storage.hpp"
#include "crossdock/protocol/message_list.hpp"

namespace crossdock {

namespace detail {

template <class L>
concept LoadsHeader = requires(L& loader) {
    { loader.header() } -> std::convertible_to<ModelHeader>;
};

template <class S>
concept WritesModel = requires(S& saver, const ModelHeader& header, const Embeddings& embeddings,
                               const TransformerLayer& layer, const FinalNorm& final_norm) {
    saver.write(header);
    saver.write(embeddings);
    saver.write(layer);
    saver.write(final_norm);
    saver.finish();
};

}  // namespace detail

/// A checkpoint seen as a canonical model, pulled message by message. Any class will do: there is nothing to derive
/// from. Tensors are recipes, so each call should be cheap and move no weights.
///
/// It has
///
///     ModelHeader header();
///     Embeddings embeddings();
///     TransformerLayer layer(std::uint64_t index);
///
/// or in place of the last two, and of all below, `template <class M> M load(std::uint64_t index)`. It may have
///
///     FinalNorm final_norm();               // asked for where header() says that the model has one
///     OutputLayer output_layer();           // unless header() says that it is tied
///     BertPooler pooler();                  // and so on, see protocol/message_list.hpp
///     void will_cast(DType);                // before begin(): whoever asks will cast floating tensors to this type
///     void begin();                         // whoever means to send the whole model asks for it
///     Storage storage();                    // how it is stored, from headers alone; at any time
///     std::vector<TensorParts> parts(const WantedPlace&);  // what tensors are made of, of those that are wanted; as storage()
///     std::vector<std::string> notices();   // what the user should know although nothing is wrong; when all was sent
///
/// Its constructor opens and checks the checkpoint. begin() throws Error when the checkpoint holds tensors that no
/// message carries, since they would be lost, or parts of one tensor that differ in their type, unless they will be
/// cast. Then header() comes first and the messages that it implies follow in protocol order; inspect() asks without
/// begin(), and may ask again; so may convert() where it reads the target back.
///
/// Calls come one at a time, in convert() from a thread of its own. The tensors' sources must live as long as the
/// tensors: these share what they read from, so a loader may be gone before they are evaluated. They are evaluated on
/// many threads. Everything may throw Error (any exception ends the run).
template <class L>
concept Loader = detail::LoadsHeader<L> && detail::RightNamedLoads<L> && detail::RightLoad<L> &&
    detail::RightWillCast<L> && detail::RightLoaderBegin<L> && detail::RightStorage<L> && detail::RightParts<L> &&
    detail::RightNotices<L> && detail::LoadsMessagesOfItsNames<typename detail::FirstWrong<L>::Loaded>;

/// Receives the messages of one model in protocol order and writes a checkpoint. Any class will do: there is nothing to
/// derive from.
///
/// It has
///
///     void write(const ModelHeader&);
///     void write(const Embeddings&);
///     void write(const TransformerLayer&);
///     void write(const FinalNorm&);
///     void finish();
///
/// where `write` may as well be one template. It may have
///
///     void write(const OutputLayer&);       // and so on; without it, a model with such a message is refused by name
///     void begin(const SaverContext&);      // first: what the conversion lends
///     std::vector<std::string> notices();   // what the user should know about the result; after finish()
///     static constexpr bool works_in_ranks = true;  // ranks of SaverContext::world may write one target together
///     static constexpr bool plans = true;           // heeds SaverContext::staging, where nothing is to be written
///
/// write(const ModelHeader&) throws Error naming the property when the target cannot express the model; nothing is
/// written then. Any write() may return before the bytes have moved; finish() returns when the checkpoint is complete
/// and visible. A saver that is destroyed without finish(), or whose finish() threw, leaves nothing behind.
/// Where there is a SaverContext::before_commit, finish() calls it when all is written and not yet visible.
///
/// Calls come one at a time, from the thread that called convert(). What the context lends may be used until convert()
/// returns or throws; by then, none of its threads writes to a slot of the saver's any more.
template <class S>
concept Saver = detail::WritesModel<S> && detail::RightSaverBegin<S> && detail::RightNotices<S> &&
    detail::WritesMessagesByConstReference<typename detail::FirstWrong<S>::Written>;

}  // namespace crossdock
