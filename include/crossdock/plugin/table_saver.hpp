// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "crossdock/container/access.hpp"
#include "crossdock/container/directory_tree.hpp"
#include "crossdock/container/journaled_transfers.hpp"
#include "crossdock/container/json_text.hpp"
#include "crossdock/container/output_path.hpp"
#include "crossdock/container/path_kind.hpp"
#include "crossdock/container/staged_directory.hpp"
#include "crossdock/container/target_path.hpp"
#include "crossdock/container/tensor_writer.hpp"
#include "crossdock/container/transfer.hpp"
#include "crossdock/core/fingerprint.hpp"
#include "crossdock/core/join_lists.hpp"
#include "crossdock/core/world.hpp"
#include "crossdock/family/apply_table.hpp"
#include "crossdock/family/header_json.hpp"
#include "crossdock/plugin/apply_overrides.hpp"
#include "crossdock/plugin/companions.hpp"
#include "crossdock/plugin/header_overrides.hpp"
#include "crossdock/plugin/placement.hpp"
#include "crossdock/plugin/saver_context.hpp"
#include "crossdock/plugin/sidecar.hpp"
#include "crossdock/protocol/message_bytes.hpp"

namespace crossdock {

/// A checkpoint being written: where each message goes, and the files of all ranks.
struct TargetCheckpoint {
    std::vector<LayerPlace> layers{};
    NameScope first{}, last{};                                           ///< before the layers, after them
    std::map<RankCoordinates, std::unique_ptr<TensorWriter>> writers{};  ///< of all ranks of all stages
};

/// Throws Error when `ranks` tensor-parallel ranks cannot share the model. Where `shares_groups`, several of them may
/// share a key/value head.
inline void require_divisible(const ModelHeader& header, std::uint64_t ranks, std::string_view option,
                              bool shares_groups = false) {
    const auto check = [&](std::uint64_t value, std::string_view name) {
        if (value % ranks != 0)
            throw Error(
                to_text(option, " ", ranks, " does not divide the model's ", value, " ", name, "; choose a divisor"));
    };
    const auto check_layer = [&](const Attention& attention, const Mlp& mlp) {
        check(attention.num_attention_heads, "attention heads");
        if (shares_groups && ranks % attention.num_query_groups == 0)
            check((attention.num_attention_heads + 2 * attention.num_query_groups) * attention.kv_channels,
                  "rows of queries, keys and values");
        else
            check(attention.num_query_groups, "key/value heads");
        check(mlp.ffn_hidden_size, "MLP rows (ffn_hidden_size)");
    };
    check_layer(header.attention, header.mlp);
    for (const auto& other : header.other_layers)
        check_layer(attention_of(header, other.first), mlp_of(header, other.first));
    check(header.vocab_rows, "vocabulary rows");
}

/// Throws Error when a directory that is to be overwritten holds something else than a checkpoint.
inline void require_checkpoint(const std::filesystem::path& directory) {
    if (!is_directory_at(directory)) return;  // StagedDirectory says what it thinks of that
    if (detail::names_in(directory).empty()) return;
    constexpr std::array marks{"config.json", "params.json", "crossdock.json", "latest_checkpointed_iteration.txt"};
    if (std::none_of(marks.begin(), marks.end(), [&](const char* m) { return is_anything_at(directory / m); }))
        throw Error(to_text(directory.string(), ": does not look like a checkpoint (no ", joined_list(marks),
                            "), so it is not overwritten; remove it yourself or choose another target"));
}

/// Writes any checkpoint that a table describes, into a staging directory that becomes the target in finish().
class TableSaver {
public:
    static constexpr bool works_in_ranks = true, plans = true;

    TableSaver(std::filesystem::path save_dir, bool overwrite, HeaderOverrides overrides = {})
        : save_dir_(std::move(save_dir)),
          overwrite_(overwrite),
          overrides_(std::move(overrides)) {}
    virtual ~TableSaver() = default;

    void begin(const SaverContext& context) { context_.emplace(context); }

    void write(const ModelHeader& header) {
        if (save_dir_.empty()) throw UsageError("save_dir is missing: where to save");
        if (!header.origin.directory.empty()) require_separate(header.origin.directory, save_dir_);
        header_ = with_overrides(header);
        require_expressed();
        prepare();
        if (overwrite_) require_checkpoint(save_dir_);
        require_same_header();
        Staging staging = context_ ? context_->staging : Staging();
        staging.access = access_of(header_.origin.directory);
        staged_.emplace(save_dir_, overwrite_, world(), std::move(staging));
        staged_->require_room(expected_model_bytes(header_, header_.params_dtype));
        keep_journal();
        target_ = open(staged_->output());
        for (const auto& writer : target_.writers) {
            if (writer.first.pipeline >= stages_.size()) stages_.resize(writer.first.pipeline + 1);
            stages_[writer.first.pipeline].push_back(writer.first);
        }
    }

    template <class M>
    void write(const M& message) {
        require_header();
        save(message);
        if constexpr (std::is_same_v<M, Embeddings>) {
            save_tied_copy(message);
            save_mtp_copy(message);
        }
    }

    void finish() {
        require_header();
        add_rest();
        transfers().wait();
        close(target_, staged_->output());
        for (const auto& writer : target_.writers) {
            if (context().stop.stop_requested()) throw Cancelled();
            writer.second->finish();
        }
        copy_companions(header_, staged_->output(), context().stop);
        if (context().before_commit && !context().staging.planned) {
            world().meet();  // all have written
            context().before_commit(staged_->path());
        }
        staged_->commit(context().stop);
    }

    std::vector<std::string> notices() const { return staged_ ? join_lists(staged_->notices(), notices_) : notices_; }

protected:
    /// Checks that the target can express the model of header_ and decides how it is laid out: adapts header_ to what
    /// will be stored, and fills table_. Nothing is written before.
    virtual void prepare() = 0;
    /// Opens the files in `directory`.
    virtual TargetCheckpoint open(const OutputPath& directory) = 0;
    /// Adds to the files what follows from the tensors' places alone, while their bytes are on their way.
    virtual void add_rest() {}
    /// Adds what stands beside the tensors; their files are finished after it.
    virtual void close(TargetCheckpoint& target, const OutputPath& directory) = 0;

    /// Whether the target states what the header has no field for (ModelHeader::unexpressed) as its source does.
    virtual bool expresses(const ModelHeader&, const std::string&) const { return false; }

    void notice(std::string line) { notices_.push_back(std::move(line)); }

    ModelHeader header_;  ///< as the user has it, and since prepare() as it is stored
    TensorTable table_;   ///< since prepare()

private:
    /// The header as the user has it. Throws Error where the tensors that are sent would not fit it any more.
    ModelHeader with_overrides(ModelHeader header) const {
        const auto positions = header.max_position_embeddings;
        apply_overrides(overrides_, header);
        if (header.positions == PositionKind::learned && header.max_position_embeddings != positions)
            throw Error(to_text("max_position_embeddings ", header.max_position_embeddings.value_or(0),
                                " contradicts the model's table of ", positions.value_or(0), " positions"));
        return header;
    }

    /// Throws Error naming what the source states and the target cannot: the same tensors would be another model.
    void require_expressed() const {
        for (const auto& [name, value] : header_.origin.unexpressed)
            if (!expresses(header_, name))
                throw Error(
                    to_text("the source states ", name, " ", value, ", which the target cannot express",
                            header_.origin.may_ignore
                                ? to_text("; to convert as if it were not stated, give the option ignore ", name)
                                : std::string()));
    }

    /// Ranks that see another source would write parts of another model.
    void require_same_header() const {
        World& world = this->world();
        if (!world.is_shared()) return;
        Fingerprint print;
        print.add(json_text(header_to_json(header_)));
        print.add(json_text(header_to_json(header_, training_fields)));
        for (const auto& companion : header_.origin.companions) print.add(companion.name);
        if (!world.is_same(print.value()))
            throw Error("the ranks do not see the same model in the source; do all of them see the same files?");
    }

    void require_header() const {
        if (stages_.empty()) throw Error("the saver is given a message before the header");
    }

    template <class M>
    void save(M message) {
        const LayerPlace place = in_context([&] { return to_text("message '", message_name(message), "'"); },
                                            [&] { return place_of(key_of(message), target_, stages_.size()); });
        for (const auto& field : tensor_fields<M>)
            if (auto& tensor = message.*field.tensor; tensor && field.vocabulary)
                tensor = with_vocab_rows(*tensor, header_.vocab_rows);
        scatter(table_.rows<M>(), message, stages_[place.stage], place.scope, header_,
                [&](std::vector<StoredTensor> group) { submit(std::move(group)); });
    }

    void keep_journal() {
        if (Journal* journal = staged_->journal(); journal && context_)
            journaled_.emplace(context().transfers, *journal, staged_->path(), context().written, context().stop);
    }

    /// Who moves the tensors.
    Transfers& transfers() { return journaled_ ? static_cast<Transfers&>(*journaled_) : context().transfers; }

    World& world() const { return context_ ? context_->world : World::alone(); }

    const SaverContext& context() const {
        if (!context_) throw Error("the saver is given tensors before begin()");
        return *context_;
    }

    /// Stages do not share memory, so a tied model's last one has a copy of the embeddings to use as its head.
    void save_tied_copy(const Embeddings& message) {
        const bool is_needed = stages_.size() > 1 || table_.always_unties;
        if (header_.tied_embeddings && is_needed) save_on_last(message, table_.tied_copy);
    }

    /// Layers that predict further tokens stand on the last stage, and need the embeddings there.
    void save_mtp_copy(const Embeddings& message) {
        if (header_.mtp_num_layers > 0 && stages_.size() > 1)
            save_on_last(message, row_of(table_, &Embeddings::word)->names[0]);
    }

    /// Writes the embeddings again, on the last stage, under this name.
    void save_on_last(const Embeddings& message, const std::string& pattern) {
        if (!message.word) return;
        const Tensor rows = with_vocab_rows(*message.word, header_.vocab_rows);
        const std::string name = target_.last.name(pattern);
        const GroupSizes sizes(stages_.back());
        std::vector<StoredTensor> group;
        for (const RankCoordinates& at : stages_.back())
            group.push_back({at, name, Cuts(Cut::rows).take(rows, at, sizes)});
        submit(std::move(group));
    }

    void submit(std::vector<StoredTensor> group) {
        std::vector<Transfer> moved;
        moved.reserve(group.size());
        std::uint64_t bytes = 0;
        for (StoredTensor& stored : group) {
            std::shared_ptr<TensorSlot> slot = slot_for(stored);
            if (!slot) continue;  // another rank has it for all
            bytes += stored.tensor.byte_count();
            moved.push_back({std::move(stored.tensor), std::move(slot), std::move(stored.name)});
        }
        if (context().planned) context().planned(bytes);
        transfers().submit(std::move(moved));
    }

    /// The tensor's place in its rank's file, which several layers share where they are stacked; null where another rank
    /// has it.
    std::shared_ptr<TensorSlot> slot_for(const StoredTensor& stored) {
        const Tensor& tensor = stored.tensor;
        TensorWriter& writer = *target_.writers.at(stored.at);
        if (!stored.element) return writer.add(stored.name, tensor.dtype(), tensor.shape());
        std::shared_ptr<TensorSlot>& whole = stacked_[{stored.at, stored.name}];
        if (!whole)
            whole = writer.add(stored.name, tensor.dtype(), stacked_shape(tensor.shape(), stored.element->count));
        if (!whole) return nullptr;
        return std::make_shared<PartOfSlot>(whole, stored.element->index * tensor.byte_count());
    }

    std::filesystem::path save_dir_;
    bool overwrite_;
    HeaderOverrides overrides_;
    std::optional<SaverContext> context_;
    std::optional<StagedDirectory> staged_;
    std::optional<JournaledTransfers> journaled_;
    TargetCheckpoint target_;
    std::vector<std::vector<RankCoordinates>> stages_;  // the ranks of each
    std::map<std::pair<RankCoordinates, std::string>, std::shared_ptr<TensorSlot>> stacked_;
    std::vector<std::string> notices_;
};

}  // namespace crossdock
