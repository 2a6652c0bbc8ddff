// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
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
using crossdock::Json;
using crossdock::test::crossdock_program;
using crossdock::test::ProgramResult;
using crossdock::test::read_file;
using crossdock::test::TemporaryDirectory;
using crossdock::test::write_file;

namespace {

const std::string data = CROSSDOCK_TEST_DATA;
const std::string hf = data + "/hf/llama2-gqa";

ProgramResult digest(const std::filesystem::path& directory, std::vector<std::string> options = {}) {
    options.insert(options.begin(), {"digest", directory.string()});
    return crossdock_program(std::move(options));
}

ProgramResult convert(const std::filesystem::path& from, const std::filesystem::path& to,
                      std::vector<std::string> options = {}) {
    options.insert(options.begin(), {"convert", "--load_dir", from.string(), "--save_dir", to.string(), "--quiet"});
    return crossdock_program(std::move(options));
}

void flip_last_bit(const std::filesystem::path& file) {
    std::string bytes = read_file(file);
    bytes.back() = static_cast<char>(bytes.back() ^ 1);
    write_file(file, bytes);
}

}  // namespace

TEST_CASE("digests are what Python's xxhash makes of the canonical bytes", "[cli][digest]") {
    for (const std::string name : {"llama2-gqa", "llama3.2-tied"}) {
        INFO(name);
        const ProgramResult result = digest(data + "/hf/" + name);
        CHECK(result.exit_code == 0);
        CHECK(result.err.empty());
        CHECK(result.out == read_file(data + "/digests/" + name + ".txt"));
    }
}

TEST_CASE("the same weights have the same lines, however they are stored", "[cli][digest]") {
    const std::string lines = digest(hf).out;
    for (const std::string other : {"/hf/llama2-gqa-bin-sharded", "/megatron-llm/llama2-gqa",
                                    "/megatron-llm/llama2-gqa-tp2pp2", "/megatron-lm/llama2-gqa-tp1"}) {
        INFO(other);
        CHECK(digest(data + other, {"--true_vocab_size", "600"}).out == lines);
    }
    const TemporaryDirectory directory;
    const auto distributed = directory / "distributed", parts = directory / "parts";
    REQUIRE(convert(hf, distributed, {"--saver", "mcore"}).exit_code == 0);
    CHECK(digest(distributed, {"--threads", "3", "--memory", "64"}).out == lines);
    REQUIRE(
        convert(distributed, parts,
                {"--saver", "megatron", "--target_tensor_parallel_size", "2", "--target_pipeline_parallel_size", "4"})
            .exit_code == 0);
    CHECK(digest(parts).out == lines);
}

TEST_CASE("--check says which tensors differ", "[cli][digest]") {
    const TemporaryDirectory directory;
    const auto lines = directory / "lines", json = directory / "json", changed = directory / "changed";
    write_file(lines, digest(hf).out);
    write_file(json, digest(hf, {"--json"}).out);
    std::filesystem::copy(hf, changed);
    for (const auto& file : {lines, json}) {
        INFO(file);
        const ProgramResult same = digest(hf, {"--check", file.string()});
        CHECK(same.exit_code == 0);
        CHECK_THAT(same.out, StartsWith("equal: 31 tensors "));
        CHECK(digest(hf, {"--check", file.string(), "--quiet"}).out.empty());
    }
    flip_last_bit(changed / "model.safetensors");
    for (const auto& file : {lines, json}) {
        INFO(file);
        const ProgramResult result = digest(changed, {"--check", file.string(), "--quiet"});
        CHECK(result.exit_code == 1);
        CHECK_THAT(result.out, StartsWith("1 tensor has other elements: final norm / weight: has the digest "));
        const Json found = Json::parse(digest(changed, {"--check", file.string(), "--json"}).out);
        CHECK(found.at("equal") == false);
        CHECK(found.at("counts").at("elements") == 1);
    }
}

TEST_CASE("--check with the model's line alone compares the model", "[cli][digest]") {
    const TemporaryDirectory directory;
    const std::string lines = digest(hf).out;
    const std::string model = lines.substr(lines.rfind('\n', lines.size() - 2) + 1);
    CHECK_THAT(model, Catch::Matchers::EndsWith("  model\n"));
    write_file(directory / "model", model);
    CHECK(digest(hf, {"--check", (directory / "model").string()}).exit_code == 0);
    const ProgramResult other = digest(data + "/hf/llama2-mha", {"--check", (directory / "model").string(), "--quiet"});
    CHECK(other.exit_code == 1);
    CHECK_THAT(other.out, StartsWith("1 tensor has other elements: model: has the digest "));
}

TEST_CASE("--check cannot tell where the file holds no digests", "[cli][digest]") {
    const TemporaryDirectory directory;
    const auto file = directory / "file";
    const auto trouble = [&](const std::string& content) {
        write_file(file, content);
        const ProgramResult result = digest(hf, {"--check", file.string()});
        CHECK(result.exit_code == 2);
        CHECK(result.out.empty());
        return result.err;
    };
    const std::string where = "crossdock: " + file.string() + ": ";
    CHECK(trouble("") == where + "is empty, expected digests\n");
    CHECK(trouble("nothing\n") == where + "line 1: expected a digest, two spaces and what it is of\n");
    CHECK(trouble("0123  model\n") == where + "line 1: '0123' is no digest, expected 32 hexadecimal digits\n");
    CHECK(trouble(std::string(32, '0') + "  bf16 norm\n") ==
          where + "line 1: 'bf16 norm' is no tensor, expected TYPE [SHAPE]  NAME\n");
    CHECK(trouble(std::string(32, '0') + "  bf17 [2]  norm\n") == where + "line 1: 'bf17' is no element type\n");
    CHECK(trouble("{}") == where + "expected a text named 'method'\n");
    CHECK(trouble("{\"method\": \"MD5\"}") ==
          where + "the digests are 'MD5', expected 'XXH3-128 of the XXH3-128s of blocks of 64 KiB'\n");
    CHECK_THAT(trouble("{\"crossdock\": \"0.1\"}"), ContainsSubstring("holds no digests: the target was not verified"));
    CHECK(digest("/nowhere").exit_code == 2);
}

TEST_CASE("a target that is verified keeps what it takes to check it later", "[cli][digest]") {
    const TemporaryDirectory directory;
    const auto source = directory / "source", target = directory / "target";
    std::filesystem::copy(hf, source);
    write_file(source / "tokenizer.json", "{}");
    const ProgramResult made = convert(
        source, target,
        {"--saver", "megatron", "--target_tensor_parallel_size", "2", "--dtype", "f16", "--verify", "--threads", "2"});
    REQUIRE(made.exit_code == 0);
    const Json sidecar = Json::parse(read_file(target / "crossdock.json"));
    const Json& proof = sidecar.at("proof");
    CHECK(proof.at("source") == Json{{"format", "Hugging Face (llama)"}, {"directory", "source"}});
    CHECK(proof.at("options") ==
          Json{{"dtype", "f16"}, {"loader", "llama"}, {"saver", "megatron"}, {"target_tensor_parallel_size", "2"}});
    CHECK(proof.at("files").size() == 2);  // and generation_config.json
    CHECK(proof.at("tensors").size() == 31);
    CHECK(proof.at("model") == Json::parse(digest(target, {"--json"}).out).at("model"));

    CHECK(digest(target, {"--check", (target / "crossdock.json").string()}).exit_code == 0);
    const ProgramResult verified = crossdock_program({"verify", target.string()});
    CHECK(verified.exit_code == 0);
    CHECK_THAT(verified.out, ContainsSubstring("equal: 31 tensors"));

    write_file(target / "tokenizer.json", "[]");
    const ProgramResult changed = crossdock_program({"verify", target.string(), "--quiet"});
    CHECK(changed.exit_code == 1);
    CHECK_THAT(changed.out, StartsWith("1 thing beside the weights differs: beside / tokenizer.json: differs\n"));
}

TEST_CASE("a target that --config describes anew is compared by its tensors", "[cli][digest]") {
    const TemporaryDirectory directory;
    const auto source = directory / "source", other = directory / "other", target = directory / "target";
    for (const auto& folder : {source, other}) std::filesystem::copy(hf, folder);
    write_file(source / "tokenizer.json", "{}");
    write_file(other / "tokenizer.json", "[]");
    const ProgramResult made =
        convert(source, target, {"--saver", "hf", "--config", other.string(), "--verify", "--threads", "1"});
    INFO(made.err);
    REQUIRE(made.exit_code == 0);
    CHECK(read_file(target / "tokenizer.json") == "[]");
    CHECK(crossdock_program({"verify", target.string(), "--quiet"}).exit_code == 0);
}

TEST_CASE("a checkpoint that keeps no digests cannot be verified alone", "[cli][digest]") {
    const ProgramResult none = crossdock_program({"verify", hf});
    CHECK(none.exit_code == 2);
    CHECK(none.err == "crossdock: " + hf + ": has no crossdock.json to compare with; name another checkpoint\n");
    const TemporaryDirectory directory;
    const auto target = directory / "target";
    REQUIRE(convert(hf, target, {"--saver", "hf"}).exit_code == 0);
    const ProgramResult unverified = crossdock_program({"verify", target.string()});
    CHECK(unverified.exit_code == 2);
    CHECK_THAT(unverified.err, ContainsSubstring("crossdock.json: holds no digests"));
}
