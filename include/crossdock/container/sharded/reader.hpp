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
#include <system_error>
#include <utility>
#include <vector>

#include "crossdock/container/foreign_directory.hpp"
#include "crossdock/container/path_kind.hpp"
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

namespace detail {

inline constexpr std::uint64_t max_index_bytes = 100'000'000;

inline std::string read_index_text(const std::filesystem::path& path) {
    const FileSource file(path);
    if (file.size() > max_index_bytes)
        throw Error(to_text(path.string(), ": holds ", file.size(), " bytes, an index of at most ", max_index_bytes,
                            " is read"));
    std::string json(file.size(), '\0');
    file.read(0, std::as_writable_bytes(std::span(json)));
    return json;
}

}  // namespace detail

/// Reads one file of a model. As for transformers, its ending says what it is, whichever index names it.
inline TensorDict read_file(const std::filesystem::path& path) {
    if (path.extension() == safetensors_names.extension) return safetensors::read(path);
    return torch::read_tensors(path);
}

namespace detail {

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
            throw Error(to_text(path.string(), ": tensor '", tensor, "' is missing; ", index.filename().string(),
                                " says that it is here"));
}

/// "a, b, c and 9 more"
inline std::string some_of(const std::vector<std::string>& names) {
    constexpr std::size_t shown = 3;
    const auto first = std::span(names).first(std::min(shown, names.size()));
    return names.size() > shown ? to_text(joined_list(first), " and ", names.size() - shown, " more")
                                : joined_list(first);
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
            to_text(path.string(), ": left out what the index does not place here: ", some_of(unmapped)));
}

}  // namespace detail

/// The tensors that an index.json names, file by file. Throws Error when a file or a tensor is missing, or when the map
/// leads out of the index's directory.
inline Contents read_index(const std::filesystem::path& path) {
    const std::string json = detail::read_index_text(path);
    const Index index = in_context(path.string(), [&] { return parse_index(json); });
    Contents contents;
    for (const auto& [file, tensors] : detail::tensors_by_file(index)) {
        const std::filesystem::path shard_path = path.parent_path() / file;
        std::error_code failure;  // a name that no file can have: it is missing all the same
        if (!std::filesystem::exists(shard_path, failure))
            throw Error(to_text(shard_path.string(), ": is missing; ", path.filename().string(), " places ",
                                tensors.size(), " tensors there"));
        const TensorDict shard = read_file(shard_path);
        detail::check_complete(shard, shard_path, tensors, path);
        detail::add_mapped(shard, file, index, shard_path, contents);
    }
    return contents;
}

namespace detail {

/// The files that a directory may hold a model in, in the order in which transformers looks for them.
inline std::vector<std::string> candidates() {
    return {safetensors_names.single(), std::string(safetensors_names.index), torch_names.single(),
            std::string(torch_names.index)};
}

inline bool is_index(const std::filesystem::path& file) { return file.extension() == ".json"; }

/// Those of the files that are in the directory.
inline std::vector<std::string> present(const std::filesystem::path& directory, std::vector<std::string> files) {
    std::erase_if(files, [&](const std::string& file) { return !is_anything_at(directory / file); });
    return files;
}

/// The numbered files of a model, sorted.
inline std::vector<std::string> numbered_files(const std::filesystem::path& directory, const FileNames& names) {
    std::vector<std::string> files = crossdock::detail::names_in(directory);
    std::erase_if(files, [&](const std::string& file) { return !names.is_numbered(file); });
    return files;
}

/// Says why a directory without any of the candidates has no model.
[[noreturn]] inline void refuse_directory(const std::filesystem::path& directory) {
    for (const FileNames& names : {safetensors_names, torch_names})
        if (const auto files = numbered_files(directory, names); !files.empty())
            throw Error(to_text(directory.string(), ": holds ", files.front(), " but no index (", names.index,
                                "), which says what is in which file; get it from where the files are from"));
    if (const std::string what = foreign_directory(directory); !what.empty())
        throw Error(to_text(directory.string(), ": ", what));
    const std::vector<std::string> names = crossdock::detail::names_in(directory);
    for (const char* weights : {"*.safetensors", "pytorch_model*.bin"})
        if (const std::string file = crossdock::detail::find_name(names, weights); !file.empty())
            throw Error(to_text(directory.string(), ": holds ", file, ", but none of ", joined_list(candidates()),
                                "; rename it if it holds the model"));
    throw Error(
        to_text(directory.string(), ": has none of ", joined_list(candidates()), "; is it a Hugging Face model?"));
}

}  // namespace detail

/// Whether a directory holds files with weights in the Hugging Face layout, complete or not; an index alone is none.
inline bool holds_weights(const std::filesystem::path& directory) {
    return !detail::present(directory, {safetensors_names.single(), torch_names.single()}).empty() ||
           !detail::numbered_files(directory, safetensors_names).empty() ||
           !detail::numbered_files(directory, torch_names).empty();
}

/// The model in a Hugging Face directory: model.safetensors, else its index, else pytorch_model.bin, else its index.
/// Throws Error when there is none or when it cannot be read; a second way to read the directory is a warning.
inline Contents read_directory(const std::filesystem::path& directory) {
    const std::vector<std::string> found = detail::present(directory, detail::candidates());
    if (found.empty()) detail::refuse_directory(directory);
    const std::filesystem::path first = directory / found.front();
    Contents contents = detail::is_index(first) ? read_index(first) : Contents{read_file(first), {}};
    std::set<std::string> read{first.string()};
    for (const NamedTensor& entry : contents.tensors.entries()) read.insert(entry.file);
    std::vector<std::string> others = found;
    std::erase_if(others, [&](const std::string& file) { return read.contains((directory / file).string()); });
    if (!others.empty())
        contents.warnings.push_back(to_text(directory.string(), ": also holds ", joined_list(others), ", not read; ",
                                            found.front(), " comes first"));
    return contents;
}

}  // namespace crossdock::sharded
