// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/container/foreign_directory.hpp"
#include "crossdock/container/json.hpp"
#include "crossdock/container/path_kind.hpp"
#include "crossdock/container/safetensors/reader.hpp"
#include "crossdock/container/safetensors/writer.hpp"
#include "crossdock/container/sharded/reader.hpp"
#include "crossdock/container/tensor_writer.hpp"
#include "crossdock/container/torch/reader.hpp"
#include "crossdock/container/torch/writer.hpp"
#include "crossdock/family/layout.hpp"

namespace crossdock {

// The files of Meta's and mistralai's releases: params.json, and consolidated.00.pth, consolidated.01.pth, … one for
// each model-parallel rank, or consolidated.safetensors, which may be in numbered files with an index.

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
    if (is_anything_at(directory / names.single()))
        return sharded::Contents{safetensors::read(directory / names.single()), {}};
    if (is_anything_at(directory / names.index)) return sharded::read_index(directory / names.index);
    const auto files = sharded::detail::numbered_files(directory, names);
    if (files.empty()) return std::nullopt;
    return sharded::Contents{read_numbered(directory, files), {}};
}

}  // namespace detail

/// Whether a directory holds weights in the original layout, complete or not.
inline bool holds_original_weights(const std::filesystem::path& directory) {
    const std::vector<std::string> names = detail::names_in(directory);
    return std::any_of(names.begin(), names.end(), [](const std::string& name) {
        return detail::matches(name, "consolidated*.safetensors") || detail::matches(name, "consolidated.*.pth");
    });
}

/// The tensors of each part. Throws Error when there are no files, or numbers are missing.
inline StoredParts read_original_parts(const std::filesystem::path& directory) {
    const std::vector<std::string> files = detail::part_files(directory);
    StoredParts contents{.parts = {}};
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
        contents.parts.push_back(torch::read_tensors(file));
    }
    return contents;
}

/// consolidated.00.pth and so on, one for each rank.
inline std::vector<std::unique_ptr<TensorWriter>> open_consolidated_parts(const TargetFiles& files) {
    std::vector<std::unique_ptr<TensorWriter>> writers;
    for (std::uint64_t rank = 0; rank < files.ranks; ++rank)
        writers.push_back(std::make_unique<torch::Writer>(files.directory / consolidated_name(rank)));
    return writers;
}

/// consolidated.safetensors.
inline std::vector<std::unique_ptr<TensorWriter>> open_consolidated(const TargetFiles& files) {
    std::vector<std::unique_ptr<TensorWriter>> writers;
    writers.push_back(
        std::make_unique<safetensors::Writer>(files.directory / "consolidated.safetensors", files.header_capacity));
    return writers;
}

/// The object in params.json; newer files keep it under "model", and how the weights are quantized beside that.
inline CarriedText open_params(const std::filesystem::path& file) {
    Json params = read_json_object(file);
    if (const auto inner = params.find("model"); inner != params.end() && inner->is_object()) {
        Json object = *inner;
        for (const char* key : {"quantization_args", "quantization", "lora_args"})
            if (const auto outer = params.find(key); outer != params.end()) object[key] = *outer;
        params = std::move(object);
    }
    std::string text = json_text(params, 0);
    return {std::move(text), std::move(params)};
}

}  // namespace crossdock
