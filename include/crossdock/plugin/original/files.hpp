// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/container/foreign_directory.hpp"
#include "crossdock/container/json.hpp"
#include "crossdock/container/safetensors/reader.hpp"
#include "crossdock/container/safetensors/writer.hpp"
#include "crossdock/container/sharded/reader.hpp"
#include "crossdock/container/tensor_writer.hpp"
#include "crossdock/container/torch/reader.hpp"
#include "crossdock/container/torch/writer.hpp"
#include "crossdock/core/same_bytes.hpp"
#include "crossdock/family/apply_table.hpp"
#include "crossdock/family/family.hpp"
#include "crossdock/layout/tensor_parallel.hpp"

namespace crossdock {

// The original layouts of Meta and mistralai: params.json, and consolidated.00.pth, consolidated.01.pth, … one for each
// model-parallel rank, or consolidated.safetensors, which may be in numbered files with an index.

/// "consolidated.03.pth"
inline std::string consolidated_name(std::size_t part) {
    return to_text("consolidated.", part < 10 ? "0" : "", part, ".pth");
}

namespace detail {

/// The files of Meta's parts, sorted.
inline std::vector<std::string> part_files(const std::filesystem::path& directory) {
    std::vector<std::string> files = names_in(directory);
    std::erase_if(files, [](const std::string& name) { return !matches(name, "consolidated.*.pth"); });
    return files;
}

/// Numbered files without an index: all of them, if none is missing.
inline TensorDict read_numbered(const std::filesystem::path& directory, const std::vector<std::string>& files) {
    const auto& names = sharded::consolidated_names;
    const std::string& last = files.back();
    std::size_t count = 0;
    const std::size_t digits = last.rfind('-') + 1;
    std::from_chars(last.data() + digits, last.data() + last.size(), count);
    TensorDict tensors;
    for (std::size_t number = 1; number <= std::max(count, files.size()); ++number) {
        if (number > files.size() || files[number - 1] != names.numbered(number, count))
            throw Error(to_text(directory.string(), ": ", names.numbered(number, count), " is missing; there are ",
                                files.size(), " of ", count, " files"));
        const TensorDict shard = safetensors::read(directory / files[number - 1]);
        for (const NamedTensor& entry : shard.entries()) tensors.add(entry);
    }
    return tensors;
}

/// Safetensors of the original layout, in whichever form; empty when there is none.
inline std::optional<sharded::Contents> read_consolidated(const std::filesystem::path& directory) {
    const auto& names = sharded::consolidated_names;
    if (std::filesystem::exists(directory / names.single()))
        return sharded::Contents{safetensors::read(directory / names.single()), {}};
    if (std::filesystem::exists(directory / names.index)) return sharded::read_index(directory / names.index);
    const auto files = sharded::detail::numbered_files(directory, names);
    if (files.empty()) return std::nullopt;
    return sharded::Contents{read_numbered(directory, files), {}};
}

}  // namespace detail

/// The tensors of a model in the original layout, and what is odd about its files.
struct OriginalContents {
    std::vector<TensorDict> parts;  ///< one for each model-parallel rank
    std::vector<std::string> warnings;
};

/// Whether a directory holds weights in the original layout, complete or not.
inline bool holds_original_weights(const std::filesystem::path& directory) {
    const std::vector<std::string> names = detail::names_in(directory);
    return std::any_of(names.begin(), names.end(), [](const std::string& name) {
        return detail::matches(name, "consolidated*.safetensors") || detail::matches(name, "consolidated.*.pth");
    });
}

/// The tensors of each part. Throws Error when there are no files, or numbers are missing.
inline OriginalContents read_original_parts(const std::filesystem::path& directory) {
    const std::vector<std::string> files = detail::part_files(directory);
    OriginalContents contents;
    if (auto whole = detail::read_consolidated(directory)) {
        if (!files.empty())
            throw Error(to_text(directory.string(), ": holds consolidated.safetensors and ", files[0],
                                "; remove the one that is not meant"));
        contents.warnings = std::move(whole->warnings);
        contents.parts.push_back(std::move(whole->tensors));
        return contents;
    }
    if (files.empty()) {
        if (const std::string what = foreign_directory(directory); !what.empty())
            throw Error(to_text(directory.string(), ": holds params.json but no weights; it ", what));
        throw Error(
            to_text(directory.string(), ": holds params.json but no consolidated.00.pth or consolidated.safetensors"));
    }
    for (std::size_t part = 0; part < files.size(); ++part) {
        if (files[part] != consolidated_name(part))
            throw Error(to_text(directory.string(), ": ", consolidated_name(part), " is missing; there are ",
                                files.size(), " parts"));
        const auto file = directory / files[part];
        contents.parts.push_back(torch::tensors(torch::read(file), file.string()));
    }
    return contents;
}

/// Throws Error where some of Meta's parts are missing: what they cut does not add up to what params.json says. A norm,
/// which all hold whole, tells first whether params.json is of this model at all.
inline void check_part_count(std::span<const TensorDict> parts, const ModelHeader& header) {
    const NamedTensor* norm = parts[0].find("norm.weight");
    const NamedTensor* query = parts[0].find("layers.0.attention.wq.weight");
    if (!norm || !query || query->tensor.shape().rank() != 2 || query->file.ends_with(".safetensors")) return;
    const std::uint64_t rows = query->tensor.shape()[0], dim = header.hidden_size;
    if (norm->tensor.element_count() != dim || rows == 0 || dim % rows != 0 || dim / rows == parts.size()) return;
    if (header.attention.kv_channels != 0 && header.attention.kv_channels * header.attention.num_attention_heads != dim)
        return;
    const std::uint64_t count = dim / rows;
    throw Error(to_text("holds ", parts.size(), " of ", count, " parts, expected consolidated.00.pth to ",
                        consolidated_name(count - 1)));
}

namespace detail {

/// "layers.12.attention.wk.weight" → "layers.{}.attention.wk.weight", the name that a table has.
inline std::string table_pattern(const std::string& name) {
    constexpr std::string_view beginning = "layers.";
    if (!name.starts_with(beginning)) return name;
    const std::size_t end = name.find('.', beginning.size());
    return end == std::string::npos ? name : to_text(beginning, "{}", name.substr(end));
}

/// Whether a tensor holds no weights.
inline bool is_ignored(const TensorTable& table, const std::string& name) {
    return std::any_of(table.ignored_endings.begin(), table.ignored_endings.end(),
                       [&](std::string_view ending) { return name.ends_with(ending); });
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

/// The same tensor of every part, as one. A part whose key/value rows are those of the `copies - 1` parts behind it as
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
inline TensorDict merge_original_parts(std::vector<TensorDict> parts, const TensorTable& table,
                                       const ModelHeader& header, std::vector<std::string>& mixed) {
    if (parts.size() == 1) return std::move(parts.front());
    detail::require_no_more(parts);
    const auto all_shared = detail::shared_by_name(table);
    const std::uint64_t key_rows = header.attention.num_query_groups * header.attention.kv_channels;
    TensorDict whole;
    for (NamedTensor entry : parts.front().entries()) {
        const auto found = all_shared.find(detail::table_pattern(entry.name));
        const detail::SharedTensor shared = found == all_shared.end() ? detail::SharedTensor{} : found->second;
        const std::uint64_t rows = entry.tensor.shape().rank() == 0 ? 0 : entry.tensor.shape()[0] * parts.size();
        const bool is_replicated =
            shared.replicated && rows > key_rows && rows % key_rows == 0 && parts.size() % (rows / key_rows) == 0;
        const std::uint64_t copies = is_replicated ? rows / key_rows : 1;
        detail::require_same_copies(parts, entry.name, copies);
        if (shared.cut.axis)
            entry.tensor = detail::joined_parts(parts, entry, *shared.cut.axis, copies, mixed);
        else if (!detail::is_ignored(table, entry.name))
            detail::require_same(parts, entry);
        whole.add(std::move(entry));
    }
    return whole;
}

/// The files to write for each rank.
inline std::vector<std::unique_ptr<TensorWriter>> make_original_writers(const OriginalFormat& format,
                                                                        std::uint64_t ranks,
                                                                        std::size_t header_capacity,
                                                                        const std::filesystem::path& directory) {
    std::vector<std::unique_ptr<TensorWriter>> writers;
    if (format.safetensors) {
        writers.push_back(
            std::make_unique<safetensors::Writer>(directory / "consolidated.safetensors", header_capacity));
        return writers;
    }
    for (std::uint64_t rank = 0; rank < ranks; ++rank)
        writers.push_back(std::make_unique<torch::Writer>(directory / consolidated_name(rank)));
    return writers;
}

/// The object in params.json; newer files keep it under "model", and how the weights are quantized beside that.
inline Json read_params(const std::filesystem::path& file) {
    Json params = read_json_object(file);
    if (const auto inner = params.find("model"); inner != params.end() && inner->is_object()) {
        Json object = *inner;
        for (const char* key : {"quantization_args", "quantization", "lora_args"})
            if (const auto outer = params.find(key); outer != params.end()) object[key] = *outer;
        return object;
    }
    return params;
}

}  // namespace crossdock
