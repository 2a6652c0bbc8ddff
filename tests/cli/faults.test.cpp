// SPDX-License-Identifier: Apache-2.0
#include <sys/stat.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <regex>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/run_program.hpp"
#include "support/temporary_directory.hpp"

using Catch::Matchers::ContainsSubstring;
using crossdock::test::crossdock_program;
using crossdock::test::ProgramResult;
using crossdock::test::read_file;
using crossdock::test::RunningProgram;
using crossdock::test::TemporaryDirectory;
namespace fs = std::filesystem;

namespace {

const std::string data = CROSSDOCK_TEST_DATA;

std::vector<std::string> conversion(const std::string& source, const fs::path& target,
                                    const std::vector<std::string>& more = {}) {
    std::vector<std::string> words{"convert", "--load_dir", source, "--save_dir", target.string()};
    words.insert(words.end(), more.begin(), more.end());
    return words;
}

ProgramResult in_shell(const std::string& line) { return RunningProgram({"/bin/sh", "-c", line}).wait(); }

}  // namespace

TEST_CASE("a dry run names the files and their sizes, and writes nothing", "[cli]") {
    const TemporaryDirectory place;
    const std::vector<std::vector<std::string>> targets{
        {data + "/hf/llama2-gqa", "--saver", "megatron", "--target_tensor_parallel_size", "2"},
        {data + "/hf/mixtral", "--saver", "mcore", "--target_tensor_parallel_size", "2"},
        {data + "/megatron-core/llama2-gqa-local-tp2", "--saver", "hf", "--max_shard_size", "100KB"},
        {data + "/megatron-dist/qwen2-mcore0.16-perlayer-singleton", "--saver", "mcore"}};
    for (const auto& words : targets) {
        const std::vector<std::string> more(words.begin() + 1, words.end());
        auto dry = conversion(words[0], place / "out", more);
        dry.emplace_back("--dry_run");
        const ProgramResult planned = crossdock_program(dry);
        INFO(planned.err);
        REQUIRE(planned.exit_code == 0);
        CHECK(fs::is_empty(place.path()));
        CHECK_THAT(planned.out, ContainsSubstring(" bytes free: enough\n"));
        CHECK_THAT(planned.out, ContainsSubstring("256 MiB at most"));
        CHECK_THAT(planned.out, ContainsSubstring(" source tensors: ") && ContainsSubstring(", 0 unknown (0 B)\n"));
        CHECK_THAT(planned.out, ContainsSubstring("--load_dir " + words[0]));
        const ProgramResult real = crossdock_program(conversion(words[0], place / "out", more));
        REQUIRE(real.exit_code == 0);
        CHECK(planned.err == real.err);
        std::size_t files = 0;
        std::uint64_t bytes = 0;
        for (const auto& entry : fs::recursive_directory_iterator(place / "out")) {
            if (!entry.is_regular_file()) continue;
            ++files, bytes += entry.file_size();
            const std::string name = fs::relative(entry.path(), place / "out").string();
            CHECK(std::regex_search(planned.out,
                                    std::regex("\n  " + name + " +" + std::to_string(entry.file_size()) + " bytes\n")));
        }
        CHECK_THAT(planned.out, ContainsSubstring(std::to_string(files) + " files would be written"));
        CHECK_THAT(planned.out, ContainsSubstring(std::to_string(bytes) + " in all files"));
        fs::remove_all(place / "out");
    }
}

TEST_CASE("a dry run refuses what a conversion would refuse", "[cli]") {
    const TemporaryDirectory place;
    const auto refusal_at = [](const fs::path& target) {
        const ProgramResult result =
            crossdock_program(conversion(data + "/hf/llama2-gqa", target, {"--saver", "megatron", "--dry_run"}));
        CHECK(result.exit_code == 1);
        return result.err;
    };
    fs::create_directory(place / "out");
    crossdock::test::write_file(place / "out/mine", "");
    CHECK_THAT(refusal_at(place / "out"), ContainsSubstring("exists already"));
    CHECK_THAT(refusal_at(place / "out/mine/model"), ContainsSubstring("out/mine: cannot be written: Not a directory"));
    CHECK_THAT(refusal_at(place / "out/mine/new/model"), ContainsSubstring("out/mine: cannot be written"));
}

TEST_CASE("an output that cannot be written is an error of every command", "[cli]") {
    const TemporaryDirectory place;
    const std::string program = std::string("'") + CROSSDOCK_CLI + "' ", model = "'" + data + "/hf/llama2-gqa' ";
    for (const std::string& command :
         {"inspect " + model, "inspect --json " + model, "verify " + model + model, "digest " + model,
          std::string("plugins "), std::string("--help "), std::string("--version "), std::string("convert --help "),
          "convert --saver megatron --load_dir " + model + "--save_dir '" + (place / "out").string() + "' "})
        for (const char* where : {"> /dev/full", ">&-"}) {
            const ProgramResult result = in_shell(program + command + where);
            INFO(command << where);
            CHECK(result.exit_code > 0);
            CHECK_THAT(result.err, ContainsSubstring("the standard output cannot be written"));
            fs::remove_all(place / "out");
        }
}

TEST_CASE("a target is no more open than its source", "[cli]") {
    const TemporaryDirectory place;
    fs::copy(data + "/hf/llama2-gqa", place / "model");
    fs::permissions(place / "model/model.safetensors", fs::perms::owner_read | fs::perms::owner_write);
    const ProgramResult result =
        in_shell("umask 022; '" + std::string(CROSSDOCK_CLI) + "' convert --saver mcore --quiet --load_dir '" +
                 (place / "model").string() + "' --save_dir '" + (place / "out").string() + "'");
    REQUIRE(result.exit_code == 0);
    CHECK(fs::status(place / "out").permissions() == fs::perms::owner_all);
    for (const auto& entry : fs::recursive_directory_iterator(place / "out"))
        if (entry.is_regular_file())
            CHECK(entry.status().permissions() == (fs::perms::owner_read | fs::perms::owner_write));
}

TEST_CASE("a run that nobody interrupts leaves the same with and without resume", "[cli]") {
    const TemporaryDirectory place;
    for (const char* name : {"a", "b"}) {
        std::vector<std::string> more{"--saver", "mcore", "--quiet"};
        if (std::string(name) == "b") more.emplace_back("--resume");
        REQUIRE(crossdock_program(conversion(data + "/hf/qwen2", place / name, more)).exit_code == 0);
    }
    CHECK(in_shell("diff -r '" + (place / "a").string() + "' '" + (place / "b").string() + "'").exit_code == 0);
    CHECK(std::distance(fs::directory_iterator(place.path()), fs::directory_iterator()) == 2);
}
