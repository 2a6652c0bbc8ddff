// SPDX-License-Identifier: Apache-2.0
#include "crossdock/plugin/megatron/rank_files.hpp"

#include <filesystem>

#include "golden/checkpoint_files.hpp"
#include "support/catch.hpp"
#include "support/conversion.hpp"
#include "support/temporary_directory.hpp"

using namespace crossdock;
using namespace crossdock::test;
using Catch::Matchers::ContainsSubstring;

namespace {

RankGrid grid(std::vector<std::vector<std::uint64_t>> numbers, const Json& args) {
    std::vector<RankFolder> folders;
    for (auto& of_one : numbers) folders.push_back({std::move(of_one), "weights"});
    return detail::grid_of(folders, args);
}

std::string refusal_of_grid(std::vector<std::vector<std::uint64_t>> numbers, const Json& args) {
    return refusal([&] { grid(std::move(numbers), args); });
}

}  // namespace

TEST_CASE("a second number in folders' names is a stage's, or an expert-parallel rank's where args say so",
          "[plugin][megatron]") {
    const std::vector<std::vector<std::uint64_t>> two{{0, 0}, {0, 1}};
    CHECK(grid(two, Json::object()).pipeline == 2);
    CHECK(grid(two, {{"expert_model_parallel_size", 2}}).pipeline == 2);  // of a model without experts
    CHECK(grid(two, {{"num_experts", 4}, {"expert_model_parallel_size", 2}}).expert == 2);
    CHECK(grid(two, {{"num_experts", 4}, {"expert_model_parallel_size", 2}, {"pipeline_model_parallel_size", 2}})
              .expert == 1);
    const RankGrid three = grid({{1, 2, 3}}, {{"num_experts", 4}, {"expert_tensor_parallel_size", 1}});
    CHECK((three.tensor == 2 && three.pipeline == 3 && three.expert == 4 && three.expert_tensor == 1));
}

TEST_CASE("numbers in folders' names that no parallel size reaches are refused", "[plugin][megatron]") {
    CHECK_THAT(refusal_of_grid({{4294967295}}, Json::object()),
               ContainsSubstring("weights: has the number 4294967295 in its folder's name"));
    CHECK_THAT(refusal_of_grid({{1'000'000, 1'000'000, 1'000'000}}, Json::object()),
               ContainsSubstring("overflows 64 bits"));
    CHECK_THAT(refusal_of_grid({{10'000, 10'000}}, Json::object()),
               ContainsSubstring("weights: is of more ranks than there can be"));
}

TEST_CASE("ranks that are missing are named", "[plugin][megatron]") {
    const TemporaryDirectory scratch;
    const auto root = copied("megatron-core/mixtral-local-tp2ep2", scratch);
    std::filesystem::remove_all(root / "iter_0000001/mp_rank_01_000");
    CHECK_THAT(refusal([&] { load("mcore", root); }),
               ContainsSubstring("1 of 4 ranks is missing: mp_rank_01_000 (with their model_optim_rng.pt)"));
}

TEST_CASE("a save that left out a tensor-parallel rank is refused", "[plugin][megatron]") {
    // Up to core_v0.17 only the first rank of those that hold the same experts writes.
    CHECK_THAT(refusal([&] { load("mcore", golden("incomplete/qwen3-moe-tp2etp1")); }),
               ContainsSubstring("1 of 2 ranks is missing: mp_rank_01; args say tensor_model_parallel_size 2") &&
                   ContainsSubstring("save it with a larger expert_tensor_parallel_size"));
}
