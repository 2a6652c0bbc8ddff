// SPDX-License-Identifier: Apache-2.0
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/conversion.hpp"
#include "support/run_program.hpp"
#include "support/temporary_directory.hpp"

using namespace crossdock;
using test::golden;
using test::ProgramResult;
using test::RunningProgram;
using test::TemporaryDirectory;

namespace {

/// Runs the program as several ranks that meet in a directory; each may have arguments of its own.
std::vector<ProgramResult> in_ranks(const TemporaryDirectory& scratch,
                                    const std::vector<std::vector<std::string>>& ranks) {
    std::vector<std::unique_ptr<RunningProgram>> running;
    for (std::size_t rank = 0; rank < ranks.size(); ++rank) {
        std::vector<std::string> command{CROSSDOCK_CLI};
        command.insert(command.end(), ranks[rank].begin(), ranks[rank].end());
        for (const std::string& word :
             {std::string("--ranks"), std::to_string(ranks.size()), std::string("--rank"), std::to_string(rank),
              std::string("--meeting"), (scratch / "meeting").string(), std::string("--region_size"),
              std::string("4KiB"), std::string("--threads"), std::string("2")})
            command.push_back(word);
        running.push_back(std::make_unique<RunningProgram>(command));
    }
    std::vector<ProgramResult> results;
    for (const auto& program : running) results.push_back(program->wait());
    return results;
}

std::vector<std::string> conversion(const std::filesystem::path& source, const std::filesystem::path& target) {
    return {"convert",
            "--load_dir",
            source.string(),
            "--save_dir",
            target.string(),
            "--saver",
            "mcore",
            "--target_tensor_parallel_size",
            "2"};
}

}  // namespace

TEST_CASE("processes of a job array convert and compare together", "[cli][ranks]") {
    const TemporaryDirectory scratch;
    const auto source = golden("hf/llama3-gqa");
    REQUIRE(test::crossdock_program(conversion(source, scratch / "one")).exit_code == 0);
    const auto converted =
        in_ranks(scratch, std::vector<std::vector<std::string>>(3, conversion(source, scratch / "many")));
    for (std::size_t rank = 0; rank < 3; ++rank) {
        INFO("rank " << rank << ": " << converted[rank].err);
        CHECK(converted[rank].exit_code == 0);
        CHECK(converted[rank].out.empty() == (rank > 0));  // one speaks for all
        CHECK(converted[rank].err.empty() == (rank > 0));
    }
    CHECK_FALSE(std::filesystem::exists(scratch / "meeting"));
    CHECK(test::run_program({"/usr/bin/diff", "-r", (scratch / "one").string(), (scratch / "many").string()}).out ==
          "");

    const auto compared = in_ranks(
        scratch, std::vector<std::vector<std::string>>(2, {"verify", source.string(), (scratch / "many").string()}));
    CHECK_THAT(compared[0].out, Catch::Matchers::ContainsSubstring("equal: 17 tensors"));
    CHECK(compared[1].out.empty());
    CHECK(compared[1].exit_code == 0);
}

TEST_CASE("a process of a job array that fails ends them all", "[cli][ranks]") {
    const TemporaryDirectory scratch;
    const auto source = golden("hf/llama3-gqa");
    const auto results = in_ranks(scratch, {conversion(source, scratch / "many"), conversion(source, scratch / "many"),
                                            conversion(scratch / "nothing", scratch / "many")});
    for (const ProgramResult& result : results) CHECK(result.exit_code == 1);
    CHECK_THAT(results[0].err, Catch::Matchers::ContainsSubstring("rank 2 ("));
    CHECK_THAT(results[0].err, Catch::Matchers::ContainsSubstring("nothing"));
    CHECK(results[1].err.empty());
    CHECK_FALSE(std::filesystem::exists(scratch / "many"));
    CHECK_FALSE(std::filesystem::exists(scratch / ".many.crossdock-staging"));
}

TEST_CASE("the options for several processes are given together", "[cli][ranks]") {
    const ProgramResult result = test::crossdock_program({"verify", "a", "b", "--ranks", "2"});
    CHECK(result.exit_code == 2);
    CHECK(result.err == "crossdock: --ranks, --rank and --meeting are given together\n");
}
