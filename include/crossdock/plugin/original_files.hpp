// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "crossdock/container/safetensors/reader.hpp"
#include "crossdock/container/safetensors/writer.hpp"
#include "crossdock/container/tensor_writer.hpp"
#include "crossdock/container/torch/reader.hpp"
#include "crossdock/container/torch/writer.hpp"
#include "crossdock/family/family.hpp"
#include "crossdock/family/json.hpp"

namespace crossdock {

// The original layouts of Meta and mistralai: params.json, and consolidated.00.pth, consolidated.01.pth, … one for each
// model-parallel rank, or a single consolidated.safetensors.

/// The tensors of each rank. Throws Error when there are no files, or numbers are missing.
inline std::vector<TensorDict> read_original_ranks(const std::filesystem::path& directory) {
    std::vector<TensorDict> ranks;
    const auto single = directory / "consolidated.safetensors";
    if (std::filesystem::exists(single)) {
        ranks.push_back(safetensors::read(single));
        return ranks;
    }
    std::vector<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::directory_iterator(directory)) {
        const std::string name = entry.path().filename().string();
        if (name.starts_with("consolidated.") && name.ends_with(".pth")) files.push_back(entry.path());
    }
    std::sort(files.begin(), files.end());
    if (files.empty())
        throw Error(text(directory.string(), ": holds params.json but no consolidated.00.pth or consolidated.safetensors"));
    for (std::size_t rank = 0; rank < files.size(); ++rank) {
        const std::string expected = text("consolidated.", rank < 10 ? "0" : "", rank, ".pth");
        if (files[rank].filename() != expected)
            throw Error(text(directory.string(), ": ", expected, " is missing; there are ", files.size(), " parts"));
        ranks.push_back(torch::tensors(torch::read(files[rank]), files[rank].string()));
    }
    return ranks;
}

/// The files to write for each rank.
inline std::vector<std::unique_ptr<TensorWriter>> make_original_writers(const OriginalFormat& format, std::uint64_t ranks,
                                                                        std::size_t header_capacity,
                                                                        const std::filesystem::path& directory) {
    std::vector<std::unique_ptr<TensorWriter>> writers;
    if (format.safetensors) {
        writers.push_back(
            std::make_unique<safetensors::Writer>(directory / "consolidated.safetensors", header_capacity));
        return writers;
    }
    for (std::uint64_t rank = 0; rank < ranks; ++rank)
        writers.push_back(
            std::make_unique<torch::Writer>(directory / text("consolidated.", rank < 10 ? "0" : "", rank, ".pth")));
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
