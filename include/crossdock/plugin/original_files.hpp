// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/container/safetensors/reader.hpp"
#include "crossdock/container/safetensors/writer.hpp"
#include "crossdock/container/tensor_writer.hpp"
#include "crossdock/container/torch/reader.hpp"
#include "crossdock/container/torch/writer.hpp"
#include "crossdock/family/apply_table.hpp"
#include "crossdock/family/family.hpp"
#include "crossdock/family/json.hpp"
#include "crossdock/layout/tensor_parallel.hpp"

namespace crossdock {

// The original layouts of Meta and mistralai: params.json, and consolidated.00.pth, consolidated.01.pth, … one for each
// model-parallel rank, or a single consolidated.safetensors.

/// "consolidated.03.pth"
inline std::string consolidated_name(std::size_t part) {
    return text("consolidated.", part < 10 ? "0" : "", part, ".pth");
}

/// The tensors of each part. Throws Error when there are no files, or numbers are missing.
inline std::vector<TensorDict> read_original_parts(const std::filesystem::path& directory) {
    std::vector<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::directory_iterator(directory)) {
        const std::string name = entry.path().filename().string();
        if (name.starts_with("consolidated.") && name.ends_with(".pth")) files.push_back(entry.path());
    }
    std::sort(files.begin(), files.end());
    std::vector<TensorDict> parts;
    if (const auto single = directory / "consolidated.safetensors"; std::filesystem::exists(single)) {
        if (!files.empty())
            throw Error(text(directory.string(), ": holds consolidated.safetensors and ", files[0].filename().string(),
                             "; remove the one that is not meant"));
        parts.push_back(safetensors::read(single));
        return parts;
    }
    if (files.empty())
        throw Error(
            text(directory.string(), ": holds params.json but no consolidated.00.pth or consolidated.safetensors"));
    for (std::size_t part = 0; part < files.size(); ++part) {
        if (files[part].filename() != consolidated_name(part))
            throw Error(text(directory.string(), ": ", consolidated_name(part), " is missing; there are ", files.size(),
                             " parts"));
        parts.push_back(torch::tensors(torch::read(files[part]), files[part].string()));
    }
    return parts;
}

namespace detail {

/// "layers.12.attention.wk.weight" → "layers.{}.attention.wk.weight", the name that a table has.
inline std::string table_pattern(const std::string& name) {
    constexpr std::string_view beginning = "layers.";
    if (!name.starts_with(beginning)) return name;
    const std::size_t end = name.find('.', beginning.size());
    return end == std::string::npos ? name : text(beginning, "{}", name.substr(end));
}

/// How the parts share each tensor, by the names of the table.
inline std::map<std::string, Cut> cuts_by_name(const TensorTable& table) {
    std::map<std::string, Cut> cuts;
    for_each_message_type([&]<class M>() {
        for (const Row<M>& row : table.rows<M>())
            for (const std::string& name : row.names) cuts[name] = row.cut;
    });
    return cuts;
}

/// The same tensor of every part, as one. A part whose key/value rows are those of the `copies - 1` parts behind it as
/// well stands for them all.
inline Tensor joined_parts(std::span<const TensorDict> parts, const NamedTensor& first, Cut cut, std::uint64_t copies,
                           std::vector<std::string>& mixed) {
    std::string differ;
    std::vector<Tensor> shards;
    for (std::size_t part = 0; part < parts.size(); part += copies) {
        const NamedTensor* entry = parts[part].find(first.name);
        if (!entry) throw Error(text("tensor '", first.name, "' is in ", first.file, ", but not in part ", part));
        const std::string found = text(entry->file, ": tensor '", entry->name, "' is ", name(entry->tensor.dtype()),
                                       " ", entry->tensor.shape(), ", ", name(first.tensor.dtype()), " ",
                                       first.tensor.shape(), " in ", first.file);
        if (entry->tensor.shape() != first.tensor.shape()) throw Error(found);
        if (entry->tensor.dtype() != first.tensor.dtype()) differ = found;
        shards.push_back(entry->tensor);
    }
    if (!differ.empty()) require_one_type(shards, &mixed, differ);
    const std::size_t axis = cut == Cut::rows ? 0 : 1;
    if (first.tensor.shape().rank() <= axis)
        throw Error(
            text(first.file, ": tensor '", first.name, "' has shape ", first.tensor.shape(), ", expected a matrix"));
    return unshard(shards, axis);
}

}  // namespace detail

/// All parts as one. With more parts than key/value heads, several parts hold the same head (Llama 3 405B in 16 parts):
/// their rows are more than the header asks for, and each head is taken once. Parts that differ in their type are noted
/// in `mixed` and cast to one that holds them all.
inline TensorDict merge_original_parts(std::vector<TensorDict> parts, const TensorTable& table,
                                       const ModelHeader& header, std::vector<std::string>& mixed) {
    if (parts.size() == 1) return std::move(parts.front());
    const auto cuts = detail::cuts_by_name(table);
    const std::uint64_t key_rows = header.num_query_groups * header.kv_channels;
    TensorDict whole;
    for (NamedTensor entry : parts.front().entries()) {
        const auto found = cuts.find(detail::table_pattern(entry.name));
        const Cut cut = found == cuts.end() ? Cut::none : found->second;
        const bool is_key = entry.name.ends_with(".wk.weight") || entry.name.ends_with(".wv.weight");
        const std::uint64_t rows = entry.tensor.shape().rank() == 0 ? 0 : entry.tensor.shape()[0] * parts.size();
        const bool is_replicated =
            is_key && rows > key_rows && rows % key_rows == 0 && parts.size() % (rows / key_rows) == 0;
        if (cut != Cut::none)
            entry.tensor = detail::joined_parts(parts, entry, cut, is_replicated ? rows / key_rows : 1, mixed);
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

/// The object in params.json; newer files keep it under "model".
inline Json read_params(const std::filesystem::path& file) {
    Json params = read_json_object(file);
    if (const auto inner = params.find("model"); inner != params.end() && inner->is_object()) {
        Json object = *inner;
        return object;
    }
    return params;
}

}  // namespace crossdock
