// SPDX-License-Identifier: Apache-2.0
#include "crossdock/plugin/megatron/files.hpp"

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

/// The file of each rank, below the checkpoint's directory.
std::vector<std::string> found(const MegatronFiles& files) {
    std::vector<std::string> names;
    for (const auto& rank : files.ranks) names.push_back(rank.weights.lexically_relative(files.directory).string());
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

using Files = std::vector<std::string>;

}  // namespace

TEST_CASE("rank files are found by stage and rank, whatever their folders' order", "[plugin][megatron]") {
    const TemporaryDirectory root;
    for (const char* rank : {"mp_rank_01_001", "mp_rank_00_000", "mp_rank_01_000", "mp_rank_00_001"})
        put(root / "iter_0000012" / rank / "model_optim_rng.pt");
    put(root / "latest_checkpointed_iteration.txt", "12\n");
    const MegatronFiles files = find_megatron_files(root.path(), {});
    CHECK(files.iteration->number == 12);
    CHECK(found(files) == Files{"mp_rank_00_000/model_optim_rng.pt", "mp_rank_00_001/model_optim_rng.pt",
                                "mp_rank_01_000/model_optim_rng.pt", "mp_rank_01_001/model_optim_rng.pt"});
}

TEST_CASE("a distributed optimizer's ranks are passed over", "[plugin][megatron]") {
    const TemporaryDirectory root;
    put(root / "release/mp_rank_00/model_rng.pt");
    put(root / "release/mp_rank_00_000/optim.pt");
    put(root / "release/mp_rank_00_001/optim.pt");
    const MegatronFiles files = find_megatron_files(root.path(), {});
    CHECK(files.iteration->release);
    CHECK(found(files) == Files{"mp_rank_00/model_rng.pt"});
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
                                       "iter_0000007, release; choose one with the option load_iters");
    CHECK(find_megatron_files(root.path(), "7").directory == root / "iter_0000007");
    CHECK(find_megatron_files(root.path(), "release").directory == root / "release");
    CHECK_THAT(error_of(root.path(), "8"), ContainsSubstring("iter_0000008: does not exist; there are "));
    CHECK(error_of(root.path(), "last") == "load_iters is 'last', expected an iteration or release");
    put(root / "latest_checkpointed_iteration.txt", "release");
    CHECK(find_megatron_files(root.path(), {}).directory == root / "release");
    put(root / "latest_checkpointed_iteration.txt", "../..");
    CHECK_THAT(error_of(root.path()), ContainsSubstring("expected 'release' or an iteration's number"));
}

TEST_CASE("two folders of one rank, and folders of different checkpoints, are refused", "[plugin][megatron]") {
    const TemporaryDirectory root;
    const auto directory = root / "release";
    put(directory / "mp_rank_00/model_optim_rng.pt");
    put(directory / "mp_rank_0/model_optim_rng.pt");
    CHECK_THAT(error_of(root.path()), ContainsSubstring(": stands beside another folder of the same rank"));
    std::filesystem::remove_all(directory / "mp_rank_0");
    put(directory / "mp_rank_00_000/model_optim_rng.pt");
    CHECK_THAT(error_of(root.path()), ContainsSubstring("mp_rank_00_000: has 2 numbers in its name, others 1; they are "
                                                        "of different checkpoints"));
    std::filesystem::remove_all(directory / "mp_rank_00");
    put(directory / "mp_rank_00_000_000_000/model_optim_rng.pt");
    CHECK_THAT(error_of(root.path()),
               ContainsSubstring("mp_rank_00_000_000_000: has 4 numbers in its name, at most 3"));
}

TEST_CASE("a number in a folder's name that is too long for any makes it no rank's", "[plugin][megatron]") {
    const auto folder = GENERATE("mp_rank_18446744073709551615", "mp_rank_00_18446744073709551615");
    const TemporaryDirectory root;
    put(root / folder / "model_optim_rng.pt");
    CHECK_THAT(error_of(root.path()), ContainsSubstring("holds no Megatron checkpoint"));
}

TEST_CASE("a tracker is read with the white space, case and mark that editors leave", "[plugin][megatron]") {
    const TemporaryDirectory root;
    put(root / "iter_0001000/mp_rank_00/model_optim_rng.pt");
    put(root / "release/mp_rank_00/model_optim_rng.pt");
    const auto tracker = root / "latest_checkpointed_iteration.txt";
    for (const char* content : {"1000", "1000\n", "1000\r\n",
                                "\xEF\xBB\xBF"
                                "1000",
                                " 0001000 ", "iter_0001000\n"}) {
        put(tracker, content);
        CHECK(find_megatron_files(root.path(), {}).directory == root / "iter_0001000");
    }
    for (const char* content : {"release\n", "Release"}) {
        put(tracker, content);
        CHECK(find_megatron_files(root.path(), {}).directory == root / "release");
    }
    put(tracker, "3000");
    CHECK(error_of(root.path()) == tracker.string() +
                                       ": names iteration 3000, but there is no iter_0003000; there are iter_0001000, "
                                       "release; choose one with the option load_iters");
}

TEST_CASE("where one iteration is meant, it is read", "[plugin][megatron]") {
    const auto name = GENERATE("iter_0001000", "iter_1000", "global_step1000");
    const TemporaryDirectory root;
    put(root / name / "mp_rank_00/model_optim_rng.pt");
    put(root / "iter_0001000.bak/mp_rank_00/model_optim_rng.pt");
    put(root / "tensorboard/events");
    CHECK(find_megatron_files(root.path(), {}).directory == root / name);
    CHECK(find_megatron_files(root.path(), "1000").directory == root / name);
    put(root / "latest_checkpointed_iteration.txt", "1000");
    CHECK(find_megatron_files(root.path(), {}).iteration->number == 1000);
    put(root / "latest_checkpointed_iteration.txt", "");  // as an interrupted run leaves it
    const MegatronFiles files = find_megatron_files(root.path(), {});
    CHECK(files.directory == root / name);
    REQUIRE(files.notices.size() == 1);
    CHECK_THAT(files.notices[0], ContainsSubstring("names no iteration; " + std::string(name) + " is read"));
}

TEST_CASE("iteration 0 is one, unless there is a release", "[plugin][megatron]") {
    const TemporaryDirectory root;
    put(root / "iter_0000000/mp_rank_00/model_optim_rng.pt");
    CHECK(find_megatron_files(root.path(), "0").directory == root / "iter_0000000");
    put(root / "release/mp_rank_00/model_optim_rng.pt");
    CHECK(find_megatron_files(root.path(), "0").directory == root / "release");
}

TEST_CASE("the folder of a rank may be named, and a folder with one file", "[plugin][megatron]") {
    const TemporaryDirectory root;
    put(root / "iter_0000007/mp_rank_00/model_optim_rng.pt");
    put(root / "iter_0000007/mp_rank_01/model_optim_rng.pt");
    const MegatronFiles files = find_megatron_files(root / "iter_0000007/mp_rank_01", {});
    CHECK(found(files) == Files{"mp_rank_00/model_optim_rng.pt", "mp_rank_01/model_optim_rng.pt"});
    CHECK(files.iteration->number == 7);
    put(root / "alone/model_optim_rng.pt");
    CHECK(found(find_megatron_files(root / "alone", {})) == Files{"model_optim_rng.pt"});
}

TEST_CASE("a folder of one expert is a rank's", "[plugin][megatron]") {
    const TemporaryDirectory root;
    put(root / "iter_0000007/mp_rank_00_000_000/model_optim_rng.pt");
    CHECK(found(find_megatron_files(root.path(), {})) == Files{"mp_rank_00_000_000/model_optim_rng.pt"});
}

TEST_CASE("what is no file of Megatron's torch format is refused by what it is", "[plugin][megatron]") {
    const TemporaryDirectory root;
    const auto directory = root / "iter_0000007";
    SECTION("zarr") {
        put(directory / "metadata.json", R"({"sharded_backend": "zarr", "sharded_backend_version": 1})");
        CHECK_THAT(error_of(root.path()),
                   ContainsSubstring("iter_0000007: is a distributed checkpoint of the old zarr format"));
    }
    SECTION("a distributed checkpoint of PyTorch") {
        put(directory / ".metadata");
        put(directory / "__0_0.distcp");
        for (const auto& given : {root.path(), directory})
            CHECK_THAT(error_of(given), ContainsSubstring("iter_0000007: is a distributed checkpoint of PyTorch"));
    }
    SECTION("a distributed checkpoint without its index") {
        put(directory / "metadata.json", R"({"sharded_backend": "torch_dist", "sharded_backend_version": 1})");
        for (const auto& given : {root.path(), directory})
            CHECK_THAT(error_of(given), ContainsSubstring("iter_0000007: holds a metadata.json of torch_dist but no "
                                                          ".metadata"));
    }
    SECTION("a save that was interrupted") {
        put(directory / "__0_0.distcp");
        put(directory / "common.pt");
        for (const auto& given : {root.path(), directory})
            CHECK_THAT(error_of(given), ContainsSubstring("iter_0000007: holds .distcp files without .metadata and "
                                                          "metadata.json, which are written last"));
    }
    SECTION("DeepSpeed") {
        put(directory / "mp_rank_00_model_states.pt");
        CHECK_THAT(error_of(root.path()), ContainsSubstring("mp_rank_00_model_states.pt: is DeepSpeed's"));
    }
    SECTION("a rank without weights") {
        put(directory / "mp_rank_00/distrib_optim.pt");
        CHECK_THAT(error_of(root.path()), ContainsSubstring("holds no mp_rank_…/model_optim_rng.pt; mp_rank_00 holds "
                                                            "distrib_optim.pt"));
    }
}

TEST_CASE("a distributed checkpoint is found as rank files are", "[plugin][megatron]") {
    const TemporaryDirectory root;
    const char* const json = R"({"sharded_backend": "torch_dist", "sharded_backend_version": 1})";
    for (const char* folder : {"iter_0000007", "release"}) {
        put(root / folder / "metadata.json", json);
        put(root / folder / ".metadata");
    }
    put(root / "iter_0000009/__0_0.distcp");  // a save that is under way
    put(root / "latest_checkpointed_iteration.txt", "7");
    const MegatronFiles files = find_megatron_files(root.path(), {});
    CHECK(files.torch_dist);
    CHECK(files.ranks.empty());
    CHECK(files.directory == root / "iter_0000007");
    CHECK(find_megatron_files(root.path(), "release").directory == root / "release");
    const MegatronFiles given = find_megatron_files(root / "iter_0000007", {});
    CHECK(given.torch_dist);
    CHECK(given.iteration->number == 7);
    CHECK(std::filesystem::equivalent(given.root, root.path()));
    put(root / "weights/metadata.json", json);
    put(root / "weights/.metadata");
    CHECK(find_megatron_files(root / "weights", {}).root == root / "weights");
    put(root / "release/mp_rank_00/distrib_optim.pt");
    CHECK(find_megatron_files(root.path(), "release").torch_dist);
    put(root / "release/mp_rank_00/model_optim_rng.pt");
    CHECK_THAT(error_of(root.path(), "release"),
               ContainsSubstring("mp_rank_00: stands beside a distributed checkpoint"));
}

TEST_CASE("a distributed checkpoint of an unknown format or version is refused", "[plugin][megatron]") {
    const auto [json, error] =
        GENERATE(std::pair(R"({"sharded_backend": "torch_dist", "sharded_backend_version": 2})",
                           "metadata.json: 'sharded_backend_version' is 2, expected 1"),
                 std::pair(R"({"sharded_backend": "torch_dist"})", "'sharded_backend_version' is null, expected 1"),
                 std::pair(R"({"sharded_backend": "torch_dist", "sharded_backend_version": 1,
                               "common_backend": "torch", "common_backend_version": 2})",
                           "'common_backend_version' is 2, expected 1"),
                 std::pair(R"({"sharded_backend": "fsdp_dtensor", "sharded_backend_version": 1})",
                           "'sharded_backend' is \"fsdp_dtensor\", expected \"torch_dist\""),
                 std::pair(R"([1])", "metadata.json: expected a JSON object"), std::pair("{", "metadata.json: "));
    const TemporaryDirectory root;
    put(root / "release/metadata.json", json);
    put(root / "release/.metadata");
    CHECK_THAT(error_of(root.path()), ContainsSubstring(error));
    std::filesystem::remove(root / "release/.metadata");
    CHECK_THAT(error_of(root.path()), ContainsSubstring(error));
}
