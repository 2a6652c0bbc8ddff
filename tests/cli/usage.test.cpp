// SPDX-License-Identifier: Apache-2.0
#include <filesystem>
#include <sstream>
#include <string>
#include <vector>

#include "crossdock/version.hpp"
#include "support/catch.hpp"
#include "support/run_program.hpp"
#include "support/temporary_directory.hpp"

using Catch::Matchers::ContainsSubstring;
using crossdock::test::crossdock_program;
using crossdock::test::ProgramResult;

namespace {

const std::string hf = CROSSDOCK_TEST_DATA "/hf/llama2-gqa";

/// The one line that wrong usage gives.
std::string usage_error(std::vector<std::string> arguments) {
    const ProgramResult result = crossdock_program(std::move(arguments));
    CHECK(result.exit_code == 2);
    CHECK(result.out.empty());
    return result.err;
}

}  // namespace

TEST_CASE("the version is one line", "[cli]") {
    const ProgramResult result = crossdock_program({"--version"});
    CHECK(result.exit_code == 0);
    CHECK(result.out == "crossdock " + std::string(crossdock::library_version) + "\n");
    CHECK(result.err.empty());
}

TEST_CASE("help and errors call the program what it is called", "[cli]") {
    const crossdock::test::TemporaryDirectory directory;
    const std::string heron = (directory / "heron").string();
    std::filesystem::create_symlink(CROSSDOCK_CLI, heron);
    const auto run = [&](std::vector<std::string> arguments) {
        arguments.insert(arguments.begin(), heron);
        return crossdock::test::run_program(std::move(arguments));
    };
    CHECK(run({}).err ==
          "heron: a command is missing, one of convert, verify, digest, inspect, plugins, completion, man; see heron "
          "--help\n");
    CHECK_THAT(run({"--help"}).out, ContainsSubstring("usage: heron COMMAND"));
    CHECK_THAT(run({"convert", "--help"}).out, ContainsSubstring("heron convert [SOURCE] [TARGET] [OPTION...]"));
    CHECK_THAT(run({"convert", "--help"}).out, !ContainsSubstring("crossdock"));
    CHECK(run({"inspect"}).err == "heron: heron inspect needs PATH, see heron inspect --help\n");
}

TEST_CASE("help lists the commands, and each command has its own", "[cli]") {
    const ProgramResult overview = crossdock_program({"--help"});
    CHECK(overview.exit_code == 0);
    CHECK(overview.err.empty());
    for (const std::string command : {"convert", "verify", "digest", "inspect", "plugins", "completion", "man"}) {
        CHECK_THAT(overview.out, ContainsSubstring("  " + command + "  "));
        const ProgramResult help = crossdock_program({command, "--help"});
        CHECK(help.exit_code == 0);
        CHECK(help.err.empty());
        CHECK_THAT(help.out, ContainsSubstring("crossdock " + command));
        CHECK(crossdock_program({command, "-h"}).out == help.out);
        CHECK(crossdock_program({"help", command}).out == help.out);
    }
    CHECK(crossdock_program({"help"}).out == overview.out);
}

TEST_CASE("the help of convert shows its own options, and of the plugins that there are, how to see theirs", "[cli]") {
    const std::string help = crossdock_program({"convert", "--help"}).out;
    for (const std::string option :
         {"--model_type T ", "--loader NAME ", "--saver NAME ", "--load_dir DIR ", "--save_dir DIR ",
          "--max_queue_size N ", "--no_checking ", "--verify ", "--bf16 ", "--dtype f32|bf16|f16 ", "--threads N ",
          "--memory MIB ", "--quiet ", "Loaders: megatron, mcore, hf, llama", "Savers: megatron, mcore, hf, llama",
          "crossdock convert --loader mcore --saver hf --help"})
        CHECK_THAT(help, ContainsSubstring(option));
    CHECK_THAT(help, !ContainsSubstring("--target_pipeline_parallel_size"));
}

TEST_CASE("help shows the options of the plugins at work, and of no others", "[cli]") {
    const auto help = [](std::vector<std::string> words) {
        words.emplace_back("--help");
        const ProgramResult result = crossdock_program(words);
        CHECK(result.exit_code == 0);
        return result.out;
    };
    const std::string chosen = help({"convert", "--loader", "mcore", "--saver=hf"});
    for (const std::string option : {" loader mcore options:\n", "--load_iters N ", "--true_vocab_size N ",
                                     " saver hf options:\n", "--max_shard_size SIZE ", "--model_size NAME "})
        CHECK_THAT(chosen, ContainsSubstring(option));
    CHECK_THAT(chosen, !ContainsSubstring("--target_pipeline_parallel_size") && !ContainsSubstring("Loaders: "));
    CHECK_THAT(help({"convert", hf, "--saver", "core"}),  // the loader is recognised, NVIDIA's name is known
               ContainsSubstring(" loader llama options:\n") && ContainsSubstring(" saver mcore options:\n"));
    CHECK_THAT(help({"convert", "--saver", "mcore"}),
               ContainsSubstring("--target_tensor_parallel_size N") && ContainsSubstring("\n Loaders: "));
    const std::string megatron = CROSSDOCK_TEST_DATA "/megatron-llm/llama2-gqa-tp2pp2";
    CHECK_THAT(help({"verify", hf, megatron}), ContainsSubstring(" loader llama options:\n") &&
                                                   ContainsSubstring(" loader megatron options:\n") &&
                                                   !ContainsSubstring("Savers: "));
    CHECK_THAT(help({"inspect"}), ContainsSubstring("crossdock inspect --loader mcore --help"));
    CHECK_THAT(usage_error({"convert", "--saver", "megatrn", "--help"}), ContainsSubstring("did you mean 'megatron'?"));
}

TEST_CASE("help keeps to the width, and counts characters", "[cli]") {
    for (const std::string command : {"convert", "verify", "digest", "inspect"}) {
        std::istringstream lines(crossdock_program({command, "--loader", "mcore", "--help"}).out);
        for (std::string line; std::getline(lines, line);) {
            INFO(line);
            CHECK(line.size() <= 103);  // 100 columns, and one character of three bytes
            CHECK((line.empty() || line.back() != ' '));
        }
    }
}

TEST_CASE("plugins are listed with what they do and their options", "[cli]") {
    const ProgramResult result = crossdock_program({"plugins"});
    CHECK(result.exit_code == 0);
    CHECK_THAT(result.out, ContainsSubstring("loaders\n"));
    CHECK_THAT(result.out, ContainsSubstring("\nsavers\n"));
    CHECK_THAT(result.out, ContainsSubstring("  llama  reads Hugging Face directories"));
    CHECK_THAT(result.out, ContainsSubstring("  megatron  writes Megatron-LLM and Megatron-LM checkpoints"));
    CHECK_THAT(result.out, ContainsSubstring("      --target_pipeline_parallel_size N"));
}

TEST_CASE("a command must be there and known", "[cli]") {
    CHECK(usage_error({}) ==
          "crossdock: a command is missing, one of convert, verify, digest, inspect, plugins, completion, man; see "
          "crossdock --help\n");
    CHECK(usage_error({"convrt"}) ==
          "crossdock: no command is called 'convrt'; did you mean 'convert'? Known: convert, "
          "verify, digest, inspect, plugins, completion, man\n");
}

TEST_CASE("an unknown option is named with the nearest one", "[cli]") {
    CHECK(usage_error({"convert", "--lod_dir", "x"}) ==
          "crossdock: --lod_dir is not an option of crossdock convert; did you mean --load_dir?\n");
    CHECK(usage_error({"convert", "--target-tensor-paralel-size=2"}) ==
          "crossdock: --target-tensor-paralel-size is not an option of crossdock convert; did you mean "
          "--target_tensor_parallel_size?\n");
    CHECK(usage_error({"verify", "--zzzzzzzzzzzzzzz", "a", "b"}) ==
          "crossdock: --zzzzzzzzzzzzzzz is not an option of crossdock verify; see crossdock verify --help\n");
    CHECK(usage_error({"convert", "--hidden_size", "4096"}) ==
          "crossdock: --hidden_size is not an option of crossdock convert; see crossdock convert --help\n");
    CHECK(usage_error({"convert", "--save", "x"}) ==  // how several begin
          "crossdock: --save is not an option of crossdock convert; see crossdock convert --help\n");
    CHECK_THAT(usage_error({"convert", "-x"}), ContainsSubstring("-x is not an option of crossdock convert"));
}

TEST_CASE("an error is no longer than a screen, and loses its middle between characters", "[cli]") {
    std::string name = "--";
    while (name.size() < 100'000) name += "größe";
    const std::string error = usage_error({"convert", name});
    CHECK(error.size() <= 1501);
    CHECK_THAT(error, ContainsSubstring(" … "));
    CHECK(error.ends_with("; see crossdock convert --help\n"));
    CHECK_THAT(error, ContainsSubstring("crossdock: --größegröße"));
}

TEST_CASE("an option must have its value, a flag none", "[cli]") {
    CHECK(usage_error({"convert", "--load_dir"}) == "crossdock: --load_dir needs a value: --load_dir DIR\n");
    CHECK(usage_error({"convert", "--load_dir", "--save_dir", "x"}) ==
          "crossdock: --load_dir needs a value: --load_dir DIR\n");
    CHECK(usage_error({"convert", "--bf16=yes"}) == "crossdock: --bf16 is a flag and takes no value\n");
}

TEST_CASE("arguments are counted", "[cli]") {
    CHECK(usage_error({"verify"}) == "crossdock: crossdock verify needs A [B], see crossdock verify --help\n");
    CHECK(usage_error({"verify", "a"}) == "crossdock: a: is not a directory\n");
    CHECK(usage_error({"verify", "a", "b", "c"}) ==
          "crossdock: 'c' is one argument too many for crossdock verify A [B]\n");
    CHECK(usage_error({"convert", "a", "b", "c"}) ==
          "crossdock: 'c' is one argument too many for crossdock convert [SOURCE] [TARGET]\n");
    CHECK(usage_error({"convert", "a", "--load_dir", "b", "--saver", "hf"}) ==
          "crossdock: 'a' and --load_dir b both name the source\n");
    CHECK(usage_error({"inspect"}) == "crossdock: crossdock inspect needs PATH, see crossdock inspect --help\n");
}

TEST_CASE("plugins are named with the nearest one", "[cli]") {
    CHECK_THAT(usage_error({"convert", "--loader", "lama", "--saver", "llama", "--load_dir", hf, "--save_dir", "x"}),
               ContainsSubstring("crossdock: no loader is called 'lama'; did you mean 'llama'? Known: "));
    CHECK_THAT(usage_error({"convert", "--loader", "llama", "--saver", "megatrn", "--load_dir", hf, "--save_dir", "x"}),
               ContainsSubstring("crossdock: no saver is called 'megatrn'; did you mean 'megatron'? Known: "));
    CHECK_THAT(usage_error({"inspect", hf, "--loader", "lama"}),
               ContainsSubstring("crossdock: no loader is called 'lama'; did you mean 'llama'?"));
}

TEST_CASE("what a conversion cannot do without is asked for", "[cli]") {
    CHECK(usage_error({"convert", "--saver", "llama", "--save_dir", "x"}) ==
          "crossdock: --load_dir is missing: the source\n");
    CHECK(usage_error({"convert", "--loader", "llama", "--saver", "llama", "--save_dir", "x"}) ==
          "crossdock: --load_dir is missing: the source\n");
    CHECK(usage_error({"convert", "--saver", "llama", "--load_dir", hf}) ==
          "crossdock: --save_dir is missing: the target\n");
}

TEST_CASE("values that cannot be are named", "[cli]") {
    const crossdock::test::TemporaryDirectory directory;
    const auto with = [&](std::vector<std::string> more) {
        std::vector<std::string> arguments{"convert", "--loader",   "llama",
                                           "--saver", "megatron",   "--load_dir",
                                           hf,        "--save_dir", (directory / "out").string()};
        arguments.insert(arguments.end(), more.begin(), more.end());
        return usage_error(arguments);
    };
    CHECK(with({"--model_type", "lama2"}) ==
          "crossdock: no model type is called 'lama2'; did you mean 'llama2'? Known: "
          "llama2, llama, llama3, codellama, mistral, mixtral, falcon, gemma, gemma2, gemma3_text, qwen2, "
          "qwen3, qwen2_moe, qwen3_moe, deepseek_v3, glm4_moe, GPT, BERT\n");
    CHECK_THAT(with({"--model_type", "gpt"}), ContainsSubstring("did you mean 'GPT'?"));
    CHECK(with({"--dtype", "fp17"}) ==
          "crossdock: --dtype cannot be 'fp17'; did you mean 'fp16'? Known: f32, fp32, float32, float, bf16, bfloat16, "
          "f16, fp16, float16, half\n");
    CHECK_THAT(with({"--dtype", "i8"}), ContainsSubstring("--dtype cannot be 'i8'"));
    CHECK(with({"--bf16", "--dtype", "f16"}) == "crossdock: --bf16 contradicts --dtype f16\n");
    for (const std::string half : {"f16", "fp16", "Float16", "HALF", "torch.float16", "torch.half"})
        CHECK(with({"--bf16", "--dtype", half}) == "crossdock: --bf16 contradicts --dtype " + half + "\n");
    for (const std::string single : {"f32", "fp32", "float32", "float", "torch.float32", "torch.float"})
        CHECK(with({"--save_dtype", single, "--params_dtype", "bfloat16"}) ==
              "crossdock: --save_dtype " + single + " contradicts --params_dtype bfloat16\n");
    CHECK(with({"--threads", "many"}) == "crossdock: --threads: 'many' is not a whole number that is not negative\n");
    CHECK(with({"--memory", "2G"}) == "crossdock: --memory: '2G' is not a whole number that is not negative\n");
    CHECK(with({"--memory", "1", "--threads", "2"}) ==
          "crossdock: memory 1 MiB is too little for 2 threads; give --memory at least 17 MiB, or --threads a smaller "
          "number\n");
    CHECK(with({"--max_queue_size", "0"}) == "crossdock: --max_queue_size is 0, expected at least 1\n");
    CHECK(with({"--target_tensor_parallel_size", "-2"}) ==
          "crossdock: target_tensor_parallel_size: '-2' is not a whole number that is not negative\n");
    CHECK(with({"--dialect", "llama"}) == "crossdock: dialect is 'llama', expected llm or lm\n");
    CHECK(std::filesystem::is_empty(directory.path()));
}

TEST_CASE("an option that the chosen plugins do not know is refused", "[cli]") {
    const auto convert = [](std::vector<std::string> more) {
        std::vector<std::string> arguments{"convert",    "--loader", "llama",      "--saver", "llama",
                                           "--load_dir", hf,         "--save_dir", "x"};
        arguments.insert(arguments.end(), more.begin(), more.end());
        return usage_error(arguments);
    };
    CHECK(convert({"--load_iters", "2", "--num_layers_in_first_pipeline_stage", "1"}) ==
          "crossdock: --num_layers_in_first_pipeline_stage is an option of neither the loader 'llama' nor the saver "
          "'llama'; see crossdock plugins\n");
    CHECK_THAT(convert({"--dialect", "llm"}),
               ContainsSubstring("--dialect is an option of neither the loader 'llama' nor the saver 'llama'"));
    CHECK_THAT(usage_error({"verify", hf, hf, "--load_iters", "3"}),
               ContainsSubstring("crossdock: --load_iters is not an option of the loader 'llama' or 'llama'"));
}
