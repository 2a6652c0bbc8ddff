// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "crossdock/core/in_parallel.hpp"
#include "crossdock/core/same_bytes.hpp"
#include "crossdock/family/apply_table.hpp"
#include "crossdock/plugin/chunks_of.hpp"
#include "crossdock/plugin/placement.hpp"
#include "crossdock/plugin/storage.hpp"

namespace crossdock {

/// A stored tensor that another repeats; only it is sent.
struct RepeatedTensor {
    NamedTensor first, again;
};

/// A checkpoint whose files are open: the header that describes it as stored, and the tensors of each stage.
struct OpenCheckpoint {
    ModelHeader header;                  ///< vocab_rows as stored
    const TensorTable* table = nullptr;  ///< lives as long as the program
    std::vector<StageTensors> stages{};
    std::vector<LayerPlace> layers{};
    NameScope first{}, last{};  ///< of what comes before the layers and after them
    std::string description{};  ///< the file that says what the model is, for errors
    std::vector<std::string> notices{};
    std::vector<std::string> mixed{};                 ///< which parts of one tensor differ in their type
    std::optional<DistributedStorage> distributed{};  ///< its tensors are then those of one rank that is not there
    std::vector<RepeatedTensor> repeated{};           ///< for MTP layers: embeddings, heads
    std::vector<std::string> left_out{};              ///< how the names of tensors begin that the user does not want
    std::vector<SourceTensor> beside{};               ///< in the same files, and not the model's: an optimizer's
    /// A tied model whose second copy differs is read as an untied one, as transformers does since release 5.
    bool keeps_differing_head = false;
};

/// Sends any checkpoint that a table describes. The constructor goes through all tensors once, without content: what is
/// missing or of the wrong shape is an Error before anything is sent, and what is left over is one in begin().
class TableLoader {
public:
    explicit TableLoader(OpenCheckpoint checkpoint)
        : checkpoint_(std::move(checkpoint)),
          sizes_(describe_sizes(checkpoint_.header, checkpoint_.description)),
          mixed_(std::move(checkpoint_.mixed)) {
        check_vocabulary();
        check_all_tensors();
    }

    void will_cast(DType) { will_cast_ = true; }

    void begin() {
        if (!mixed_.empty() && !will_cast_)
            throw Error(to_text(mixed_.front(), ": give the option dtype to cast them to one type"));
        check_unused();
        check_replicas();
        check_tied_copy();
        check_repeated();
    }

    ModelHeader header() const { return checkpoint_.header; }

    /// The message of type M; number `index` of those that come once for each layer.
    template <class M>
    M load(std::uint64_t index = 0) {
        const Key<M> key{index};
        const LayerPlace place =
            in_context(checkpoint_.description, [&] { return place_of(key, checkpoint_, checkpoint_.stages.size()); });
        std::vector<std::string> mixed;
        M message = gather(checkpoint_.table->rows<M>(), key, checkpoint_.stages[place.stage], place.scope,
                           checkpoint_.header, sizes_, &mixed);
        if (mixed_.empty()) mixed_ = std::move(mixed);
        return message;
    }

    Storage storage() const {
        Storage storage{
            .ranks = {}, .unused = unused(), .tensors = source_tensors(), .distributed = checkpoint_.distributed};
        if (storage.distributed) return storage;
        std::vector<std::uint64_t> layers(checkpoint_.stages.size());
        for (const LayerPlace& place : checkpoint_.layers) ++layers[place.stage];
        for (std::size_t stage = 0; stage < checkpoint_.stages.size(); ++stage)
            for (std::size_t rank = 0; rank < checkpoint_.stages[stage].size(); ++rank) {
                const RankCoordinates& place = checkpoint_.stages[stage].places()[rank];
                StoredRank& stored = storage.ranks.emplace_back(
                    StoredRank{.rank = place.tensor, .stage = stage, .expert = place.expert, .layers = layers[stage]});
                for (const NamedTensor& entry : checkpoint_.stages[stage].rank(rank).entries()) {
                    ++stored.tensors;
                    stored.bytes += entry.tensor.byte_count();
                }
            }
        return storage;
    }
    std::vector<TensorParts> parts(const WantedPlace& wanted) const {
        std::vector<TensorParts> all;
        for_each_message(checkpoint_.header, [&]<class M>(Key<M> key) {
            for (const auto& field : tensor_fields<M>)
                if (field.expected(checkpoint_.header, key.index)) {
                    std::string place = to_text(message_name(key), " / ", field.name);
                    if (!wanted || wanted(place)) all.push_back({std::move(place), parts_of(key, field.tensor)});
                }
        });
        return all;
    }
    std::vector<std::string> notices() const {
        std::vector<std::string> lines = checkpoint_.notices;
        if (!mixed_.empty()) lines.push_back(to_text(mixed_.front(), ", read in a type that holds them all"));
        return lines;
    }

private:
    template <class M>
    std::vector<TensorPart> parts_of(Key<M> key, std::optional<Tensor> M::*field) const {
        const LayerPlace place = place_of(key, checkpoint_, checkpoint_.stages.size());
        const StageTensors& stage = checkpoint_.stages[place.stage];
        std::vector<TensorPart> parts;
        std::set<const Source*> met;
        for_each_stored(checkpoint_.table->rows<M>(), key, field, stage, place.scope, checkpoint_.header,
                        [&](std::size_t rank, const NamedTensor& entry) {
                            if (checkpoint_.distributed) return add_chunks(entry.tensor, met, parts);
                            RankCoordinates at = stage.places()[rank];
                            at.pipeline = place.stage;
                            parts.push_back({.name = entry.name,
                                             .file = entry.file.str(),
                                             .rank = at,
                                             .dtype = entry.tensor.dtype(),
                                             .shape = entry.tensor.shape()});
                        });
        return parts;
    }

    void check_vocabulary() const {
        const ModelHeader& header = checkpoint_.header;
        if (!header.true_vocab_size) return;
        if (*header.true_vocab_size == 0)
            throw Error(to_text(checkpoint_.description, ": the vocabulary is said to have 0 words"));
        if (*header.true_vocab_size > header.vocab_rows)
            throw Error(to_text(checkpoint_.description, ": the vocabulary is said to have ", *header.true_vocab_size,
                                " words, the word embeddings have only ", header.vocab_rows, " rows"));
    }

    void check_all_tensors() {
        for_each_message(checkpoint_.header, [this](auto key) { pull(key, *this); });
        take_tied_copy();
    }

    void take_tied_copy() {
        const std::string& name = checkpoint_.table->tied_copy;
        if (!checkpoint_.header.tied_embeddings || name.empty()) return;
        StageTensors& stage = checkpoint_.stages.back();
        std::map<std::uint64_t, Tensor> parts;  // of the tensor-parallel ranks; those with other experts repeat them
        for (std::size_t rank = 0; rank < stage.size(); ++rank)
            if (const NamedTensor* copy = stage.take(rank, checkpoint_.last.name(name)))
                parts.emplace(stage.places()[rank].tensor, copy->tensor);
        for (auto& part : parts) copies_.push_back(std::move(part.second));
    }

    std::vector<std::string> unused() const {
        std::vector<std::string> names;
        for (const StageTensors& stage : checkpoint_.stages)
            stage.for_each([&](const NamedTensor& entry, bool is_used) {
                if (use_of(entry, is_used) == TensorUse::unknown)
                    names.push_back(to_text("'", entry.name, "' (", entry.file, ")"));
            });
        return names;
    }

    TensorUse use_of(const NamedTensor& entry, bool is_used) const {
        if (is_left_out(entry)) return TensorUse::ignored;
        if (is_used) return TensorUse::used;
        return is_ignored(*checkpoint_.table, entry.name) ? TensorUse::ignored : TensorUse::unknown;
    }
    bool is_left_out(const NamedTensor& entry) const {
        return std::any_of(checkpoint_.left_out.begin(), checkpoint_.left_out.end(),
                           [&](const std::string& beginning) { return entry.name.starts_with(beginning); });
    }
    std::string why_ignored(const NamedTensor& entry) const {
        return is_left_out(entry) ? "of a layer that drop_mtp leaves out" : "a buffer, which the model's code computes";
    }

    std::vector<SourceTensor> source_tensors() const {
        std::size_t count = checkpoint_.beside.size();
        for (const StageTensors& stage : checkpoint_.stages)
            for (std::size_t rank = 0; rank < stage.size(); ++rank) count += stage.rank(rank).entries().size();
        std::vector<SourceTensor> all;
        all.reserve(count);
        for (const StageTensors& stage : checkpoint_.stages)
            stage.for_each([&](const NamedTensor& entry, bool is_used) {
                const TensorUse use = use_of(entry, is_used);
                all.push_back({.name = entry.name,
                               .file = entry.file,
                               .dtype = entry.tensor.dtype(),
                               .use = use,
                               .shape = entry.tensor.shape(),
                               .bytes = entry.tensor.byte_count(),
                               .why = use == TensorUse::ignored ? SharedText(why_ignored(entry)) : SharedText()});
            });
        all.insert(all.end(), checkpoint_.beside.begin(), checkpoint_.beside.end());
        return all;
    }

    void check_unused() const {
        constexpr std::size_t shown = 5;
        std::vector<std::string> names = unused();
        const std::size_t count = names.size();
        if (count == 0) return;
        names.resize(std::min(count, shown));
        throw Error(to_text(count, " tensors have no place in this model and would be lost: ", joined_list(names),
                            count > shown ? ", …" : "", "; ", sizes_));
    }

    /// What several ranks of a stage hold is the same on all, and one of them is sent.
    void check_replicas() {
        for (StageTensors& stage : checkpoint_.stages) {
            const std::vector<StageTensors::Replica>& replicas = stage.replicas();
            in_parallel(replicas.size(), [&](std::size_t number) { check_replica(stage, replicas[number]); });
        }
    }

    static void check_replica(const StageTensors& stage, const StageTensors::Replica& replica) {
        const NamedTensor* other = &stage.rank(replica.other).entries()[replica.tensor];
        const NamedTensor* first = stage.find(replica.first, other->name);
        if (!first || same_bytes(first->tensor, other->tensor)) return;
        const auto type_of = [](const NamedTensor& entry) { return dtype_name(entry.tensor.dtype()); };
        const bool is_cast = first->tensor.dtype() != other->tensor.dtype();
        throw Error(to_text("tensor '", first->name, "' differs between tensor-parallel ranks ",
                            stage.places()[replica.first], " and ", stage.places()[replica.other], " (", first->file,
                            ", ", other->file, "), which both hold all of it",
                            is_cast ? to_text(" and have it as ", type_of(*first), " and ", type_of(*other)) : "",
                            "; the files are of different checkpoints, or one is damaged"));
    }

    /// What MTP layers hold again is dropped, so it must be the same.
    void check_repeated() const {
        for (const auto& [first, again] : checkpoint_.repeated)
            if (!same_bytes(first.tensor, again.tensor))
                throw Error(to_text("tensor '", again.name, "' (", again.file, ") differs from '", first.name, "' (",
                                    first.file,
                                    "), which it should repeat, and no target has a place for both; to convert the "
                                    "model without the layers that predict further tokens, give the option drop_mtp"));
    }

    /// A tied model's second copy of its embeddings is dropped where it repeats them.
    void check_tied_copy() {
        if (copies_.empty()) return;
        const Embeddings message = load<Embeddings>();
        cast_to_common(copies_);
        const Tensor copy = concatenate(copies_, 0);
        copies_.clear();
        if (same_bytes(copy, *message.word)) return;
        const std::string differs = to_text("'", checkpoint_.table->tied_copy, "' differs from the word embeddings");
        if (checkpoint_.stages.size() > 1)
            throw Error(
                to_text(checkpoint_.description, ": ", differs,
                        " of the first stage, to which the model ties it; the files are of different checkpoints, "
                        "or one is damaged"));
        if (!checkpoint_.keeps_differing_head) {
            checkpoint_.notices.push_back(differs + ", to which the model ties it; the embeddings are used");
            return;
        }
        checkpoint_.header.tied_embeddings = false;
        load<OutputLayer>();
        checkpoint_.notices.push_back(differs +
                                      ", to which config.json ties it; it is kept and the model is untied, as "
                                      "transformers does since release 5");
    }

    OpenCheckpoint checkpoint_;
    std::string sizes_;  // what the expected shapes follow from, for errors
    std::vector<Tensor> copies_;
    std::vector<std::string> mixed_;  // the first parts of one tensor that differ in their type
    bool will_cast_ = false;
};

}  // namespace crossdock
