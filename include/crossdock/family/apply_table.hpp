// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/container/tensor_dict.hpp"
#include "crossdock/core/join_lists.hpp"
#include "crossdock/family/ranks.hpp"
#include "crossdock/family/stage_tensors.hpp"
#include "crossdock/family/tensor_table.hpp"
#include "crossdock/layout/stack.hpp"

namespace crossdock {

/// Which element along axis 0 of a stored tensor is meant, and how many it has.
struct StackedElement {
    std::uint64_t index = 0, count = 0;
};

/// One tensor to be stored on one rank.
struct StoredTensor {
    RankCoordinates at;
    std::string name;
    Tensor tensor;
    std::optional<StackedElement> element{};  ///< `tensor` is only this element of what the name stands for
};

namespace detail {

inline std::string_view name_of(const Tensor& tensor) { return dtype_name(tensor.dtype()); }

template <class M>
std::optional<Shape> expected_shape(std::optional<Tensor> M::*field, const ModelHeader& header, std::uint64_t layer) {
    for (const auto& line : tensor_fields<M>)
        if (line.tensor == field) return line.expected(header, layer);
    return std::nullopt;
}

/// The tensors that the header asks for in this row, without content: what the stored shapes are computed from.
template <class M>
Parts blank_fields(const Row<M>& row, const ModelHeader& header, std::uint64_t layer) {
    Parts blanks;
    for (const auto field : row.fields)
        if (auto shape = expected_shape(field, header, layer)) blanks.emplace_back(DType::f32, *shape, nullptr);
    return blanks;
}

/// One rank's part of each field.
inline Parts cut_fields(const Parts& fields, const Cuts& cuts, const RankCoordinates& at, const GroupSizes& sizes) {
    Parts shards;
    shards.reserve(fields.size());
    for (const Tensor& field : fields) shards.push_back(cuts.take(field, at, sizes));
    return shards;
}

/// How often a row's names are stored: once for each element along axis 0 where these have names of their own.
template <class M>
std::uint64_t element_count(const Row<M>& row, const Parts& fields) {
    return numbers_elements(row.names.front()) ? fields.front().shape()[0] : 1;
}

/// Element `index` of each of the fields, which are stored together.
inline Parts elements_of(const Parts& fields, std::uint64_t index) {
    Parts elements;
    elements.reserve(fields.size());
    for (const Tensor& field : fields) elements.push_back(take_element(field, index));
    return elements;
}

/// Parts that make one tensor although their types differ: cast to one that holds all, and noted, where whoever asks
/// can do with that; an Error that says `differ` otherwise.
inline void require_one_type(std::span<Tensor> parts, std::vector<std::string>* mixed, const std::string& differ) {
    const std::string line = to_text(differ, "; they make one tensor");
    if (!mixed) throw Error(line);
    in_context(line, [&] { cast_to_common(parts); });
    mixed->push_back(line);
}

/// Reads one message from the tensors of a stage.
template <class M>
class Gatherer {
public:
    Gatherer(Key<M> key, StageTensors& stage, const NameScope& scope, const ModelHeader& header, std::string_view sizes,
             std::vector<std::string>* mixed)
        : key_(key),
          stage_(stage),
          scope_(scope),
          header_(header),
          sizes_(sizes),
          mixed_(mixed),
          groups_(stage.places()) {}

    void gather(const Row<M>& row, M& message) {
        if (!row.counts_in(header_, key_.index)) return;
        const Parts blanks = blank_fields(row, header_, key_.index);
        if (blanks.empty()) return;
        const std::vector<std::size_t> holders = find_holders(row);
        std::vector<Parts> parts(blanks.size(), Parts(holders.size()));  // of each field
        for (std::size_t rank = 0; rank < stage_.size(); ++rank) {
            const Parts cut = cut_fields(blanks, row.cuts, stage_.places()[rank], groups_);
            Parts fields = take_fields(row, cut, rank);
            const std::size_t number = number_of(row, rank);
            if (holders[number] != rank) note_replicas(row, element_count(row, cut), holders[number], rank);
            for (std::size_t i = 0; i < fields.size() && holders[number] == rank; ++i)
                parts[i][number] = std::move(fields[i]);
        }
        for (std::size_t i = 0; i < blanks.size(); ++i) {
            require_one_type_of_ranks(row, parts[i], holders);
            message.*row.fields[i] = row.cuts.join(std::move(parts[i]), groups_);
        }
    }

private:
    std::size_t number_of(const Row<M>& row, std::size_t rank) const {
        return row.cuts.number(stage_.places()[rank], groups_);
    }

    /// The first rank that holds each part of the row. What others hold of the same is compared later, and not sent.
    std::vector<std::size_t> find_holders(const Row<M>& row) const {
        std::vector<std::size_t> holders(row.cuts.count(groups_), stage_.size());
        for (std::size_t rank = stage_.size(); rank-- > 0;) holders[number_of(row, rank)] = rank;
        if (std::find(holders.begin(), holders.end(), stage_.size()) != holders.end())
            throw Error(
                to_text("'", scope_.name(row.names.front()), "': the ranks of a stage are not those of a grid"));
        return holders;
    }

    /// One rank's part of the fields, from its stored tensors.
    Parts take_fields(const Row<M>& row, const Parts& blanks, std::size_t rank) {
        const bool is_numbered = numbers_elements(row.names.front());
        const Parts together = is_numbered ? elements_of(blanks, 0) : blanks;  // all elements are alike
        const Parts expected = row.arrangement.split(together, header_, key_.index);
        if (!is_numbered) return take_together(row, together, expected, rank, 0);
        const std::uint64_t count = element_count(row, blanks);
        std::vector<Parts> elements(blanks.size());
        for (Parts& field : elements) field.reserve(count);
        for (std::uint64_t element = 0; element < count; ++element) {
            Parts fields = take_together(row, together, expected, rank, element);
            for (std::size_t i = 0; i < fields.size(); ++i) elements[i].push_back(std::move(fields[i]));
        }
        Parts fields;
        for (std::size_t i = 0; i < blanks.size(); ++i) {
            require_one_type_of_elements(row, elements[i]);
            fields.push_back(stack_elements(elements[i]));
        }
        return fields;
    }

    /// The fields that are stored together, arranged as tensors like `expected`; `blanks` are they without content.
    Parts take_together(const Row<M>& row, const Parts& blanks, const Parts& expected, std::size_t rank,
                        std::uint64_t element) {
        Parts stored = take_stored(row, expected, rank, element);
        return row.arrangement.join_shards ? row.arrangement.join_shards(std::move(stored), blanks)
                                           : row.arrangement.join(std::move(stored), header_, key_.index);
    }

    /// The stored tensors of a row, held against the shapes that are expected.
    Parts take_stored(const Row<M>& row, const Parts& expected, std::size_t rank, std::uint64_t element) {
        std::string differ;
        Parts stored;
        stored.reserve(expected.size());
        for (std::size_t i = 0; i < expected.size(); ++i) {
            const NamedTensor& entry = take_entry(row, i, expected[i].shape(), rank, element);
            if (differ.empty() && !stored.empty() && entry.tensor.dtype() != stored[0].dtype())
                differ = to_text(entry.file, ": tensor '", entry.name, "' is ", name_of(entry.tensor), ", '",
                                 scope_.name(row.names[0], element), "' is ", name_of(stored[0]));
            stored.push_back(stacks_layers(row.names[i]) ? take_element(entry.tensor, scope_.layer) : entry.tensor);
        }
        if (!differ.empty()) require_one_type(stored, mixed_, differ);
        return stored;
    }

    /// One of the row's stored tensors, of `shape` for each layer that it holds.
    const NamedTensor& take_entry(const Row<M>& row, std::size_t which, const Shape& shape, std::size_t rank,
                                  std::uint64_t element) {
        const std::string name = scope_.name(row.names[which], element);
        const Shape expected = stacks_layers(row.names[which]) ? stacked_shape(shape, scope_.layers) : shape;
        const NamedTensor* entry = stage_.take(rank, name);
        if (!entry) throw Error(to_text("tensor '", name, "' of shape ", expected, " is missing; ", sizes_));
        if (entry->tensor.shape() != expected)
            throw Error(to_text(entry->file, ": tensor '", entry->name, "' has shape ", entry->tensor.shape(),
                                ", expected ", expected, " (", sizes_, ")"));
        return *entry;
    }

    void note_replicas(const Row<M>& row, std::uint64_t elements, std::size_t first, std::size_t other) {
        for (const std::string& pattern : row.names)
            for (std::uint64_t element = 0; element < elements; ++element)
                stage_.note_replica(scope_.name(pattern, element), first, other);
    }

    void require_one_type_of_elements(const Row<M>& row, Parts& elements) {
        const std::size_t other = first_of_another_type(elements);
        if (other == elements.size()) return;
        require_one_type(elements, mixed_,
                         to_text("tensor '", scope_.name(row.names[0], 0), "' is ", name_of(elements[0]), ", '",
                                 scope_.name(row.names[0], other), "' is ", name_of(elements[other])));
    }

    void require_one_type_of_ranks(const Row<M>& row, Parts& parts, const std::vector<std::size_t>& holders) {
        const std::size_t other = first_of_another_type(parts);
        if (other == parts.size()) return;
        const auto place = [&](std::size_t part) { return to_string(stage_.places()[holders[part]]); };
        require_one_type(
            parts, mixed_,
            to_text("tensor '", scope_.name(row.names[0]), "' is ", name_of(parts[0]), " on tensor-parallel rank ",
                    place(0), " and ", name_of(parts[other]), " on rank ", place(other)));
    }

    static std::size_t first_of_another_type(const Parts& parts) {
        const auto other = std::find_if(parts.begin(), parts.end(),
                                        [&](const Tensor& part) { return part.dtype() != parts[0].dtype(); });
        return static_cast<std::size_t>(other - parts.begin());
    }

    Key<M> key_;
    StageTensors& stage_;
    const NameScope& scope_;
    const ModelHeader& header_;
    std::string_view sizes_;
    std::vector<std::string>* mixed_;
    GroupSizes groups_;
};

}  // namespace detail

/// Loads one message: every tensor that the header asks for, joined over the stage's ranks. `sizes` says in errors what
/// the expected shapes follow from. Throws Error on a tensor that is missing or of another shape, and on parts of one
/// tensor that differ in their type; given `mixed`, these are noted there and cast to a type that holds them all.
template <class M>
M gather(const Rows<M>& rows, Key<M> key, StageTensors& stage, const NameScope& scope, const ModelHeader& header,
         std::string_view sizes, std::vector<std::string>* mixed = nullptr) {
    M message{};
    detail::Gatherer<M> gatherer(key, stage, scope, header, sizes, mixed);
    for (const Row<M>& row : rows) gatherer.gather(row, message);
    if constexpr (requires { message.index; }) message.index = key.index;
    return message;
}

/// Calls visit(rank's number in the stage, entry) for each stored tensor that a field of a message is read from.
template <class M, class Visit>
void for_each_stored(const Rows<M>& rows, Key<M> key, std::optional<Tensor> M::*field, const StageTensors& stage,
                     const NameScope& scope, const ModelHeader& header, Visit&& visit) {
    const GroupSizes groups(stage.places());
    for (const Row<M>& row : rows) {
        const bool has_field = std::find(row.fields.begin(), row.fields.end(), field) != row.fields.end();
        if (!has_field || !row.counts_in(header, key.index)) continue;
        const Parts blanks = detail::blank_fields(row, header, key.index);
        for (std::size_t rank = 0; rank < stage.size() && !blanks.empty(); ++rank) {
            const Parts cut = detail::cut_fields(blanks, row.cuts, stage.places()[rank], groups);
            for (std::uint64_t element = 0; element < detail::element_count(row, cut); ++element)
                for (const std::string& pattern : row.names)
                    if (const NamedTensor* entry = stage.find(rank, scope.name(pattern, element))) visit(rank, *entry);
        }
    }
}

namespace detail {

/// Throws Error when the message holds a tensor that the table has no place for: it would be lost.
template <class M>
void require_places(const Rows<M>& rows, const M& message) {
    for (const auto& field : tensor_fields<M>)
        if (message.*field.tensor && !row_of(rows, field.tensor))
            throw Error(to_text("message '", message_name(message), "': the target has no place for tensor '",
                                field.name, "', which would be lost"));
}

template <class M>
std::string_view field_name(std::optional<Tensor> M::*tensor) {
    for (const auto& field : tensor_fields<M>)
        if (field.tensor == tensor) return field.name;
    return "";
}

/// What is stored as one tensor must be whole and of one type: says what a message has of it.
template <class M>
[[noreturn, gnu::cold]] void refuse_fields(const Row<M>& row, const M& message, const NameScope& scope, bool has_all) {
    std::vector<std::string> found;
    for (const auto field : row.fields) {
        const auto& tensor = message.*field;
        found.push_back(to_text("'", field_name(field), "' is ", tensor ? name_of(*tensor) : "missing"));
    }
    throw Error(to_text("message '", message_name(message), "': ", joined_list(found), "; '", scope.name(row.names[0]),
                        "' holds them ", found.size() == 2 ? "both" : "all",
                        has_all ? ": give the option dtype to cast them to one type" : ""));
}

/// The row's tensors in a message; none when it has none. Throws Error when it has only some, or some of another type.
template <class M>
Parts fields_of(const Row<M>& row, const M& message, const NameScope& scope) {
    Parts fields;
    for (const auto field : row.fields)
        if (const auto& tensor = message.*field) fields.push_back(*tensor);
    const bool is_of_one_type = std::all_of(
        fields.begin(), fields.end(), [&](const Tensor& field) { return field.dtype() == fields.front().dtype(); });
    const bool has_all = fields.size() == row.fields.size();
    if (!fields.empty() && !(has_all && is_of_one_type)) refuse_fields(row, message, scope, has_all);
    return fields;
}

/// What one rank stores of a row.
template <class M>
void store_fields(const Row<M>& row, const Parts& fields, Key<M> key, const RankCoordinates& at, const NameScope& scope,
                  const ModelHeader& header, std::vector<StoredTensor>& group) {
    const bool is_numbered = numbers_elements(row.names.front());
    for (std::uint64_t element = 0; element < element_count(row, fields); ++element) {
        Parts stored = row.arrangement.split(is_numbered ? elements_of(fields, element) : fields, header, key.index);
        for (std::size_t i = 0; i < stored.size(); ++i) {
            group.push_back({at, scope.name(row.names[i], element), std::move(stored[i])});
            if (stacks_layers(row.names[i])) group.back().element = StackedElement{scope.layer, scope.layers};
        }
    }
}

}  // namespace detail

/// Saves one message: calls emit(std::vector<StoredTensor>) with what each row becomes on each of a stage's `ranks`.
/// What comes in one call is cut from the same tensors and best written together. Throws Error on a tensor without a
/// place and on parts of one tensor that are not whole or differ in their type.
template <class M, class Emit>
void scatter(const Rows<M>& rows, const M& message, std::span<const RankCoordinates> ranks, const NameScope& scope,
             const ModelHeader& header, Emit&& emit) {
    detail::require_places(rows, message);
    const GroupSizes sizes(ranks);
    for (const Row<M>& row : rows) {
        if (!row.counts_in(header, key_of(message).index)) continue;
        const Parts fields = detail::fields_of(row, message, scope);
        if (fields.empty()) continue;
        std::vector<StoredTensor> group;
        for (const RankCoordinates& at : ranks)
            detail::store_fields(row, detail::cut_fields(fields, row.cuts, at, sizes), key_of(message), at, scope,
                                 header, group);
        emit(std::move(group));
    }
}

/// Whether the checkpoint has the first tensor of a row that holds `field`.
template <class M>
bool has_stored(const TensorTable& table, const StageTensors& stage, const NameScope& scope,
                std::optional<Tensor> M::*field) {
    const Rows<M>& rows = table.rows<M>();
    return std::any_of(rows.begin(), rows.end(), [&](const Row<M>& row) {
        return std::find(row.fields.begin(), row.fields.end(), field) != row.fields.end() &&
               stage.find(0, scope.name(row.names[0]));
    });
}

}  // namespace crossdock
