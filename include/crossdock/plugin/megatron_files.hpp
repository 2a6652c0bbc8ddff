// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/core/error.hpp"
#include "crossdock/core/text.hpp"
#include "crossdock/family/json.hpp"

namespace crossdock {

// <root>/latest_checkpointed_iteration.txt      "release", or the iteration in decimal
// <root>/release/ or iter_0000001/
//     mp_rank_00/, mp_rank_01/ …                tensor-parallel ranks, without pipeline stages
//     mp_rank_00_000/, mp_rank_00_001/ …        tensor-parallel rank and stage
//         model_optim_rng.pt or model_rng.pt
// (megatron/checkpointing.py, get_checkpoint_name)

/// An iteration as Megatron names it.
struct Iteration {
    std::uint64_t number = 0;
    bool release = false;

    std::string text() const { return release ? "release" : std::to_string(number); }
    std::string directory() const {
        if (release) return "release";
        const std::string digits = std::to_string(number);
        return "iter_" + std::string(digits.size() < 7 ? 7 - digits.size() : 0, '0') + digits;
    }
};

/// "release" or a positive number, white space around it allowed; empty when it is neither.
inline std::optional<Iteration> parse_iteration(std::string_view value) {
    const std::size_t begin = value.find_first_not_of(" \t\r\n");
    if (begin == std::string_view::npos) return std::nullopt;
    value = value.substr(begin, value.find_last_not_of(" \t\r\n") - begin + 1);
    if (value == "release") return Iteration{0, true};
    Iteration iteration;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), iteration.number);
    if (error != std::errc() || end != value.data() + value.size()) return std::nullopt;
    return iteration;
}

/// The files of one checkpoint, by stage and tensor-parallel rank.
struct MegatronFiles {
    std::filesystem::path directory;  ///< of the iteration
    std::filesystem::path root;
    std::optional<Iteration> iteration;
    std::vector<std::vector<std::filesystem::path>> stages;  ///< [stage][rank]
};

namespace detail {

inline constexpr std::string_view tracker_name = "latest_checkpointed_iteration.txt";

/// The numbers in mp_rank_00_000_000; empty when it is no such name. They fit 32 bits, so that one more is a count.
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
    for (const char* name : {"model_optim_rng.pt", "model_rng.pt"})
        if (std::filesystem::exists(folder / name)) return folder / name;
    return std::nullopt;
}

inline bool is_iteration_directory(const std::filesystem::path& directory) {
    for (const auto& entry : std::filesystem::directory_iterator(directory))
        if (entry.is_directory() && !rank_numbers(entry.path().filename().string()).empty()) return true;
    return false;
}

inline void refuse_distributed(const std::filesystem::path& directory) {
    if (std::filesystem::exists(directory / "metadata.json") || std::filesystem::exists(directory / ".metadata"))
        throw Error(text(directory.string(),
                         ": is a distributed checkpoint (torch_dist); save it with --ckpt-format torch, whose "
                         "mp_rank_… folders are read"));
}

/// The iteration directories under a root, by name.
inline std::vector<std::string> iteration_directories(const std::filesystem::path& root) {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(root)) {
        const std::string name = entry.path().filename().string();
        if (entry.is_directory() && (name == "release" || name.starts_with("iter_"))) names.push_back(name);
    }
    std::sort(names.begin(), names.end());
    return names;
}

inline Iteration tracked_iteration(const std::filesystem::path& tracker) {
    const auto iteration = parse_iteration(read_text(tracker));
    if (!iteration) throw Error(text(tracker.string(), ": expected 'release' or an iteration's number"));
    return *iteration;
}

/// The iteration to read under a root that holds several.
inline Iteration choose_iteration(const std::filesystem::path& root, const std::string& asked) {
    if (!asked.empty()) {
        const auto iteration = parse_iteration(asked);
        if (!iteration) throw UsageError(text("--load_iters is '", asked, "', expected an iteration or release"));
        // Megatron-LLM's converter takes 0 for release.
        return iteration->number == 0 ? Iteration{0, true} : *iteration;
    }
    if (std::filesystem::exists(root / tracker_name)) return tracked_iteration(root / tracker_name);
    const std::vector<std::string> names = iteration_directories(root);
    if (names.size() == 1)
        if (const auto only = parse_iteration(names[0].starts_with("iter_") ? names[0].substr(5) : names[0]))
            return *only;
    if (names.empty())
        throw Error(text(root.string(), ": holds no Megatron checkpoint: no ", tracker_name,
                         ", no iteration directory and no mp_rank_… folder"));
    throw Error(text(root.string(), ": holds several iterations and no ", tracker_name, ": ", joined(names),
                     "; choose one with --load_iters"));
}

/// All rank folders with weights, in order. Throws Error when the set has holes.
inline std::vector<std::vector<std::filesystem::path>> find_ranks(const std::filesystem::path& directory) {
    std::map<std::pair<std::uint64_t, std::uint64_t>, std::filesystem::path> files;  // by stage and rank
    std::uint64_t ranks = 0, stages = 0;
    for (const auto& entry : std::filesystem::directory_iterator(directory)) {
        const auto numbers = rank_numbers(entry.path().filename().string());
        if (numbers.empty() || !entry.is_directory()) continue;
        const auto weights = weights_in(entry.path());
        if (!weights) continue;
        if (numbers.size() > 2)
            throw Error(text(entry.path().string(), ": has an expert-parallel rank; mixtures of experts are not read"));
        const std::uint64_t stage = numbers.size() == 2 ? numbers[1] : 0;
        if (!files.emplace(std::pair{stage, numbers[0]}, *weights).second)
            throw Error(text(entry.path().string(), ": stands beside another folder of the same rank"));
        ranks = std::max(ranks, numbers[0] + 1);
        stages = std::max(stages, stage + 1);
    }
    if (files.empty()) {
        refuse_distributed(directory);
        throw Error(text(directory.string(), ": holds no mp_rank_…/model_optim_rng.pt"));
    }
    std::vector<std::vector<std::filesystem::path>> found;
    for (std::uint64_t stage = 0; stage < stages; ++stage) {
        found.emplace_back();
        for (std::uint64_t rank = 0; rank < ranks; ++rank) {
            const auto file = files.find({stage, rank});
            if (file == files.end())
                throw Error(text(directory.string(), ": the weights of tensor-parallel rank ", rank, ", stage ", stage,
                                 " are missing; there are ", ranks, " ranks and ", stages, " stages"));
            found.back().push_back(file->second);
        }
    }
    return found;
}

}  // namespace detail

/// Finds a checkpoint's files; `directory` is its root or the directory of an iteration, `asked` an iteration or empty.
inline MegatronFiles find_megatron_files(const std::filesystem::path& directory, const std::string& asked) {
    if (!std::filesystem::is_directory(directory)) throw Error(text(directory.string(), ": is not a directory"));
    MegatronFiles files{.directory = directory, .root = directory, .iteration = std::nullopt, .stages = {}};
    if (!detail::is_iteration_directory(directory)) {
        detail::refuse_distributed(directory);
        files.iteration = detail::choose_iteration(directory, asked);
        files.directory = directory / files.iteration->directory();
        if (!std::filesystem::is_directory(files.directory))
            throw Error(text(files.directory.string(), ": does not exist; there are ",
                             joined(detail::iteration_directories(directory))));
    } else if (const std::string name = std::filesystem::canonical(directory).filename().string();
               name == "release" || name.starts_with("iter_")) {
        files.iteration = parse_iteration(name.starts_with("iter_") ? name.substr(5) : name);
        files.root = std::filesystem::canonical(directory).parent_path();
    }
    files.stages = detail::find_ranks(files.directory);
    return files;
}

/// "mp_rank_01" or "mp_rank_01_003".
inline std::string rank_folder(std::uint64_t rank, std::uint64_t stage, std::uint64_t stages) {
    const auto padded = [](std::uint64_t number, std::size_t width) {
        const std::string digits = std::to_string(number);
        return std::string(digits.size() < width ? width - digits.size() : 0, '0') + digits;
    };
    return text("mp_rank_", padded(rank, 2), stages > 1 ? "_" + padded(stage, 3) : "");
}

}  // namespace crossdock
