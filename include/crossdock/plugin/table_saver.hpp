// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "crossdock/container/staged_directory.hpp"
#include "crossdock/container/tensor_writer.hpp"
#include "crossdock/container/transfer.hpp"
#include "crossdock/core/join_lists.hpp"
#include "crossdock/family/apply_table.hpp"
#include "crossdock/plugin/companions.hpp"
#include "crossdock/plugin/header_overrides.hpp"
#include "crossdock/plugin/saver_context.hpp"
#include "crossdock/plugin/sidecar.hpp"
#include "crossdock/plugin/table_loader.hpp"

namespace crossdock {

/// A checkpoint being written: where each message goes, and the files of each stage's tensor-parallel ranks.
struct TargetCheckpoint {
    ModelHeader header;                  ///< vocab_rows as it will be stored
    const TensorTable* table = nullptr;  ///< lives as long as the saver
    std::size_t ranks = 1;
    std::vector<LayerPlace> layers{};
    NameScope first{}, last{};
    std::vector<std::vector<std::unique_ptr<TensorWriter>>> stages{};  ///< [stage][rank]
};

/// Throws Error when `ranks` tensor-parallel ranks cannot share the model.
inline void require_divisible(const ModelHeader& header, std::uint64_t ranks, std::string_view option) {
    const auto check = [&](std::uint64_t value, std::string_view name) {
        if (value % ranks != 0)
            throw Error(to_text("--", option, " ", ranks, " does not divide the model's ", value, " ", name,
                                "; choose a divisor"));
    };
    check(header.attention.num_attention_heads, "attention heads");
    check(header.attention.num_query_groups, "key/value heads");
    check(header.mlp.ffn_hidden_size, "MLP rows (ffn_hidden_size)");
    check(header.vocab_rows, "vocabulary rows");
}

/// Throws Error when a directory that is to be overwritten holds something else than a checkpoint.
inline void require_checkpoint(const std::filesystem::path& directory) {
    if (!std::filesystem::is_directory(directory)) return;  // StagedDirectory says what it thinks of that
    if (std::filesystem::is_empty(directory)) return;
    constexpr std::array marks{"config.json", "params.json", "crossdock.json", "latest_checkpointed_iteration.txt"};
    if (std::none_of(marks.begin(), marks.end(), [&](const char* m) { return std::filesystem::exists(directory / m); }))
        throw Error(to_text(directory.string(), ": does not look like a checkpoint (no ", joined_list(marks),
                            "), so it is not overwritten; remove it yourself or choose another target"));
}

/// Writes any checkpoint that a table describes, into a staging directory that becomes the target in finish().
class TableSaver {
public:
    TableSaver(std::filesystem::path save_dir, bool overwrite, HeaderOverrides overrides = {})
        : save_dir_(std::move(save_dir)),
          overwrite_(overwrite),
          overrides_(std::move(overrides)) {}
    virtual ~TableSaver() = default;

    void begin(const SaverContext& context) { context_.emplace(context); }

    void write(const ModelHeader& header) {
        if (save_dir_.empty()) throw UsageError("save_dir is missing: where to save");
        if (!header.origin.directory.empty()) require_separate(header.origin.directory, save_dir_);
        const ModelHeader stated = with_overrides(header);
        require_expressed(stated);
        prepare(stated);
        if (overwrite_) require_checkpoint(save_dir_);
        staged_.emplace(save_dir_, overwrite_);
        target_ = open(staged_->path());
    }
    void write(const Embeddings& message) {
        require_header();
        save(message, 0, target_.first);
        const bool needs_copy = target_.stages.size() > 1 || target_.table->always_unties;
        if (target_.header.tied_embeddings && needs_copy && message.word) save_tied_copy(*message.word);
    }
    void write(const TransformerLayer& message) {
        require_header();
        if (message.index >= target_.layers.size())
            throw Error(
                to_text("message '", message_name(message), "': the target has ", target_.layers.size(), " layers"));
        const LayerPlace& place = target_.layers[message.index];
        save(message, place.stage, place.scope);
    }
    template <class M>
    void write(const M& message) {
        require_header();
        save(message, target_.stages.size() - 1, target_.last);
    }

    void finish() {
        require_header();
        context().transfers.wait();
        close(target_, staged_->path());
        for (auto& stage : target_.stages)
            for (auto& writer : stage) writer->finish();
        copy_companions(target_.header, staged_->path());
        staged_->commit();
    }

    std::vector<std::string> notices() const { return staged_ ? join_lists(staged_->notices(), notices_) : notices_; }

protected:
    /// Checks that the target can express the model and decides how it is laid out; nothing is written before.
    virtual void prepare(const ModelHeader& header) = 0;
    /// Opens the files in `directory`.
    virtual TargetCheckpoint open(const std::filesystem::path& directory) = 0;
    /// Adds what stands beside the tensors; their files are finished after it.
    virtual void close(TargetCheckpoint& target, const std::filesystem::path& directory) = 0;

    /// Whether the target states what the header has no field for (ModelHeader::unexpressed) as its source does.
    virtual bool expresses(const ModelHeader&, const std::string&) const { return false; }

    void notice(std::string line) { notices_.push_back(std::move(line)); }

private:
    /// The header as the user has it. Throws Error where the tensors that are sent would not fit it any more.
    ModelHeader with_overrides(ModelHeader header) const {
        const auto positions = header.max_position_embeddings;
        apply_overrides(overrides_, header);
        if (header.positions == PositionKind::learned && header.max_position_embeddings != positions)
            throw Error(to_text("--max_position_embeddings ", header.max_position_embeddings.value_or(0),
                                " contradicts the model's table of ", positions.value_or(0), " positions"));
        return header;
    }

    /// Throws Error naming what the source states and the target cannot: the same tensors would be another model.
    void require_expressed(const ModelHeader& header) const {
        const bool may_ignore = !header.origin.format.empty();  // our own loaders have the option
        for (const auto& [name, value] : header.origin.unexpressed)
            if (!expresses(header, name))
                throw Error(to_text("the source states ", name, " ", value, ", which the target cannot express",
                                    may_ignore ? to_text("; to convert as if it were not stated, give --ignore ", name)
                                               : std::string()));
    }

    void require_header() const {
        if (!target_.table) throw Error("the saver is given a message before the header");
    }

    template <class M>
    void save(M message, std::size_t stage, const NameScope& scope) {
        for (const auto& field : tensor_fields<M>)
            if (auto& tensor = message.*field.tensor; tensor && field.vocabulary)
                tensor = with_vocab_rows(*tensor, target_.header.vocab_rows);
        scatter(*target_.table, message, target_.ranks, scope, target_.header,
                [&](std::vector<StoredTensor> group) { submit(stage, std::move(group)); });
    }

    const SaverContext& context() const {
        if (!context_) throw Error("the saver is given tensors before begin()");
        return *context_;
    }

    /// Stages do not share memory, so a tied model's last one has a copy of the embeddings to use as its head.
    void save_tied_copy(const Tensor& embeddings) {
        const Tensor rows = with_vocab_rows(embeddings, target_.header.vocab_rows);
        std::vector<StoredTensor> group;
        for (std::size_t rank = 0; rank < target_.ranks; ++rank)
            group.push_back(
                {rank, target_.last.name(target_.table->tied_copy), take_shard(rows, 0, rank, target_.ranks)});
        submit(target_.stages.size() - 1, std::move(group));
    }

    void submit(std::size_t stage, std::vector<StoredTensor> group) {
        std::vector<Transfer> moved;
        std::uint64_t bytes = 0;
        for (StoredTensor& stored : group) {
            const Tensor& tensor = stored.tensor;
            auto slot = target_.stages[stage][stored.rank]->add(stored.name, tensor.dtype(), tensor.shape());
            moved.push_back({tensor, std::move(slot), stored.name});
            bytes += tensor.byte_count();
        }
        if (context().planned) context().planned(bytes);
        context().transfers.submit(std::move(moved));
    }

    std::filesystem::path save_dir_;
    bool overwrite_;
    HeaderOverrides overrides_;
    std::optional<SaverContext> context_;
    std::optional<StagedDirectory> staged_;
    TargetCheckpoint target_;
    std::vector<std::string> notices_;
};

}  // namespace crossdock
