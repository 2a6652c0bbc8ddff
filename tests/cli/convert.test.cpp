// SPDX-License-Identifier: Apache-2.0
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/run_program.hpp"
#include "support/temporary_directory.hpp"

using Catch::Matchers::ContainsSubstring;
using Catch::Matchers::Matches;
using crossdock::test::crossdock_program;
using crossdock::test::ProgramResult;
using crossdock::test::TemporaryDirectory;

namespace {

const std::string data = CROSSDOCK_TEST_DATA;

std::vector<std::string> hf_to_megatron(const std::string& source, const std::filesystem::path& target) {
    return {"convert", "--loader", "llama", "--saver", "megatron", "--load_dir", source, "--save_dir", target.string()};
}

std::vector<std::string> with(std::vector<std::string> arguments, const std::vector<std::string>& more) {
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
}

void check_equal(const std::filesystem::path& a, const std::filesystem::path& b) {
    const ProgramResult result = crossdock_program({"verify", a.string(), b.string(), "--quiet"});
    CHECK(result.exit_code == 0);
    CHECK(result.out.empty());
    CHECK(result.err.empty());
}

/// The one line that a failed conversion gives.
std::string error_of(std::vector<std::string> arguments) {
    const ProgramResult result = crossdock_program(std::move(arguments));
    CHECK(result.exit_code == 1);
    CHECK(result.err.find('\n') == result.err.size() - 1);
    return result.err;
}

}  // namespace

TEST_CASE("a conversion tells its messages, its warnings and what it did", "[cli]") {
    const TemporaryDirectory directory;
    const ProgramResult result = crossdock_program(hf_to_megatron(data + "/hf/llama2-gqa", directory / "out"));
    CHECK(result.exit_code == 0);
    CHECK_THAT(result.out, Matches("(\\d+%  [^\n]* of 321 kB  [^\n]*/s [^\n]*\n)*"
                                   "100%  321 kB of 321 kB  [^\n]* left  output layer\n"
                                   "converted 31 tensors, wrote 321 kB in [^\n]*\n"));
    CHECK_THAT(result.out, ContainsSubstring(" GB/s)\n"));
    CHECK(result.err ==
          "crossdock: warning: give Megatron these options, which it does not read from the checkpoint: "
          "--rope_theta 10000 --layernorm_epsilon 1e-05\n");
    check_equal(data + "/hf/llama2-gqa", directory / "out");
}

TEST_CASE("quiet leaves only the warnings", "[cli]") {
    const TemporaryDirectory directory;
    const ProgramResult result =
        crossdock_program(with(hf_to_megatron(data + "/hf/llama2-gqa", directory / "out"), {"--quiet"}));
    CHECK(result.exit_code == 0);
    CHECK(result.out.empty());
    CHECK_THAT(result.err, ContainsSubstring("crossdock: warning: "));
}

TEST_CASE("a terminal sees a bar", "[cli]") {
    const TemporaryDirectory directory;
    auto command = hf_to_megatron(data + "/hf/llama2-gqa", directory / "out");
    command.insert(command.begin(), CROSSDOCK_CLI);
    const ProgramResult result = crossdock::test::RunningProgram(command, {.stderr_is_terminal = true}).wait();
    CHECK(result.exit_code == 0);
    CHECK_THAT(result.err, ContainsSubstring("\rheader"));
    CHECK_THAT(result.err, ContainsSubstring("0%  0 B of "));
    CHECK_THAT(result.out, ContainsSubstring("converted 31 tensors"));
    CHECK_THAT(result.out, !ContainsSubstring("%"));
}

TEST_CASE("the reference's own command line works unchanged", "[cli]") {
    const TemporaryDirectory directory;
    const ProgramResult result = crossdock_program({"convert",
                                                    "--model_type",
                                                    "llama2",
                                                    "--loader",
                                                    "megatron",
                                                    "--saver",
                                                    "megatron",
                                                    "--load_dir",
                                                    data + "/megatron-llm/llama2-gqa",
                                                    "--save_dir",
                                                    (directory / "out").string(),
                                                    "--target_tensor_parallel_size",
                                                    "2",
                                                    "--target_pipeline_parallel_size",
                                                    "2",
                                                    "--megatron_path",
                                                    "/x",
                                                    "--bf16",
                                                    "--true_vocab_size",
                                                    "600",
                                                    "--max_queue_size",
                                                    "5",
                                                    "--no_checking"});
    CHECK(result.exit_code == 0);
    CHECK_THAT(result.err,
               ContainsSubstring("warning: --megatron_path has no effect: Megatron's code is not needed\n"));
    CHECK(std::filesystem::exists(directory / "out/release/mp_rank_01_001/model_optim_rng.pt"));
    check_equal(data + "/megatron-llm/llama2-gqa-tp2pp2", directory / "out");
}

TEST_CASE("what the reference takes with every plugin is taken, and said to have no effect", "[cli]") {
    const TemporaryDirectory directory;
    const ProgramResult result = crossdock_program(with(hf_to_megatron(data + "/hf/llama2-gqa", directory / "out"),
                                                        {"--megatron_path", "/x", "--kv_channels", "8", "--quiet"}));
    CHECK(result.exit_code == 0);
    for (const std::string option : {"--megatron_path", "--kv_channels"})
        CHECK_THAT(result.err, ContainsSubstring("crossdock: warning: " + option +
                                                 " has no effect with the loader 'llama' and the saver 'megatron'\n"));
}

TEST_CASE("options may be spelled with hyphens and with an equals sign", "[cli]") {
    const TemporaryDirectory directory;
    const ProgramResult result = crossdock_program(
        {"convert", "--model-type=llama2", "--loader=llama", "--saver=mcore", "--load-dir", data + "/hf/llama2-gqa",
         "--save-dir=" + (directory / "out").string(), "--target-tensor-parallel-size=2",
         "--target-pipeline-parallel-size", "2", "--transformer-impl", "local", "--no-checking", "--quiet"});
    CHECK(result.exit_code == 0);
    CHECK(std::filesystem::exists(directory / "out/iter_0000001/mp_rank_01_001/model_optim_rng.pt"));
    check_equal(data + "/megatron-core/llama2-gqa-local-tp2pp2", directory / "out");
}

TEST_CASE("the loader is recognised when nobody names it", "[cli]") {
    const TemporaryDirectory directory;
    for (const std::string source :
         {"hf/llama2-gqa", "megatron-llm/llama2-gqa-tp2pp2", "megatron-core/llama2-gqa-te-tp1"}) {
        const auto target = directory / std::filesystem::path(source).filename().string();
        const ProgramResult result =
            crossdock_program({"convert", "--saver", "llama", "--load_dir", data + "/" + source, "--save_dir",
                               target.string(), "--true_vocab_size", "600", "--quiet"});
        CHECK(result.exit_code == 0);
        check_equal(data + "/hf/llama2-gqa", target);
    }
    CHECK(error_of(
              {"convert", "--saver", "llama", "--load_dir", data + "/torch", "--save_dir", (directory / "x").string()})
              .starts_with("crossdock: " + data +
                           "/torch: is no checkpoint that a loader recognises; name one of the "
                           "loaders: "));
}

TEST_CASE("--dialect is the saver's, or the loader's where the saver has none", "[cli]") {
    const TemporaryDirectory directory;
    const auto lm = directory / "lm", hf = directory / "hf";
    CHECK(crossdock_program(with(hf_to_megatron(data + "/hf/llama2-gqa", lm), {"--dialect", "lm"})).exit_code == 0);
    CHECK(std::filesystem::exists(lm / "iter_0000001"));
    const std::vector<std::string> back{"convert",   "--saver",    "llama",    "--load_dir",
                                        lm.string(), "--save_dir", hf.string()};
    CHECK(crossdock_program(with(back, {"--dialect", "lm"})).exit_code == 0);
    CHECK(crossdock_program(with(back, {"--dialect", "llm", "--overwrite"})).exit_code == 1);
    check_equal(data + "/hf/llama2-gqa", hf);
}

TEST_CASE("--bf16 is --dtype bf16", "[cli]") {
    const TemporaryDirectory directory;
    const auto f32 = directory / "f32", a = directory / "a", b = directory / "b";
    const auto cast = [](const std::filesystem::path& from, const std::filesystem::path& to,
                         const std::vector<std::string>& dtype) {
        return crossdock_program(with({"convert", "--saver", "llama", "--load_dir", from.string(), "--save_dir",
                                       to.string(), "--quiet"},
                                      dtype))
            .exit_code;
    };
    CHECK(cast(data + "/hf/llama2-gqa", f32, {"--dtype", "f32"}) == 0);
    CHECK(cast(f32, a, {"--bf16"}) == 0);
    CHECK(cast(f32, b, {"--bf16", "--dtype=torch.BFloat16"}) == 0);
    check_equal(data + "/hf/llama2-gqa", a);
    check_equal(a, b);
}

TEST_CASE("loader and saver may be left out as with the reference", "[cli]") {
    const TemporaryDirectory directory;
    const auto target = directory / "out";
    const auto result = crossdock_program(
        {"convert", "--model_type", "llama2", "--load_dir", data + "/hf/llama2-gqa", "--save_dir", target.string()});
    CHECK(result.exit_code == 0);
    CHECK(std::filesystem::exists(target / "release" / "mp_rank_00" / "model_optim_rng.pt"));
}

TEST_CASE("who uses no line of the reference names the saver", "[cli]") {
    const TemporaryDirectory directory;
    const ProgramResult result = crossdock_program({"convert", data + "/hf/llama2-gqa", (directory / "out").string()});
    CHECK(result.exit_code == 2);
    CHECK(result.err ==
          "crossdock: --saver is missing: --saver mcore writes Megatron-Core's format, --saver hf Hugging Face's; "
          "crossdock plugins lists all\n");
    CHECK(!std::filesystem::exists(directory / "out"));
}

TEST_CASE("source and target may stand as words", "[cli]") {
    const TemporaryDirectory directory;
    const std::string target = (directory / "out").string();
    CHECK(crossdock_program({"convert", "--saver", "hf", data + "/hf/llama2-gqa", target}).exit_code == 0);
    check_equal(data + "/hf/llama2-gqa", directory / "out");
}

TEST_CASE("JSON tells progress and the report", "[cli]") {
    const TemporaryDirectory directory;
    const auto convert = [&](const std::string& target, std::vector<std::string> more) {
        return crossdock_program(with(
            {"convert", "--saver", "mcore", "--json", data + "/hf/llama2-gqa", (directory / target).string()}, more));
    };
    const std::string out = convert("a", {}).out;
    CHECK_THAT(out,
               ContainsSubstring("{\"schema\":1,\"progress\":{\"message\":\"header\",\"bytes\":0,\"total_bytes\":"));
    const std::string report = convert("b", {"--quiet"}).out;
    CHECK(report.find('\n') == report.size() - 1);
    const auto json = nlohmann::json::parse(report).at("report");
    CHECK(json.at("tensors") == 31);
    CHECK(json.at("bytes") > 300'000);
    CHECK_THAT(json.at("warnings").dump(), ContainsSubstring("--rotary-base"));
}

TEST_CASE("an existing target is refused, and replaced with --overwrite", "[cli]") {
    const TemporaryDirectory directory;
    const auto target = directory / "out";
    std::filesystem::create_directory(target);
    crossdock::test::write_file(target / "config.json", "{}");
    crossdock::test::write_file(target / "precious", "data");
    const auto command = hf_to_megatron(data + "/hf/llama2-gqa", target);
    CHECK_THAT(error_of(command), ContainsSubstring("crossdock: " + target.string() +
                                                    ": exists already; choose another target or give --overwrite\n"));
    CHECK(crossdock::test::read_file(target / "precious") == "data");
    CHECK(crossdock_program(with(command, {"--overwrite"})).exit_code == 0);
    CHECK_FALSE(std::filesystem::exists(target / "precious"));
    check_equal(data + "/hf/llama2-gqa", target);
}

TEST_CASE("the source is never the target", "[cli]") {
    const TemporaryDirectory directory;
    const auto source = directory / "source";
    std::filesystem::copy(data + "/hf/llama2-gqa", source);
    for (const auto& target : {source, source / "inside", source / "deep" / "inside"}) {
        const std::string error = error_of(with(hf_to_megatron(source.string(), target), {"--overwrite"}));
        CHECK_THAT(error, ContainsSubstring("crossdock: " + target.string() + ": "));
        CHECK_THAT(error, ContainsSubstring("source"));
    }
    CHECK(error_of(with(hf_to_megatron(source.string(), directory.path()), {"--overwrite"})) ==
          "crossdock: " + directory.path().string() + ": holds the source " + source.string() +
              "; choose another target\n");
    check_equal(data + "/hf/llama2-gqa", source);
    CHECK_FALSE(std::filesystem::exists(source / "deep"));
}

TEST_CASE("layers that predict further tokens are refused by name, and left out with --drop_mtp", "[cli]") {
    const TemporaryDirectory scratch;
    const std::vector<std::string> convert{
        "convert", "--load_dir", data + "/hf/deepseek-v3-mtp", "--save_dir", (scratch / "target").string(), "--quiet"};
    const ProgramResult refused = crossdock_program(with(convert, {"--saver", "llama"}));
    CHECK(refused.exit_code == 1);
    CHECK_THAT(refused.err, ContainsSubstring("layers that predict further tokens (mtp_num_layers 1)") &&
                                ContainsSubstring("give --drop_mtp"));
    const ProgramResult dropped = crossdock_program(with(convert, {"--saver", "hf", "--drop_mtp"}));
    CHECK(dropped.exit_code == 0);
    CHECK_THAT(dropped.err,
               ContainsSubstring("drop_mtp: the layers that predict further tokens (mtp_num_layers 1) are left out"));
    const std::vector<std::string> verify{"verify", data + "/hf/deepseek-v3-mtp", (scratch / "target").string(),
                                          "--quiet"};
    const ProgramResult differs = crossdock_program(verify);
    CHECK(differs.exit_code == 1);
    CHECK_THAT(differs.out,
               ContainsSubstring("mtp_num_layers") && ContainsSubstring("transformer layer 2: is missing"));
    CHECK(crossdock_program(with(verify, {"--drop_mtp"})).exit_code == 0);
}

TEST_CASE("a source that is not whole gives one line, and no target", "[cli]") {
    const TemporaryDirectory directory;
    const auto source = directory / "source", target = directory / "out";
    CHECK(error_of(hf_to_megatron(source.string(), target)) == "crossdock: " + source.string() + ": does not exist\n");
    std::filesystem::copy(data + "/hf/llama-sharded", source);
    std::filesystem::remove(source / "model-00002-of-00004.safetensors");
    CHECK_THAT(error_of(hf_to_megatron(source.string(), target)),
               ContainsSubstring("model-00002-of-00004.safetensors"));
    CHECK_FALSE(std::filesystem::exists(target));
    CHECK(std::distance(std::filesystem::directory_iterator(directory.path()), {}) == 1);
}

TEST_CASE("a signal ends a conversion and leaves nothing behind", "[cli]") {
    const auto [signal, name] = GENERATE(std::pair(SIGINT, "SIGINT"), std::pair(SIGTERM, "SIGTERM"));
    const TemporaryDirectory directory;
    auto command = hf_to_megatron(data + "/hf/llama2-gqa", directory / "made" / "out");
    command.insert(command.begin(), CROSSDOCK_CLI);
    crossdock::test::RunningProgram program(command, {.stdout_is_full = true});
    // It tells of the header when it has made its staging directory, and waits there.
    const auto staging = directory / "made" / ".out.crossdock-staging";
    while (!std::filesystem::exists(staging / "files")) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    program.send(signal);
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    const ProgramResult result = program.wait();
    CHECK(result.exit_code == 128 + signal);
    CHECK(result.err == "crossdock: stopped by " + std::string(name) + "\n");
    CHECK(std::filesystem::is_empty(directory.path()));
}

TEST_CASE("a model may have more files than a shell lets a program open", "[cli]") {
    const TemporaryDirectory directory;
    std::vector<std::string> command =
        with(hf_to_megatron(data + "/hf/llama2-gqa", directory / "out"),
             {"--target_tensor_parallel_size", "2", "--target_pipeline_parallel_size", "4"});
    const std::vector<std::string> limited{"/bin/sh", "-c", "ulimit -S -n 8 && exec \"$0\" \"$@\"", CROSSDOCK_CLI};
    command.insert(command.begin(), limited.begin(), limited.end());
    CHECK(crossdock::test::RunningProgram(command).wait().exit_code == 0);
    check_equal(data + "/hf/llama2-gqa", directory / "out");
}

TEST_CASE("a target that cannot hold the files gives one line and leaves nothing behind", "[cli]") {
    const TemporaryDirectory directory;
    std::vector<std::string> command = hf_to_megatron(data + "/hf/llama2-gqa", directory / "made" / "out");
    const std::vector<std::string> limited{"/bin/sh", "-c", "ulimit -f 8 && exec \"$0\" \"$@\"", CROSSDOCK_CLI};
    command.insert(command.begin(), limited.begin(), limited.end());
    const ProgramResult result = crossdock::test::RunningProgram(command).wait();
    CHECK(result.exit_code == 1);
    CHECK_THAT(result.err, ContainsSubstring("model_optim_rng.pt: cannot be written: File too large\n"));
    CHECK(std::count(result.err.begin(), result.err.end(), '\n') == 1);
    CHECK(std::filesystem::is_empty(directory.path()));
}
