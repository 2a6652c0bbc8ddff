// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cctype>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/container/tensor_dict.hpp"
#include "crossdock/core/same_bytes.hpp"
#include "crossdock/family/apply_table.hpp"
#include "crossdock/family/tensor_table.hpp"
#include "crossdock/layout/tensor_parallel.hpp"

namespace crossdock {

// Layouts that are published in parts of one model-parallel rank each are read as one.

namespace detail {

/// "layers.12.attention.wk.weight" → "layers.{}.attention.wk.weight", the name that a table has.
inline std::string table_pattern(const std::string& name) {
    for (std::size_t begin = 0, end = name.find('.'); end != std::string::npos;
         begin = end + 1, end = name.find('.', begin)) {
        const auto part = name.begin() + static_cast<std::ptrdiff_t>(begin),
                   part_end = name.begin() + static_cast<std::ptrdiff_t>(end);
        if (part != part_end && std::all_of(part, part_end, [](unsigned char c) { return std::isdigit(c) != 0; }))
            return to_text(name.substr(0, begin), "{}", name.substr(end));
    }
    return name;
}

/// How the parts share a tensor.
struct SharedTensor {
    Cut cut = Cut::none;
    bool replicated = false;  ///< several hold the same where there are more parts than key/value heads
};

/// How the parts share each tensor, by the names of the table.
inline std::map<std::string, SharedTensor> shared_by_name(const TensorTable& table) {
    std::map<std::string, SharedTensor> shared;
    for_each_message_type([&]<class M>() {
        for (const Row<M>& row : table.rows<M>()) {
            for (const std::string& name : row.names) shared[name].cut = row.cuts.of(Group::tensor);
            for (const std::string& name : row.replicated) shared[name].replicated = true;
        }
    });
    return shared;
}

/// How many parts hold the same key/value heads: 1 where there are as many heads as parts.
inline std::uint64_t copies_of(const Tensor& shard, std::size_t parts, std::uint64_t whole_rows) {
    const std::uint64_t rows = shard.shape().rank() == 0 ? 0 : shard.shape()[0] * parts;
    const bool is_replicated =
        rows > whole_rows && whole_rows > 0 && rows % whole_rows == 0 && parts % (rows / whole_rows) == 0;
    return is_replicated ? rows / whole_rows : 1;
}

/// The same tensor of every part, as one. A part whose key/value rows are those of the `copies - 1` parts after it as
/// well stands for them all.
inline Tensor joined_parts(std::span<const TensorDict> parts, const NamedTensor& first, std::size_t axis,
                           std::uint64_t copies, std::vector<std::string>& mixed) {
    std::string differ;
    std::vector<Tensor> shards;
    for (std::size_t part = 0; part < parts.size(); part += copies) {
        const NamedTensor* entry = parts[part].find(first.name);
        if (!entry) throw Error(to_text("tensor '", first.name, "' is in ", first.file, ", but not in part ", part));
        const std::string found =
            to_text(entry->file, ": tensor '", entry->name, "' is ", dtype_name(entry->tensor.dtype()), " ",
                    entry->tensor.shape(), ", ", dtype_name(first.tensor.dtype()), " ", first.tensor.shape(), " in ",
                    first.file);
        if (entry->tensor.shape() != first.tensor.shape()) throw Error(found);
        if (entry->tensor.dtype() != first.tensor.dtype()) differ = found;
        shards.push_back(entry->tensor);
    }
    if (!differ.empty()) require_one_type(shards, &mixed, differ);
    if (first.tensor.shape().rank() <= axis)
        throw Error(
            to_text(first.file, ": tensor '", first.name, "' has shape ", first.tensor.shape(), ", expected a matrix"));
    return join_shards(shards, axis);
}

/// Throws Error where parts differ in what each of them holds whole.
inline void require_same(std::span<const TensorDict> parts, const NamedTensor& first) {
    for (const TensorDict& part : parts) {
        const NamedTensor* entry = part.find(first.name);
        if (!entry)
            throw Error(
                to_text("tensor '", first.name, "' is in ", first.file, ", but not in ", part.entries()[0].file));
        if (!same_bytes(first.tensor, entry->tensor))
            throw Error(to_text("tensor '", first.name, "' differs between ", first.file, " and ", entry->file,
                                ", which both hold it whole; are they parts of one model?"));
    }
}

/// Throws Error where a part has a tensor that the first lacks.
inline void require_no_more(std::span<const TensorDict> parts) {
    for (const TensorDict& part : parts)
        for (const NamedTensor& entry : part.entries())
            if (!parts[0].find(entry.name))
                throw Error(to_text("tensor '", entry.name, "' is in ", entry.file, ", but not in ",
                                    parts[0].entries()[0].file));
}

/// Throws Error where the parts that hold the same heads differ.
inline void require_same_copies(std::span<const TensorDict> parts, const std::string& name, std::uint64_t copies) {
    for (std::size_t part = 0; copies > 1 && part < parts.size(); part += copies)
        if (const NamedTensor* first = parts[part].find(name)) require_same(parts.subspan(part, copies), *first);
}

}  // namespace detail

/// All parts as one. With more parts than key/value heads, several parts hold the same head (Llama 3 405B in 16 parts):
/// their rows are more than the header asks for, and each head is taken once. Parts that differ in their type are noted
/// in `mixed` and cast to one that holds them all.
inline TensorDict merge_parts(std::vector<TensorDict> parts, const TensorTable& table, const ModelHeader& header,
                              std::vector<std::string>& mixed) {
    if (parts.size() == 1) return std::move(parts.front());
    detail::require_no_more(parts);
    const auto all_shared = detail::shared_by_name(table);
    const std::uint64_t key_rows = header.attention.num_query_groups * header.attention.kv_channels;
    TensorDict whole;
    for (NamedTensor entry : parts.front().entries()) {
        const auto found = all_shared.find(detail::table_pattern(entry.name));
        const detail::SharedTensor shared = found == all_shared.end() ? detail::SharedTensor{} : found->second;
        const std::uint64_t copies = shared.replicated ? detail::copies_of(entry.tensor, parts.size(), key_rows) : 1;
        detail::require_same_copies(parts, entry.name, copies);
        if (shared.cut.axis)
            entry.tensor = detail::joined_parts(parts, entry, *shared.cut.axis, copies, mixed);
        else if (!is_ignored(table, entry.name))
            detail::require_same(parts, entry);
        whole.add(std::move(entry));
    }
    return whole;
}

}  // namespace crossdock
