// SPDX-License-Identifier: Apache-2.0
#include "crossdock/plugin/megatron_files.hpp"

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/temporary_directory.hpp"

using Catch::Matchers::ContainsSubstring;
using crossdock::find_megatron_files;
using crossdock::MegatronFiles;
using crossdock::test::TemporaryDirectory;

namespace {

void put(const std::filesystem::path& file, const std::string& content = {}) {
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << content;
}

/// "stage: rank rank …" for each stage, each rank as its file below the checkpoint's directory.
std::vector<std::vector<std::string>> found(const MegatronFiles& files) {
    std::vector<std::vector<std::string>> names;
    for (const auto& stage : files.stages) {
        names.emplace_back();
        for (const auto& rank : stage) names.back().push_back(rank.lexically_relative(files.directory).string());
    }
    return names;
}

std::string error_of(const std::filesystem::path& directory, const std::string& iteration = {}) {
    try {
        find_megatron_files(directory, iteration);
    } catch (const std::exception& error) {
        return error.what();
    }
    return "none";
}

using Stages = std::vector<std::vector<std::string>>;

}  // namespace

TEST_CASE("rank files are found by stage and rank, whatever their folders' order", "[plugin][megatron]") {
    const TemporaryDirectory root;
    for (const char* rank : {"mp_rank_01_001", "mp_rank_00_000", "mp_rank_01_000", "mp_rank_00_001"})
        put(root / "iter_0000012" / rank / "model_optim_rng.pt");
    put(root / "latest_checkpointed_iteration.txt", "12\n");
    const MegatronFiles files = find_megatron_files(root.path(), {});
    CHECK(files.iteration->number == 12);
    CHECK(found(files) == Stages{{"mp_rank_00_000/model_optim_rng.pt", "mp_rank_01_000/model_optim_rng.pt"},
                                 {"mp_rank_00_001/model_optim_rng.pt", "mp_rank_01_001/model_optim_rng.pt"}});
}

TEST_CASE("a distributed optimizer's ranks are passed over", "[plugin][megatron]") {
    const TemporaryDirectory root;
    put(root / "release/mp_rank_00/model_rng.pt");
    put(root / "release/mp_rank_00_000/optim.pt");
    put(root / "release/mp_rank_00_001/optim.pt");
    const MegatronFiles files = find_megatron_files(root.path(), {});
    CHECK(files.iteration->release);
    CHECK(found(files) == Stages{{"mp_rank_00/model_rng.pt"}});
}

TEST_CASE("the directory of an iteration may be named itself", "[plugin][megatron]") {
    const TemporaryDirectory root;
    put(root / "iter_0000007/mp_rank_00/model_optim_rng.pt");
    put(root / "iter_0000008/mp_rank_00/model_optim_rng.pt");
    const MegatronFiles files = find_megatron_files(root / "iter_0000007", {});
    CHECK(files.iteration->number == 7);
    CHECK(std::filesystem::equivalent(files.root, root.path()));
}

TEST_CASE("one of several iterations is chosen by the user or by the tracker", "[plugin][megatron]") {
    const TemporaryDirectory root;
    put(root / "iter_0000007/mp_rank_00/model_optim_rng.pt");
    put(root / "release/mp_rank_00/model_optim_rng.pt");
    CHECK(error_of(root.path()) == root.path().string() +
                                       ": holds several iterations and no latest_checkpointed_iteration.txt: "
                                       "iter_0000007, release; choose one with --load_iters");
    CHECK(find_megatron_files(root.path(), "7").directory == root / "iter_0000007");
    CHECK(find_megatron_files(root.path(), "release").directory == root / "release");
    CHECK_THAT(error_of(root.path(), "8"), ContainsSubstring("iter_0000008: does not exist; there are "));
    CHECK(error_of(root.path(), "last") == "--load_iters is 'last', expected an iteration or release");
    put(root / "latest_checkpointed_iteration.txt", "release");
    CHECK(find_megatron_files(root.path(), {}).directory == root / "release");
    put(root / "latest_checkpointed_iteration.txt", "../..");
    CHECK_THAT(error_of(root.path()), ContainsSubstring("expected 'release' or an iteration's number"));
}

TEST_CASE("a set of ranks with holes or doubles is refused", "[plugin][megatron]") {
    const TemporaryDirectory root;
    const auto directory = root / "release";
    put(directory / "mp_rank_00/model_optim_rng.pt");
    put(directory / "mp_rank_02/model_optim_rng.pt");
    CHECK(error_of(root.path()) == directory.string() +
                                       ": the weights of tensor-parallel rank 1, stage 0 are missing; there are 3 "
                                       "ranks and 1 stages");
    put(directory / "mp_rank_00_000/model_optim_rng.pt");
    CHECK_THAT(error_of(root.path()), ContainsSubstring(": stands beside another folder of the same rank"));
    put(directory / "mp_rank_00_000_000/model_optim_rng.pt");
    std::filesystem::remove_all(directory / "mp_rank_00_000");
    CHECK_THAT(error_of(root.path()), ContainsSubstring("mp_rank_00_000_000: has an expert-parallel rank"));
}

TEST_CASE("numbers in folder names that no parallel size reaches are refused", "[plugin][megatron]") {
    const auto [folder, error] = GENERATE(std::pair("mp_rank_4294967295", "rank 0, stage 0 are missing"),
                                          std::pair("mp_rank_00_4294967295", "rank 0, stage 0 are missing"),
                                          std::pair("mp_rank_18446744073709551615", "holds no Megatron checkpoint"),
                                          std::pair("mp_rank_00_18446744073709551615", "holds no Megatron checkpoint"));
    const TemporaryDirectory root;
    put(root / folder / "model_optim_rng.pt");
    CHECK_THAT(error_of(root.path()), ContainsSubstring(error));
}
