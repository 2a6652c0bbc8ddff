// SPDX-License-Identifier: Apache-2.0
#include "crossdock/container/files_world.hpp"

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "support/catch.hpp"
#include "support/temporary_directory.hpp"

using namespace crossdock;
using test::TemporaryDirectory;

namespace {

/// Runs `work` on several ranks that meet in a directory, and returns what each of them threw.
std::vector<std::string> in_files(const std::filesystem::path& directory, std::size_t ranks,
                                  const std::function<void(World&)>& work) {
    std::vector<std::string> thrown(ranks);
    std::vector<std::jthread> threads;
    for (std::size_t rank = 0; rank < ranks; ++rank)
        threads.emplace_back([&, rank] {
            try {
                FilesWorld world(directory, rank, ranks, std::chrono::seconds(20));
                together(world, [&] { work(world); });
            } catch (const Error& error) {
                thrown[rank] = error.what();
            }
        });
    threads.clear();
    return thrown;
}

}  // namespace

TEST_CASE("ranks that meet in files add, compare and tell", "[container][files_world]") {
    const TemporaryDirectory scratch;
    const auto thrown = in_files(scratch / "meeting", 4, [](World& world) {
        const std::uint64_t rank = world.rank();
        for (std::uint64_t round = 0; round < 20; ++round) {
            std::array<std::uint64_t, 2> values{rank + round, std::uint64_t{1} << rank};
            world.sum(values);
            if (values[0] != 6 + 4 * round || values[1] != 15) throw Error("the sum is wrong");
            std::uint64_t bits = 1 + rank;
            world.exclusive_or({&bits, 1});
            if (bits != 4) throw Error("the exclusive or is wrong");
            if (!world.is_same(round)) throw Error("the same is taken for different");
            if (world.is_same(rank / 3)) throw Error("different is taken for the same");
            if (world.from_leader(rank == 0 ? std::string(round, 'x') : "other") != std::string(round, 'x'))
                throw Error("the leader's text is wrong");
        }
    });
    CHECK(thrown == std::vector<std::string>(4));
    CHECK_FALSE(std::filesystem::exists(scratch / "meeting"));
}

TEST_CASE("ranks that meet in files hear of one that fails", "[container][files_world]") {
    const TemporaryDirectory scratch;
    const auto thrown = in_files(scratch / "meeting", 3, [](World& world) {
        world.meet();
        if (world.rank() == 1) throw Error("the disk is on fire");
        world.meet();
        world.sum(std::uint64_t{1});
    });
    for (const std::string& text : thrown) {
        CHECK(text.find("rank 1 (") == 0);
        CHECK(text.find("): the disk is on fire") != std::string::npos);
    }
}

TEST_CASE("a rank that says nothing any more is taken for dead", "[container][files_world]") {
    const TemporaryDirectory scratch;
    const auto meeting = scratch / "meeting";
    std::filesystem::create_directory(meeting);
    test::write_file(meeting / "rank-1.even", "");  // of one that came and was killed
    test::write_file(meeting / "rank-1.odd", "");
    FilesWorld world(meeting, 0, 2, std::chrono::seconds(1));
    CHECK_THROWS_WITH(world.meet(), "rank 1 has given no sign of life for 1 seconds; it was probably killed");
}

TEST_CASE("a directory to meet in is for one run", "[container][files_world]") {
    const TemporaryDirectory scratch;
    const FilesWorld world(scratch / "meeting", 0, 1);
    CHECK_THROWS_WITH(FilesWorld(scratch / "meeting", 0, 1),
                      (scratch / "meeting" / "rank-0.even").string() +
                          ": is there already; each run needs a new directory to meet in");
    CHECK_THROWS_WITH(FilesWorld(scratch / "other", 2, 2), "rank is 2, expected less than ranks, which is 2");
}
