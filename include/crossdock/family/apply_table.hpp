// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <span>
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

inline std::string_view name_of(const Tensor& tensor) { return dtype_name(tensor.dtype()); }

template <class Message>
std::size_t field_count(const Row<Message>& row) {
    return row.fields[1] ? 2 : 1;
}

inline Tensor cut_for_rank(const Tensor& whole, Cut cut, std::uint64_t rank, std::uint64_t ranks) {
    if (cut == Cut::none || ranks == 1) return whole;
    return take_shard(whole, cut == Cut::rows ? 0 : 1, rank, ranks);
}

template <class Message>
std::optional<Shape> expected_shape(std::optional<Tensor> Message::*field, const ModelHeader& header,
                                    std::uint64_t layer) {
    for (const auto& line : tensor_fields<Message>)
        if (line.tensor == field) return line.expected(header, layer);
    return std::nullopt;
}

/// The tensors that the header asks for in this row, without content: what the stored shapes are computed from.
template <class Message>
Parts blank_fields(const Row<Message>& row, const ModelHeader& header, std::uint64_t layer) {
    Parts blanks;
    for (std::size_t i = 0; i < field_count(row); ++i)
        if (auto shape = expected_shape(row.fields[i], header, layer)) blanks.emplace_back(DType::f32, *shape, nullptr);
    return blanks;
}

/// One rank's part of each field.
inline Parts cut_fields(const Parts& fields, Cut cut, std::uint64_t rank, std::uint64_t ranks) {
    Parts shards;
    for (const Tensor& field : fields) shards.push_back(cut_for_rank(field, cut, rank, ranks));
    return shards;
}

/// Parts that make one tensor although their types differ: cast to one that holds all, and noted, where whoever asks
/// can do with that; an Error that says `differ` otherwise.
inline void require_one_type(std::span<Tensor> parts, std::vector<std::string>* mixed, const std::string& differ) {
    const std::string line = to_text(differ, "; they make one tensor");
    if (!mixed) throw Error(line);
    in_context(line, [&] { cast_to_common(parts); });
    mixed->push_back(line);
}

/// Reads one rank's stored tensors of a row and checks them against the shapes that the header implies.
template <class Message>
Parts take_stored(const Row<Message>& row, const Parts& expected, StageTensors& stage, std::size_t rank,
                  const NameScope& scope, std::string_view sizes, std::vector<std::string>* mixed) {
    std::string differ;
    Parts stored;
    for (std::size_t i = 0; i < expected.size(); ++i) {
        const std::string name = scope.name(row.names[i]);
        const NamedTensor* entry = stage.take(rank, name);
        if (!entry) throw Error(to_text("tensor '", name, "' of shape ", expected[i].shape(), " is missing; ", sizes));
        if (entry->tensor.shape() != expected[i].shape())
            throw Error(to_text(entry->file, ": tensor '", entry->name, "' has shape ", entry->tensor.shape(),
                                ", expected ", expected[i].shape(), " (", sizes, ")"));
        if (differ.empty() && !stored.empty() && entry->tensor.dtype() != stored[0].dtype())
            differ = to_text(entry->file, ": tensor '", entry->name, "' is ", name_of(entry->tensor), ", '",
                             scope.name(row.names[0]), "' is ", name_of(stored[0]));
        stored.push_back(entry->tensor);
    }
    if (!differ.empty()) require_one_type(stored, mixed, differ);
    return stored;
}

template <class Message>
void gather_row(const Row<Message>& row, Key<Message> key, Message& message, StageTensors& stage,
                const NameScope& scope, const ModelHeader& header, std::string_view sizes,
                std::vector<std::string>* mixed) {
    const Parts blanks = blank_fields(row, header, key.index);
    if (blanks.empty()) return;
    std::array<Parts, 2> shards;
    for (std::size_t rank = 0; rank < stage.size(); ++rank) {
        const Parts expected =
            row.arrangement.split(cut_fields(blanks, row.cut, rank, stage.size()), header, key.index);
        const Parts fields =
            row.arrangement.join(take_stored(row, expected, stage, rank, scope, sizes, mixed), header, key.index);
        const bool is_replica = row.cut == Cut::none && rank > 0;  // compared later, and not sent
        for (std::size_t i = 0; i < fields.size() && !is_replica; ++i) shards[i].push_back(fields[i]);
    }
    if (row.cut == Cut::none)
        for (std::size_t i = 0; i < row.names.size() && !row.names[i].empty(); ++i)
            stage.note_replicas(scope.name(row.names[i]));
    for (std::size_t i = 0; i < blanks.size(); ++i) {
        const auto other = std::find_if(shards[i].begin(), shards[i].end(),
                                        [&](const Tensor& part) { return part.dtype() != shards[i][0].dtype(); });
        if (other != shards[i].end())
            require_one_type(
                shards[i], mixed,
                to_text("tensor '", scope.name(row.names[0]), "' is ", name_of(shards[i][0]),
                        " on tensor-parallel rank 0 and ", name_of(*other), " on rank ", other - shards[i].begin()));
        message.*row.fields[i] =
            row.cut == Cut::none ? shards[i].front() : join_shards(shards[i], row.cut == Cut::rows ? 0 : 1);
    }
}

}  // namespace detail

/// Loads one message: every tensor that the header asks for, joined over the stage's ranks. `sizes` says in errors what
/// the expected shapes follow from. Throws Error on a tensor that is missing or of another shape, and on parts of one
/// tensor that differ in their type; given `mixed`, these are noted there and cast to a type that holds them all.
template <class Message>
Message gather(const TensorTable& table, Key<Message> key, StageTensors& stage, const NameScope& scope,
               const ModelHeader& header, std::string_view sizes, std::vector<std::string>* mixed = nullptr) {
    Message message{};
    for (const Row<Message>& row : table.rows<Message>())
        detail::gather_row(row, key, message, stage, scope, header, sizes, mixed);
    return message;
}

namespace detail {

/// Throws Error when the message holds a tensor that the table has no place for: it would be lost.
template <class Message>
void require_places(const TensorTable& table, const Message& message) {
    for (const auto& field : tensor_fields<Message>)
        if (message.*field.tensor && !row_of(table, field.tensor))
            throw Error(to_text("message '", message_name(message), "': the target has no place for tensor '",
                                field.name, "', which would be lost"));
}

template <class Message>
std::string_view field_name(std::optional<Tensor> Message::*tensor) {
    for (const auto& field : tensor_fields<Message>)
        if (field.tensor == tensor) return field.name;
    return "";
}

/// The row's tensors in a message; none when it has none. Throws Error when it has only some, or some of another type:
/// what is stored as one tensor must be whole.
template <class Message>
Parts fields_of(const Row<Message>& row, const Message& message, const NameScope& scope) {
    Parts fields;
    std::array<std::string, 2> found;
    for (std::size_t i = 0; i < field_count(row); ++i) {
        const auto& tensor = message.*row.fields[i];
        if (tensor) fields.push_back(*tensor);
        found[i] = to_text("'", field_name(row.fields[i]), "' is ", tensor ? name_of(*tensor) : "missing");
    }
    const bool is_whole = fields.size() == field_count(row) && fields.back().dtype() == fields.front().dtype();
    if (fields.empty() || is_whole) return fields;
    throw Error(to_text("message '", message_name(message), "': ", found[0], ", ", found[1], "; '",
                        scope.name(row.names[0]), "' holds them both",
                        fields.size() == 2 ? ": give --dtype to cast them to one type" : ""));
}

}  // namespace detail

/// Saves one message: calls emit(std::vector<StoredTensor>) with what each row becomes on each of `ranks` ranks. What
/// comes in one call is cut from the same tensors and best written together. Throws Error on a tensor without a place
/// and on parts of one tensor that are not whole or differ in their type.
template <class Message, class Emit>
void scatter(const TensorTable& table, const Message& message, std::uint64_t ranks, const NameScope& scope,
             const ModelHeader& header, Emit&& emit) {
    detail::require_places(table, message);
    for (const Row<Message>& row : table.rows<Message>()) {
        const Parts fields = detail::fields_of(row, message, scope);
        if (fields.empty()) continue;
        std::vector<StoredTensor> group;
        for (std::uint64_t rank = 0; rank < ranks; ++rank) {
            Parts stored =
                row.arrangement.split(detail::cut_fields(fields, row.cut, rank, ranks), header, key_of(message).index);
            for (std::size_t i = 0; i < stored.size(); ++i)
                group.push_back({rank, scope.name(row.names[i]), std::move(stored[i])});
        }
        emit(std::move(group));
    }
}

/// Whether the checkpoint has the first tensor of the row that holds `field`.
template <class Message>
bool has_stored(const TensorTable& table, const StageTensors& stage, const NameScope& scope,
                std::optional<Tensor> Message::*field) {
    const Row<Message>* row = row_of(table, field);
    return row && stage.find(0, scope.name(row->names[0]));
}

}  // namespace crossdock
