// SPDX-License-Identifier: Apache-2.0
#include <filesystem>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/run_program.hpp"
#include "support/temporary_directory.hpp"

using Catch::Matchers::ContainsSubstring;
using crossdock::test::crossdock_program;
using crossdock::test::ProgramResult;
using crossdock::test::TemporaryDirectory;

namespace {

const std::string hf = CROSSDOCK_TEST_DATA "/hf/llama2-gqa";

ProgramResult verify(const std::filesystem::path& a, const std::filesystem::path& b,
                     const std::vector<std::string>& options = {}) {
    std::vector<std::string> command{"verify", a.string(), b.string()};
    command.insert(command.end(), options.begin(), options.end());
    return crossdock_program(command);
}

}  // namespace

TEST_CASE("equal checkpoints are equal in whatever format", "[cli]") {
    const ProgramResult result = verify(hf, CROSSDOCK_TEST_DATA "/megatron-llm/llama2-gqa-tp2pp2");
    CHECK(result.exit_code == 0);
    CHECK(result.err.empty());
    CHECK_THAT(result.out, ContainsSubstring("100%  310 kB of 310 kB  "));
    CHECK_THAT(result.out, ContainsSubstring("\n168 padded rows of B's vocabulary are left out, it has 600 words\n"));
    CHECK_THAT(result.out, ContainsSubstring("\nequal: 31 tensors and "));
    CHECK_THAT(result.out, ContainsSubstring(" header fields compared, "));
}

TEST_CASE("quiet says nothing about equal checkpoints", "[cli]") {
    const ProgramResult result = verify(hf, hf, {"--quiet"});
    CHECK(result.exit_code == 0);
    CHECK(result.out.empty());
    CHECK(result.err.empty());
}

TEST_CASE("--true_vocab_size is for both sides", "[cli]") {
    const std::string megatron = CROSSDOCK_TEST_DATA "/megatron-llm/llama2-gqa-tp2pp2";
    const ProgramResult result = verify(megatron, megatron, {"--true-vocab-size", "600"});
    CHECK(result.exit_code == 0);
    CHECK_THAT(result.out, ContainsSubstring("168 padded rows of A's vocabulary are left out, it has 600 words\n"
                                             "168 padded rows of B's vocabulary are left out, it has 600 words\n"));
}

TEST_CASE("one bit is found and placed", "[cli]") {
    const TemporaryDirectory directory;
    const auto changed = directory / "changed";
    std::filesystem::copy(hf, changed);
    std::string bytes = crossdock::test::read_file(changed / "model.safetensors");
    bytes.back() = static_cast<char>(bytes.back() ^ 1);
    crossdock::test::write_file(changed / "model.safetensors", bytes);
    const ProgramResult result = verify(hf, changed);
    CHECK(result.exit_code == 1);
    CHECK(result.err.empty());
    CHECK_THAT(result.out, ContainsSubstring("final norm / weight: 1 of 64 elements differ, the first is [63]: "));
    CHECK_THAT(result.out, ContainsSubstring("\n1 difference: 31 tensors and "));
}

TEST_CASE("another element type is a difference", "[cli]") {
    const TemporaryDirectory directory;
    const auto cast = directory / "f32";
    REQUIRE(crossdock_program({"convert", "--saver", "llama", "--load_dir", hf, "--save_dir", cast.string(), "--dtype",
                               "f32", "--quiet"})
                .exit_code == 0);
    const ProgramResult result = verify(hf, cast, {"--quiet"});
    CHECK(result.exit_code == 1);
    CHECK_THAT(result.out, ContainsSubstring("transformer layer 3 / qkv weight: is bf16 in A, f32 in B\n"));
    CHECK_THAT(result.out, ContainsSubstring("31 differences: 31 tensors and "));
}

TEST_CASE("other sizes are named in the header and tensor by tensor", "[cli]") {
    const ProgramResult result = verify(hf, CROSSDOCK_TEST_DATA "/hf/llama3-gqa", {"--quiet"});
    CHECK(result.exit_code == 1);
    for (const std::string line :
         {"header / num_layers: 4 in A, 2 in B\n", "header / rope_theta: 10000.0 in A, 500000.0 in B\n",
          "transformer layer 0 / qkv weight: has shape [96, 64] in A, [128, 64] in B\n",
          "transformer layer 2: is missing in B\n"})
        CHECK_THAT(result.out, ContainsSubstring(line));
}

TEST_CASE("a tensor that one side lacks is named", "[cli]") {
    const ProgramResult result =
        verify(CROSSDOCK_TEST_DATA "/hf/llama3.2-tied", CROSSDOCK_TEST_DATA "/hf/llama3-gqa", {"--quiet"});
    CHECK(result.exit_code == 1);
    CHECK_THAT(result.out, ContainsSubstring("header / tied_embeddings: true in A, false in B\n"));
    CHECK_THAT(result.out, ContainsSubstring("output layer / weight: is missing in A; it has shape [520, 64] in B\n"));
}

TEST_CASE("a side that cannot be opened is an error", "[cli]") {
    const ProgramResult result = verify(hf, "/nowhere");
    CHECK(result.exit_code == 1);
    CHECK(result.out.empty());
    CHECK(result.err == "crossdock: /nowhere: is not a directory\n");
}
