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

#include "crossdock/container/directory_tree.hpp"
#include "crossdock/container/path_kind.hpp"
#include "crossdock/core/checked.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/text.hpp"
#include "crossdock/plugin/megatron/other_formats.hpp"

namespace crossdock {

// The torch format: a folder for each rank.
//     mp_rank_00/, mp_rank_01/ …                tensor-parallel ranks, without pipeline stages
//     mp_rank_00_000/, mp_rank_00_001/ …        tensor-parallel rank and stage, or expert-parallel rank
//     mp_rank_00_000_000/ …                     all three
//         model_optim_rng.pt or model_rng.pt
// (megatron/checkpointing.py, get_checkpoint_name)

/// The folder of a rank: the numbers in its name, and its weights.
struct RankFolder {
    std::vector<std::uint64_t> numbers;  ///< tensor-parallel, then pipeline and expert-parallel where there are several
    std::filesystem::path weights;
};

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
        if (is_file_at(folder / name)) return folder / name;
    return std::nullopt;
}

/// The folders of ranks in a directory, whatever they hold.
inline std::vector<std::filesystem::path> rank_folders(const std::filesystem::path& directory) {
    std::vector<std::filesystem::path> folders;
    for (const std::string& name : names_in(directory))
        if (!rank_numbers(name).empty() && is_directory_at(directory / name)) folders.push_back(directory / name);
    return folders;
}

/// What the rank folders hold instead of weights, for an error.
inline std::string contents_of(const std::vector<std::filesystem::path>& folders) {
    constexpr std::size_t shown = 3;
    if (folders.empty()) return {};
    std::vector<std::string> names = names_in(folders.front());
    const bool is_more = names.size() > shown;
    names.resize(std::min(names.size(), shown));
    return to_text("; ", folders.front().filename().string(), " holds ", names.empty() ? "nothing" : joined_list(names),
                   is_more ? ", …" : "");
}

/// All rank folders with weights, in order. Throws Error when there are none, or two of one rank.
inline std::vector<RankFolder> find_ranks(const std::filesystem::path& directory) {
    std::map<std::vector<std::uint64_t>, std::filesystem::path> found;
    const auto folders = rank_folders(directory);
    for (const std::filesystem::path& folder : folders) {
        auto numbers = rank_numbers(folder.filename().string());
        const auto weights = weights_in(folder);
        if (!weights) continue;
        if (numbers.size() > 3)
            throw Error(
                to_text(folder.string(), ": has ", numbers.size(), " numbers in its name, at most 3 are known"));
        if (!found.emplace(std::move(numbers), *weights).second)
            throw Error(to_text(folder.string(), ": stands beside another folder of the same rank"));
    }
    if (found.empty()) {
        refuse_other_formats(directory);
        throw Error(to_text(directory.string(), ": holds no mp_rank_…/model_optim_rng.pt", contents_of(folders)));
    }
    const std::size_t numbers = found.begin()->first.size();
    std::vector<RankFolder> ranks;
    for (auto& [name, file] : found) {
        if (name.size() != numbers)
            throw Error(to_text(file.parent_path().string(), ": has ", name.size(), " numbers in its name, others ",
                                numbers, "; they are of different checkpoints"));
        ranks.push_back({name, std::move(file)});
    }
    return ranks;
}

}  // namespace detail

}  // namespace crossdock
