// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "crossdock/container/json.hpp"
#include "support/catch.hpp"
#include "support/run_program.hpp"
#include "support/temporary_directory.hpp"

using Catch::Matchers::ContainsSubstring;
using Catch::Matchers::StartsWith;
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
    CHECK_THAT(result.out, ContainsSubstring("\n1 tensor has other elements (1 in all): final norm / weight: 1 of 64 "
                                             "elements differ, the first is [63]: "));
    CHECK_THAT(result.out, ContainsSubstring("\n1 difference: 31 tensors and "));
}

TEST_CASE("another element type is a difference, and values are compared in one that is named", "[cli]") {
    const TemporaryDirectory directory;
    const auto cast = directory / "f32";
    REQUIRE(crossdock_program({"convert", "--saver", "llama", "--load_dir", hf, "--save_dir", cast.string(), "--dtype",
                               "f32", "--quiet"})
                .exit_code == 0);
    const ProgramResult result = verify(hf, cast, {"--quiet"});
    CHECK(result.exit_code == 1);
    CHECK_THAT(result.out, StartsWith("31 tensors have other types: embeddings / word embeddings: is bf16 in A, f32 in "
                                      "B; transformer layer 0 / "));
    CHECK_THAT(result.out, ContainsSubstring("; and 28 more, which --json lists\n31 differences: 31 tensors and "));
    CHECK_THAT(verify(hf, cast).out, ContainsSubstring("to compare values, rounded to one type, give --dtype\n"));
    CHECK(verify(hf, cast, {"--dtype", "bf16", "--quiet"}).exit_code == 0);
    CHECK(verify(cast, hf, {"--dtype", "f32", "--quiet"}).exit_code == 0);
}

TEST_CASE("a cast that rounds is compared by rounding the wider side", "[cli]") {
    const TemporaryDirectory directory;
    const auto narrow = directory / "f16", wide = directory / "f32";
    const auto convert = [](const std::filesystem::path& from, const std::filesystem::path& to, const char* dtype) {
        return crossdock_program({"convert", "--saver", "llama", "--load_dir", from.string(), "--save_dir", to.string(),
                                  "--dtype", dtype, "--quiet"})
            .exit_code;
    };
    REQUIRE(convert(hf, narrow, "f16") == 0);
    REQUIRE(convert(narrow, wide, "f32") == 0);
    CHECK(verify(hf, wide, {"--dtype", "f32"}).exit_code == 1);  // f16 has lost what bf16 had
    CHECK(verify(hf, wide, {"--dtype", "f16"}).exit_code == 0);
}

TEST_CASE("what travels beside the weights is compared where both sides have it", "[cli]") {
    const TemporaryDirectory directory;
    const auto copy = [&](const char* name) {
        std::filesystem::copy(hf, directory / name);
        crossdock::test::write_file(directory / name / "tokenizer.json", "{}");
        return directory / name;
    };
    const auto a = copy("a"), b = copy("b");
    CHECK_THAT(verify(a, hf).out, ContainsSubstring("\nonly A has tokenizer.json\nequal: "));
    crossdock::test::write_file(b / "tokenizer.json", "{ }");
    crossdock::test::write_file(b / "README.md", "for people");
    std::string config = crossdock::test::read_file(b / "config.json");
    const std::string eos = "\"eos_token_id\": 2";
    REQUIRE(config.find(eos) != std::string::npos);
    config.replace(config.find(eos), eos.size(), "\"eos_token_id\": [2, 3]");
    crossdock::test::write_file(b / "config.json", config);
    const ProgramResult result = verify(a, b, {"--quiet"});
    CHECK(result.exit_code == 1);
    CHECK_THAT(result.out, StartsWith("2 things beside the weights differ: beside / tokenizer.json: differs; beside / "
                                      "eos_token_id: 2 in A, [2,3] in B\n"));
}

TEST_CASE("--json has every difference and the counts of each kind", "[cli]") {
    const crossdock::Json same = crossdock::Json::parse(verify(hf, hf, {"--json"}).out);
    CHECK(same.at("equal") == true);
    CHECK(same.at("differences").empty());
    const ProgramResult result = verify(hf, CROSSDOCK_TEST_DATA "/hf/llama3-gqa", {"--json"});
    CHECK(result.exit_code == 1);
    const crossdock::Json found = crossdock::Json::parse(result.out);
    CHECK(found.at("equal") == false);
    CHECK(found.at("counts").at("missing") == 2);
    CHECK(found.at("counts").at("type") == 0);
    std::size_t count = 0;
    for (const auto& [kind, number] : found.at("counts").items()) count += number.template get<std::size_t>();
    CHECK(count == found.at("differences").size());
    CHECK(found.at("differences").at(0).at("place") == "header / num_layers");
    CHECK(found.at("differences").at(0).at("kind") == "header");
}

TEST_CASE("other sizes are named in the header and tensor by tensor", "[cli]") {
    const ProgramResult result = verify(hf, CROSSDOCK_TEST_DATA "/hf/llama3-gqa", {"--quiet"});
    CHECK(result.exit_code == 1);
    for (const std::string line :
         {" header fields differ: header / num_layers: 4 in A, 2 in B; ", "\n2 tensors or layers are missing: ",
          ": transformer layer 2: is missing in B; transformer layer 3: is missing in B\n",
          " tensors have other shapes: embeddings / word embeddings: has shape "})
        CHECK_THAT(result.out, ContainsSubstring(line));
}

TEST_CASE("a tensor that one side lacks is named", "[cli]") {
    const ProgramResult result =
        verify(CROSSDOCK_TEST_DATA "/hf/llama3.2-tied", CROSSDOCK_TEST_DATA "/hf/llama3-gqa", {"--quiet"});
    CHECK(result.exit_code == 1);
    CHECK_THAT(result.out, ContainsSubstring("header / tied_embeddings: true in A, false in B"));
    CHECK_THAT(result.out,
               ContainsSubstring("\n1 tensor or layer is missing: output layer / weight: is missing in A; it "
                                 "has shape [520, 64] in B\n"));
}

TEST_CASE("a side that cannot be opened is trouble, not a difference", "[cli]") {
    const ProgramResult result = verify(hf, "/nowhere");
    CHECK(result.exit_code == 2);
    CHECK(result.out.empty());
    CHECK(result.err == "crossdock: /nowhere: is not a directory\n");
}
