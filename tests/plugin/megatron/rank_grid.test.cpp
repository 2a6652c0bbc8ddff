// SPDX-License-Identifier: Apache-2.0
#include "crossdock/plugin/megatron/rank_grid.hpp"

#include <string>
#include <vector>

#include "support/catch.hpp"

using crossdock::missing_ranks;
using crossdock::rank_folder;
using crossdock::RankCoordinates;
using crossdock::RankGrid;

namespace {

std::vector<std::string> folders(const RankGrid& grid) {
    std::vector<std::string> names;
    for (std::uint64_t stage = 0; stage < grid.pipeline; ++stage)
        for (const RankCoordinates& at : grid.ranks_of(stage)) names.push_back(rank_folder(at, grid));
    return names;
}

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("ranks have the folders that training gives them", "[plugin][megatron]") {
    CHECK(folders({.tensor = 2, .pipeline = 2, .expert_tensor = 2}) ==
          Names{"mp_rank_00_000", "mp_rank_01_000", "mp_rank_00_001", "mp_rank_01_001"});
    CHECK(folders({.expert = 2}) == Names{"mp_rank_00_000", "mp_rank_00_001"});
    CHECK(folders({.tensor = 2, .expert = 2, .expert_tensor = 2}) ==
          Names{"mp_rank_00_000", "mp_rank_00_001", "mp_rank_01_000", "mp_rank_01_001"});
    CHECK(folders({.tensor = 2, .expert = 2}) == Names{"mp_rank_00_000", "mp_rank_01_001"});
    CHECK(folders({.tensor = 2, .expert = 4}) ==
          Names{"mp_rank_00_000", "mp_rank_00_002", "mp_rank_01_001", "mp_rank_01_003"});
    CHECK(folders({.pipeline = 2, .expert = 2}) ==
          Names{"mp_rank_00_000_000", "mp_rank_00_000_001", "mp_rank_00_001_000", "mp_rank_00_001_001"});
}

TEST_CASE("experts of a rank are cut by its number among those that share them", "[plugin][megatron]") {
    for (const RankCoordinates& at : RankGrid{.tensor = 4, .expert = 2, .expert_tensor = 2}.ranks_of(0)) {
        INFO(at.tensor << ' ' << at.expert);
        CHECK(at.expert_tensor == at.tensor % 2);
        CHECK(at.expert == at.tensor / 2);
    }
}

TEST_CASE("all ranks that are missing are counted, and the first of them named", "[plugin][megatron]") {
    const RankGrid grid{.tensor = 2, .pipeline = 2, .expert_tensor = 2};
    CHECK(missing_ranks(grid, [](const RankCoordinates&) { return true; }).empty());
    CHECK(missing_ranks(grid, [](const RankCoordinates& at) { return at.tensor == at.pipeline; }) ==
          "2 of 4 ranks are missing: mp_rank_01_000, mp_rank_00_001");
    CHECK(missing_ranks({.tensor = 9, .expert_tensor = 9}, [](const RankCoordinates& at) { return at.tensor < 1; }) ==
          "8 of 9 ranks are missing: mp_rank_01, mp_rank_02, mp_rank_03, mp_rank_04, mp_rank_05, …");
}
