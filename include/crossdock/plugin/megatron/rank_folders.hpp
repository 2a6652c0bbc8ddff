// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "crossdock/core/checked.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/text.hpp"
#include "crossdock/plugin/megatron/other_formats.hpp"

namespace crossdock {

// The torch format: a folder for each rank.
//     mp_rank_00/, mp_rank_01/ …                tensor-parallel ranks, without pipeline stages
//     mp_rank_00_000/, mp_rank_00_001/ …        tensor-parallel rank and stage
//         model_optim_rng.pt or model_rng.pt
// (megatron/checkpointing.py, get_checkpoint_name)

/// "mp_rank_01" or "mp_rank_01_003".
inline std::string rank_folder(std::uint64_t rank, std::uint64_t stage, std::uint64_t stages) {
    const auto padded = [](std::uint64_t number, std::size_t width) {
        const std::string digits = std::to_string(number);
        return std::string(digits.size() < width ? width - digits.size() : 0, '0') + digits;
    };
    return to_text("mp_rank_", padded(rank, 2), stages > 1 ? "_" + padded(stage, 3) : "");
}

/// "2 of 4 ranks are missing: mp_rank_02, mp_rank_03", of a set of ranks by stages; `is_there` tells those that are.
inline std::string missing_ranks(std::uint64_t ranks, std::uint64_t stages, std::uint64_t there, auto&& is_there) {
    constexpr std::size_t shown = 5;
    const std::uint64_t all = checked_multiply(ranks, stages, "the number of ranks"), count = all - there;
    std::vector<std::string> names;
    for (std::uint64_t stage = 0; stage < stages && names.size() < shown; ++stage)
        for (std::uint64_t rank = 0; rank < ranks && names.size() < shown; ++rank)
            if (!is_there(stage, rank)) names.push_back(rank_folder(rank, stage, stages));
    return to_text(count, " of ", all, count == 1 ? " ranks is missing: " : " ranks are missing: ", joined_list(names),
                   count > names.size() ? ", …" : "");
}

namespace detail {

/// The numbers in mp_rank_00_000_000; empty when it is not such a name. They fit 32 bits, so that one more is a count.
inline std::vector<std::uint64_t> rank_numbers(std::string_view name) {
    constexpr std::string_view beginning = "mp_rank_";
    if (!name.starts_with(beginning)) return {};
    std::vector<std::uint64_t> numbers;
    for (name.remove_prefix(beginning.size());;) {
        std::uint32_t number = 0;
        const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
        if (error != std::errc()) return {};
        numbers.push_back(number);
        name.remove_prefix(static_cast<std::size_t>(end - name.data()));
        if (name.empty()) return numbers;
        if (name.front() != '_') return {};
        name.remove_prefix(1);
    }
}

/// The weights in a rank's folder; empty when there are none (a data-parallel rank of a distributed optimizer).
inline std::optional<std::filesystem::path> weights_in(const std::filesystem::path& folder) {
    for (const char* name : {"model_optim_rng.pt", "model_rng.pt", "model_weights.ckpt"})
        if (std::filesystem::is_regular_file(folder / name)) return folder / name;
    return std::nullopt;
}

/// The folders of ranks in a directory, whatever they hold.
inline std::vector<std::filesystem::path> rank_folders(const std::filesystem::path& directory) {
    std::vector<std::filesystem::path> folders;
    for (const auto& entry : std::filesystem::directory_iterator(directory))
        if (entry.is_directory() && !rank_numbers(entry.path().filename().string()).empty())
            folders.push_back(entry.path());
    std::sort(folders.begin(), folders.end());
    return folders;
}

/// What the rank folders hold instead of weights, for an error.
inline std::string contents_of(const std::vector<std::filesystem::path>& folders) {
    constexpr std::size_t shown = 3;
    std::vector<std::string> names;
    if (folders.empty()) return {};
    for (const auto& entry : std::filesystem::directory_iterator(folders.front()))
        names.push_back(entry.path().filename().string());
    std::sort(names.begin(), names.end());
    const bool is_more = names.size() > shown;
    names.resize(std::min(names.size(), shown));
    return to_text("; ", folders.front().filename().string(), " holds ", names.empty() ? "nothing" : joined_list(names),
                   is_more ? ", …" : "");
}

/// All rank folders with weights, in order. Throws Error when the set has holes.
inline std::vector<std::vector<std::filesystem::path>> find_ranks(const std::filesystem::path& directory) {
    std::map<std::pair<std::uint64_t, std::uint64_t>, std::filesystem::path> files;  // by stage and rank
    std::uint64_t ranks = 0, stages = 0;
    const auto folders = rank_folders(directory);
    for (const std::filesystem::path& folder : folders) {
        const auto numbers = rank_numbers(folder.filename().string());
        const auto weights = weights_in(folder);
        if (!weights) continue;
        if (numbers.size() > 3 || (numbers.size() == 3 && numbers[2] > 0))
            throw Error(to_text(folder.string(), ": has an expert-parallel rank; mixtures of experts are not read"));
        const std::uint64_t stage = numbers.size() >= 2 ? numbers[1] : 0;
        if (!files.emplace(std::pair{stage, numbers[0]}, *weights).second)
            throw Error(to_text(folder.string(), ": stands beside another folder of the same rank"));
        ranks = std::max(ranks, numbers[0] + 1);
        stages = std::max(stages, stage + 1);
    }
    if (files.empty()) {
        refuse_other_formats(directory);
        throw Error(to_text(directory.string(), ": holds no mp_rank_…/model_optim_rng.pt", contents_of(folders)));
    }
    const auto is_there = [&](std::uint64_t stage, std::uint64_t rank) { return files.contains({stage, rank}); };
    if (files.size() != checked_multiply(ranks, stages, "the number of ranks"))
        throw Error(to_text(directory.string(), ": ", missing_ranks(ranks, stages, files.size(), is_there),
                            " (with their model_optim_rng.pt)"));
    std::vector<std::vector<std::filesystem::path>> found(stages);
    for (auto& [place, file] : files) found[place.first].push_back(std::move(file));
    return found;
}

}  // namespace detail

}  // namespace crossdock
