// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "crossdock/core/checked.hpp"
#include "crossdock/core/text.hpp"
#include "crossdock/family/ranks.hpp"

namespace crossdock {

/// How many ranks a checkpoint's files are of, in each kind of parallelism.
struct RankGrid {
    std::uint64_t tensor = 1, pipeline = 1, expert = 1, expert_tensor = 1;

    /// The ranks of a stage that have a file of their own, in their order: of those that Megatron starts, number r has
    /// tensor-parallel number r mod TP, expert-tensor-parallel number r mod ETP and expert-parallel number (r div ETP)
    /// mod EP, and files are told by the first and the last (core_v0.16.1, megatron/core/parallel_state.py;
    /// megatron/training/checkpointing.py, get_checkpoint_name).
    std::vector<RankCoordinates> ranks_of(std::uint64_t stage) const {
        const std::uint64_t experts = checked_multiply(expert, expert_tensor, "expert-parallel ranks");
        std::set<std::pair<std::uint64_t, std::uint64_t>> known;
        std::vector<RankCoordinates> ranks;
        for (std::uint64_t rank = 0; rank < std::lcm(tensor, experts); ++rank) {
            const RankCoordinates at{.pipeline = stage,
                                     .tensor = rank % tensor,
                                     .expert = rank / expert_tensor % expert,
                                     .expert_tensor = rank % expert_tensor};
            if (known.emplace(at.tensor, at.expert).second) ranks.push_back(at);
        }
        std::sort(ranks.begin(), ranks.end());
        return ranks;
    }
};

/// "mp_rank_01", "mp_rank_01_003" of a pipeline or of experts, "mp_rank_01_003_000" of both.
inline std::string rank_folder(const RankCoordinates& at, const RankGrid& grid) {
    const auto padded = [](std::uint64_t number, std::size_t width) {
        const std::string digits = std::to_string(number);
        return std::string(digits.size() < width ? width - digits.size() : 0, '0') + digits;
    };
    return to_text("mp_rank_", padded(at.tensor, 2), grid.pipeline > 1 ? "_" + padded(at.pipeline, 3) : "",
                   grid.expert > 1 ? "_" + padded(at.expert, 3) : "");
}

/// "2 of 4 ranks are missing: mp_rank_02, mp_rank_03"; `is_there` tells those that are. Empty: none is missing.
inline std::string missing_ranks(const RankGrid& grid, auto&& is_there) {
    constexpr std::size_t shown = 5;
    std::uint64_t all = 0, missing = 0;
    std::vector<std::string> names;
    for (std::uint64_t stage = 0; stage < grid.pipeline; ++stage)
        for (const RankCoordinates& at : grid.ranks_of(stage)) {
            ++all;
            if (is_there(at)) continue;
            ++missing;
            if (names.size() < shown) names.push_back(rank_folder(at, grid));
        }
    if (missing == 0) return {};
    return to_text(missing, " of ", all,
                   missing == 1 ? " ranks is missing: " : " ranks are missing: ", joined_list(names),
                   missing > names.size() ? ", …" : "");
}

}  // namespace crossdock
