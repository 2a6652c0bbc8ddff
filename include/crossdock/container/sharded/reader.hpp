// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/container/safetensors/reader.hpp"
#include "crossdock/container/sharded/format.hpp"
#include "crossdock/container/tensor_dict.hpp"
#include "crossdock/container/torch/reader.hpp"
#include "crossdock/core/source.hpp"

namespace crossdock::sharded {

/// The tensors of a directory, and what is odd about it without making it unreadable.
struct Contents {
    TensorDict tensors;
    std::vector<std::string> warnings;
};

/// Reads one file of a sharded model.
using ReadFile = TensorDict (*)(const std::filesystem::path&);

namespace detail {

inline constexpr std::uint64_t max_index_bytes = 100'000'000;

inline std::string read_index_text(const std::filesystem::path& path) {
    const FileSource file(path);
    if (file.size() > max_index_bytes)
        throw Error(
            text(path.string(), ": holds ", file.size(), " bytes, an index of at most ", max_index_bytes, " is read"));
    std::string json(file.size(), '\0');
    file.read(0, std::as_writable_bytes(std::span(json)));
    return json;
}

inline TensorDict read_torch_file(const std::filesystem::path& path) {
    return torch::tensors(torch::read(path), path.string());
}

/// The files that the index names, each with its tensors.
inline std::map<std::string, std::vector<std::string>> tensors_by_file(const Index& index) {
    std::map<std::string, std::vector<std::string>> files;
    for (const auto& [tensor, file] : index.weight_map) files[file].push_back(tensor);
    return files;
}

inline void check_complete(const TensorDict& shard, const std::filesystem::path& path,
                           const std::vector<std::string>& expected, const std::filesystem::path& index) {
    for (const std::string& tensor : expected)
        if (!shard.find(tensor))
            throw Error(text(path.string(), ": tensor '", tensor, "' is missing; ", index.filename().string(),
                             " says that it is here"));
}

/// "a, b, c and 9 more"
inline std::string some_of(const std::vector<std::string>& names) {
    constexpr std::size_t shown = 3;
    const auto first = std::span(names).first(std::min(shown, names.size()));
    return names.size() > shown ? text(joined(first), " and ", names.size() - shown, " more") : joined(first);
}

/// Moves what the index places in this shard to `out`; the rest is left out with a warning.
inline void add_mapped(const TensorDict& shard, const std::string& file, const Index& index,
                       const std::filesystem::path& path, Contents& out) {
    std::vector<std::string> unmapped;
    for (const NamedTensor& entry : shard.entries()) {
        const auto place = index.weight_map.find(entry.name);
        if (place != index.weight_map.end() && place->second == file)
            out.tensors.add(entry);
        else
            unmapped.push_back(entry.name);
    }
    if (!unmapped.empty())
        out.warnings.push_back(
            text(path.string(), ": left out what the index does not place here: ", some_of(unmapped)));
}

}  // namespace detail

/// The tensors that an index.json names, file by file. Throws Error when a file or a tensor is missing, or when the map
/// leads out of the index's directory.
inline Contents read_index(const std::filesystem::path& path, ReadFile read_file) {
    const std::string json = detail::read_index_text(path);
    const Index index = within(path.string(), [&] { return parse_index(json); });
    Contents contents;
    for (const auto& [file, tensors] : detail::tensors_by_file(index)) {
        const std::filesystem::path shard_path = path.parent_path() / file;
        if (!std::filesystem::exists(shard_path))
            throw Error(text(shard_path.string(), ": is missing; ", path.filename().string(), " places ",
                             tensors.size(), " tensors there"));
        const TensorDict shard = read_file(shard_path);
        detail::check_complete(shard, shard_path, tensors, path);
        detail::add_mapped(shard, file, index, shard_path, contents);
    }
    return contents;
}

namespace detail {

/// One way to hold a model in a directory, in the order in which transformers looks for them.
struct Candidate {
    std::string file;
    bool is_index;
    ReadFile read_file;
};

inline std::vector<Candidate> candidates() {
    const ReadFile read_safetensors = [](const std::filesystem::path& path) { return safetensors::read(path); };
    return {{safetensors_names.single(), false, read_safetensors},
            {std::string(safetensors_names.index), true, read_safetensors},
            {torch_names.single(), false, read_torch_file},
            {std::string(torch_names.index), true, read_torch_file}};
}

inline std::vector<std::string> file_names(std::span<const Candidate> candidates) {
    std::vector<std::string> names;
    for (const Candidate& candidate : candidates) names.push_back(candidate.file);
    return names;
}

}  // namespace detail

/// The model in a Hugging Face directory: model.safetensors, else its index, else pytorch_model.bin, else its index.
/// Throws Error when there is none or when it cannot be read; a second way to read the directory is a warning.
inline Contents read_directory(const std::filesystem::path& directory) {
    std::vector<detail::Candidate> found = detail::candidates();
    const std::string known = joined(detail::file_names(found));
    std::erase_if(found, [&](const auto& candidate) { return !std::filesystem::exists(directory / candidate.file); });
    if (found.empty())
        throw Error(text(directory.string(), ": holds none of ", known, "; is it a Hugging Face model?"));
    const auto& [file, is_index, read_file] = found.front();
    Contents contents = is_index ? read_index(directory / file, read_file) : Contents{read_file(directory / file), {}};
    if (found.size() > 1)
        contents.warnings.push_back(text(directory.string(), ": also holds ",
                                         joined(detail::file_names(std::span(found).subspan(1))), ", not read; ", file,
                                         " comes first"));
    return contents;
}

}  // namespace crossdock::sharded
