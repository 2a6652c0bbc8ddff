// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/container/tensor_dict.hpp"
#include "crossdock/family/tensor_table.hpp"
#include "crossdock/layout/tensor_parallel.hpp"

namespace crossdock {

/// The tensors of one pipeline stage: a dictionary for each tensor-parallel rank, and which were asked for.
class StageTensors {
public:
    explicit StageTensors(std::vector<TensorDict> ranks) : ranks_(std::move(ranks)) {
        for (const TensorDict& rank : ranks_) used_.emplace_back(rank.entries().size(), false);
    }

    std::size_t size() const noexcept { return ranks_.size(); }
    const TensorDict& rank(std::size_t index) const { return ranks_[index]; }

    /// Null when the rank has no such tensor. "/" and "." are one: nested dictionaries are read flat.
    const NamedTensor* find(std::size_t rank, std::string name) const {
        std::replace(name.begin(), name.end(), '/', '.');
        return ranks_[rank].find(name);
    }

    /// As find(); the tensor then counts as used.
    const NamedTensor* take(std::size_t rank, std::string name) {
        const NamedTensor* entry = find(rank, std::move(name));
        if (entry) used_[rank][static_cast<std::size_t>(entry - ranks_[rank].entries().data())] = true;
        return entry;
    }

    /// Remembers that all ranks hold all of a tensor.
    void note_replicas(std::string name) {
        if (size() > 1) replicated_.insert(std::move(name));
    }
    const std::set<std::string>& replicated() const noexcept { return replicated_; }

    /// What nobody asked for and is not a buffer; a saver would lose it in silence.
    std::vector<const NamedTensor*> unused(const std::vector<std::string_view>& ignored_endings) const {
        std::vector<const NamedTensor*> left;
        for (std::size_t rank = 0; rank < ranks_.size(); ++rank)
            for (std::size_t i = 0; i < used_[rank].size(); ++i) {
                const NamedTensor& entry = ranks_[rank].entries()[i];
                const bool ignored = std::any_of(ignored_endings.begin(), ignored_endings.end(),
                                                 [&](std::string_view ending) { return entry.name.ends_with(ending); });
                if (!used_[rank][i] && !ignored) left.push_back(&entry);
            }
        return left;
    }

private:
    std::vector<TensorDict> ranks_;
    std::vector<std::vector<bool>> used_;
    std::set<std::string> replicated_;
};

/// Where the names of a table's rows are looked up or written.
struct NameScope {
    std::string prefix;       ///< in front of every name: "model/" in Megatron files
    std::uint64_t layer = 0;  ///< stands for "{}"

    std::string name(std::string_view pattern) const { return prefix + layer_name(pattern, layer); }
};

/// One tensor to be stored on one tensor-parallel rank.
struct StoredTensor {
    std::size_t rank;
    std::string name;
    Tensor tensor;
};

namespace detail {

inline std::string_view name_of(const Tensor& tensor) { return crossdock::name(tensor.dtype()); }

template <class Message>
std::size_t field_count(const Row<Message>& row) {
    return row.fields[1] ? 2 : 1;
}

inline Tensor cut_for_rank(const Tensor& whole, Cut cut, std::uint64_t rank, std::uint64_t ranks) {
    if (cut == Cut::none || ranks == 1) return whole;
    return shard(whole, cut == Cut::rows ? 0 : 1, rank, ranks);
}

template <class Message>
std::optional<Shape> expected_shape(std::optional<Tensor> Message::*field, const ModelHeader& header) {
    for (const auto& line : tensor_fields<Message>)
        if (line.tensor == field) return line.expected(header);
    return std::nullopt;
}

/// The tensors that the header asks for in this row, without content: what the stored shapes are computed from.
template <class Message>
Parts blank_fields(const Row<Message>& row, const ModelHeader& header) {
    Parts blanks;
    for (std::size_t i = 0; i < field_count(row); ++i)
        if (auto shape = expected_shape(row.fields[i], header)) blanks.emplace_back(DType::f32, *shape, nullptr);
    return blanks;
}

/// One rank's part of each field.
inline Parts cut_fields(const Parts& fields, Cut cut, std::uint64_t rank, std::uint64_t ranks) {
    Parts shards;
    for (const Tensor& field : fields) shards.push_back(cut_for_rank(field, cut, rank, ranks));
    return shards;
}

/// Reads one rank's stored tensors of a row and checks them against the shapes that the header implies.
template <class Message>
Parts take_stored(const Row<Message>& row, const Parts& expected, StageTensors& stage, std::size_t rank,
                  const NameScope& scope, std::string_view sizes) {
    Parts stored;
    for (std::size_t i = 0; i < expected.size(); ++i) {
        const std::string name = scope.name(row.names[i]);
        const NamedTensor* entry = stage.take(rank, name);
        if (!entry) throw Error(text("tensor '", name, "' of shape ", expected[i].shape(), " is missing; ", sizes));
        if (entry->tensor.shape() != expected[i].shape())
            throw Error(text(entry->file, ": tensor '", entry->name, "' has shape ", entry->tensor.shape(),
                             ", expected ", expected[i].shape(), " (", sizes, ")"));
        if (!stored.empty() && entry->tensor.dtype() != stored[0].dtype())
            throw Error(text(entry->file, ": tensor '", entry->name, "' is ", name_of(entry->tensor), ", '",
                             scope.name(row.names[0]), "' is ", name_of(stored[0]), "; they make one tensor"));
        stored.push_back(entry->tensor);
    }
    return stored;
}

template <class Message>
void gather_row(const Row<Message>& row, Message& message, StageTensors& stage, const NameScope& scope,
                const ModelHeader& header, std::string_view sizes) {
    const Parts blanks = blank_fields(row, header);
    if (blanks.empty()) return;
    std::array<Parts, 2> shards;
    for (std::size_t rank = 0; rank < stage.size(); ++rank) {
        const Parts expected = row.arrangement.split(cut_fields(blanks, row.cut, rank, stage.size()), header);
        const Parts fields = row.arrangement.join(take_stored(row, expected, stage, rank, scope, sizes), header);
        for (std::size_t i = 0; i < fields.size(); ++i) shards[i].push_back(fields[i]);
    }
    if (row.cut == Cut::none)
        for (std::size_t i = 0; i < row.names.size() && !row.names[i].empty(); ++i)
            stage.note_replicas(scope.name(row.names[i]));
    for (std::size_t i = 0; i < blanks.size(); ++i) {
        for (const Tensor& part : shards[i])
            if (part.dtype() != shards[i][0].dtype())
                throw Error(text("tensor '", scope.name(row.names[0]), "' is ", name_of(shards[i][0]),
                                 " on tensor-parallel rank 0 and ", name_of(part), " on another"));
        message.*row.fields[i] =
            row.cut == Cut::none ? shards[i].front() : unshard(shards[i], row.cut == Cut::rows ? 0 : 1);
    }
}

}  // namespace detail

/// Loads one message: every tensor that the header asks for, joined over the stage's ranks. `sizes` says in errors what
/// the expected shapes follow from. Throws Error on a tensor that is missing or of another shape.
template <class Message>
Message gather(const TensorTable& table, StageTensors& stage, const NameScope& scope, const ModelHeader& header,
               std::string_view sizes) {
    Message message{};
    for (const Row<Message>& row : table.rows<Message>()) detail::gather_row(row, message, stage, scope, header, sizes);
    return message;
}

/// Saves one message: calls emit(std::vector<StoredTensor>) with what each row becomes on each of `ranks` ranks. What
/// comes in one call is cut from the same tensors and best written together.
template <class Message, class Emit>
void scatter(const TensorTable& table, const Message& message, std::uint64_t ranks, const NameScope& scope,
             const ModelHeader& header, Emit&& emit) {
    for (const Row<Message>& row : table.rows<Message>()) {
        Parts fields;
        for (std::size_t i = 0; i < detail::field_count(row); ++i)
            if (const auto& tensor = message.*row.fields[i]) fields.push_back(*tensor);
        if (fields.size() != detail::field_count(row)) continue;
        std::vector<StoredTensor> group;
        for (std::uint64_t rank = 0; rank < ranks; ++rank) {
            Parts stored = row.arrangement.split(detail::cut_fields(fields, row.cut, rank, ranks), header);
            for (std::size_t i = 0; i < stored.size(); ++i)
                group.push_back({rank, scope.name(row.names[i]), std::move(stored[i])});
        }
        emit(std::move(group));
    }
}

/// Whether the checkpoint has the first tensor of the row that holds `field`.
template <class Message>
bool holds(const TensorTable& table, const StageTensors& stage, const NameScope& scope,
           std::optional<Tensor> Message::*field) {
    const Row<Message>* row = row_of(table, field);
    return row && stage.find(0, scope.name(row->names[0]));
}

}  // namespace crossdock
