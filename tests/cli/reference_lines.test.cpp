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

// Command lines made of the documented options of epfLLM's tools/checkpoint_util.py (806a833) and of NVIDIA's
// tools/checkpoint/{util,convert}.py with their loaders and savers, of several releases. What stood behind the script's
// name stands behind `crossdock convert`.

namespace {

const std::string data = CROSSDOCK_TEST_DATA;

/// A line: its source under tests/data, and what stands in the target then.
struct Line {
    std::string source;
    std::vector<std::string> options;
    std::string made;
    std::vector<std::string> told{};  ///< options that are said to have no effect
};

const std::vector<Line>& lines() {
    const std::string one = "release/mp_rank_00/model_optim_rng.pt", two = "release/mp_rank_01_001/model_optim_rng.pt",
                      lm_two = "iter_0000001/mp_rank_01/model_optim_rng.pt",
                      core_one = "iter_0000001/mp_rank_00/model_optim_rng.pt",
                      core_two = "iter_0000001/mp_rank_01/model_optim_rng.pt",
                      core_four = "iter_0000001/mp_rank_01_001/model_optim_rng.pt",
                      core_distributed = "iter_0000001/metadata.json", hub = "config.json";
    static const std::vector<Line> all{
        // epfLLM: docs/guide/weights_conversion.md and the faq
        {"megatron-llm/llama2-gqa",
         {"--target_tensor_parallel_size", "2", "--target_pipeline_parallel_size", "2", "--model_type", "llama2",
          "--loader", "megatron", "--saver", "megatron"},
         two},
        {"megatron-llm/llama2-gqa-tp2pp2",
         {"--target_tensor_parallel_size", "1", "--target_pipeline_parallel_size", "1", "--model_type", "llama2",
          "--true_vocab_size", "600", "--bf16"},
         one},
        {"megatron-llm/falcon-40b",
         {"--model_type", "falcon", "--loader", "megatron", "--saver", "megatron", "--target_tensor_parallel_size", "2",
          "--target_pipeline_parallel_size", "2", "--megatron_path", "/repos/Megatron-LLM"},
         two,
         {"megatron_path"}},
        {"megatron-llm/codellama",
         {"--model_type", "codellama", "--loader", "megatron", "--saver", "megatron", "--no_checking",
          "--max_queue_size", "10", "--load_iters", "0"},
         one},
        {"megatron-llm/mistral-gqa-tp2pp2",
         {"--model_type", "mistral", "--target_pipeline_parallel_size", "1", "--target_tensor_parallel_size", "1",
          "--bf16"},
         one},
        {"megatron-llm/mistral-gqa-tp2",
         {"--target_tensor_parallel_size", "1", "--target_pipeline_parallel_size", "1", "--load_iters", "0",
          "--model_type", "mistral", "--true_vocab_size", "500", "--use_distributed_optimizer", "--bf16"},
         one,
         {"use_distributed_optimizer"}},
        {"megatron-llm/llama2-mha",
         {"--model_type", "GPT", "--target_tensor_parallel_size", "2", "--target_pipeline_parallel_size", "2"},
         two},
        // NVIDIA, tools/checkpoint/util.py: megatron → megatron
        {"megatron-lm/llama2-gqa-tp1",
         {"--model-type", "GPT", "--loader", "megatron", "--saver", "megatron", "--target-tensor-parallel-size", "2"},
         lm_two},
        {"megatron-lm/gpt-tp2",
         {"--model-type", "GPT", "--target-tensor-parallel-size", "1", "--target-pipeline-parallel-size", "1",
          "--megatron-path", "/repos/Megatron-LM"},
         "iter_0000010/mp_rank_00/model_optim_rng.pt",
         {"megatron_path"}},
        {"megatron-lm/bert",
         {"--model-type", "BERT", "--loader", "legacy", "--saver", "legacy", "--target-tensor-parallel-size", "2"},
         "iter_0000010/mp_rank_01/model_optim_rng.pt"},
        {"megatron-lm/llama2-gqa-tp2",
         {"--model-type", "GPT", "--loader", "legacy", "--saver", "core", "--loader-transformer-impl", "local",
          "--saver-transformer-impl", "local", "--position-embedding-type", "rope", "--true-vocab-size", "600"},
         core_distributed,
         {"loader_transformer_impl"}},
        {"megatron-lm/llama2-gqa-tp2",
         {"--model-type", "GPT", "--loader", "megatron", "--saver", "mcore", "--target-expert-parallel-size", "1"},
         core_one},
        // NVIDIA, tools/checkpoint/convert.py: core
        {"megatron-core/llama2-gqa-local-tp1",
         {"--model-type", "GPT", "--loader", "mcore", "--saver", "mcore", "--target-tensor-parallel-size", "2",
          "--target-pipeline-parallel-size", "2", "--loader-transformer-impl", "local", "--saver-transformer-impl",
          "transformer_engine"},
         core_four,
         {"loader_transformer_impl"}},
        {"megatron-core/llama2-gqa-te-tp2pp2",
         {"--model-type", "GPT", "--loader", "core", "--saver", "core", "--target-tensor-parallel-size", "1",
          "--target-pipeline-parallel-size", "1", "--position-embedding-type", "rope", "--loader-transformer-impl",
          "transformer_engine", "--saver-transformer-impl", "transformer_engine", "--megatron-path", "/repos/M"},
         core_one,
         {"loader_transformer_impl", "megatron_path"}},
        {"megatron-core/llama2-gqa-te-tp1",
         {"--model-type", "GPT", "--loader", "core", "--saver", "legacy", "--max-queue-size", "5"},
         "iter_0000001/mp_rank_00/model_optim_rng.pt"},
        {"megatron-core/llama2-gqa-te-tp1",
         {"--model-type", "GPT", "--loader", "core", "--saver", "megatron", "--no-checking"},
         "iter_0000001/mp_rank_00/model_optim_rng.pt"},
        {"megatron-core/gpt-tp2",
         {"--model-type", "GPT", "--loader", "core", "--saver", "core", "--position-embedding-type", "learned_absolute",
          "--target-tensor-parallel-size", "1"},
         "iter_0000010/mp_rank_00/model_optim_rng.pt"},
        // NVIDIA, docs/llama_mistral.md and examples: from Hugging Face
        {"hf/llama2-gqa",
         {"--model-type", "GPT", "--loader", "llama2_hf", "--saver", "megatron", "--target-tensor-parallel-size", "2",
          "--tokenizer-model", "tokenizer.model"},
         lm_two,
         {"tokenizer_model"}},
        {"hf/llama2-gqa",
         {"--model-type", "GPT", "--loader", "llama_mistral", "--saver", "mcore", "--checkpoint-type", "hf",
          "--model-size", "llama2-7B", "--tokenizer-model", "tokenizer.model", "--target-tensor-parallel-size", "2",
          "--target-pipeline-parallel-size", "2", "--bf16", "--saver-transformer-impl", "transformer_engine"},
         core_four,
         {"model_size", "tokenizer_model"}},
        {"hf/llama3-gqa",
         {"--bf16", "--model-type", "GPT", "--loader", "llama_mistral", "--saver", "core",
          "--target-tensor-parallel-size", "2", "--checkpoint-type", "hf", "--model-size", "llama3-8B",
          "--tokenizer-model", "meta-llama/Meta-Llama-3-8B", "--make-vocab-size-divisible-by", "1"},
         core_two,
         {"model_size", "tokenizer_model"}},
        {"hf/mistral-gqa",
         {"--model-type", "GPT", "--loader", "llama_mistral", "--saver", "mcore", "--checkpoint-type", "hf",
          "--model-size", "mistral-7B", "--tokenizer-model", "x", "--fp16", "--loader-transformer-impl",
          "transformer_engine"},
         core_distributed,
         {"model_size", "loader_transformer_impl"}},
        {"hf/llama2-mha",
         {"--model-type", "GPT", "--loader", "llama_mistral", "--saver", "megatron", "--checkpoint-type", "hf",
          "--model-size", "llama2-7Bf", "--tokenizer-model", "x", "--params-dtype", "bf16"},
         core_one,
         {"model_size"}},
        {"hf/llama3-gqa",
         {"--model-type", "GPT", "--loader", "llama3_hf", "--saver", "mcore", "--tokenizer-model", "x", "--bf16",
          "--target-tensor-parallel-size", "2", "--saver-transformer-impl", "transformer_engine"},
         core_two,
         {"tokenizer_model"}},
        // NVIDIA: from Meta
        {"meta/llama2-gqa-mp2",
         {"--model-type", "GPT", "--loader", "llama_mistral", "--saver", "core", "--checkpoint-type", "meta",
          "--model-size", "llama2-13B", "--tokenizer-model", "tokenizer.model", "--bf16"},
         core_distributed,
         {"model_size", "tokenizer_model"}},
        {"meta/llama2-gqa",
         {"--model-type=GPT", "--loader=llama2", "--saver=core", "--megatron-path=/x", "--vocab-file=x"},
         core_distributed,
         {"megatron_path", "vocab_file"}},
        // the way out, as forks of the two have it
        {"megatron-core/llama2-gqa-te-tp2pp2",
         {"--model-type", "GPT", "--loader", "mcore", "--saver", "llama2_hf", "--hf-tokenizer-path", "/tokenizer",
          "--save-dtype", "bfloat16", "--loader-transformer-impl", "transformer_engine", "--megatron-path", "/x"},
         hub,
         {"hf_tokenizer_path", "loader_transformer_impl"}},
        {"megatron-core/llama2-gqa-te-tp2pp2",
         {"--model-type", "GPT", "--loader", "core", "--saver", "llama2_hf", "--true-vocab-size", "600",
          "--target-tensor-parallel-size", "1", "--target-pipeline-parallel-size", "1"},
         hub,
         {"target_tensor_parallel_size", "target_pipeline_parallel_size"}},
        {"megatron-core/llama2-gqa-te-tp1",
         {"--model-type", "GPT", "--loader", "mcore", "--saver", "llama_hf", "--true-vocab-size", "600",
          "--loader-transformer-impl", "transformer_engine", "--params-dtype", "torch.bfloat16"},
         hub,
         {"loader_transformer_impl"}},
        {"megatron-lm/mistral-gqa-tp2",
         {"--model-type", "GPT", "--loader", "legacy", "--saver", "mistral_hf", "--true-vocab-size", "500"},
         hub},
        {"hf/llama2-gqa", {"--model-type", "GPT", "--loader", "hf", "--saver", "hf", "--fp16"}, hub},
    };
    return all;
}

ProgramResult convert(const std::string& source, const std::filesystem::path& target,
                      const std::vector<std::string>& options) {
    std::vector<std::string> command{"convert",    "--load-dir",    data + "/" + source,
                                     "--save_dir", target.string(), "--quiet"};
    command.insert(command.end(), options.begin(), options.end());
    return crossdock_program(command);
}

/// The one line with which a command line is refused.
std::string refusal(const std::string& source, const std::vector<std::string>& options) {
    const TemporaryDirectory directory;
    const ProgramResult result = convert(source, directory / "out", options);
    CHECK(result.exit_code != 0);
    CHECK_FALSE(std::filesystem::exists(directory / "out"));
    CHECK(result.err.find('\n') == result.err.size() - 1);
    return result.err;
}

}  // namespace

TEST_CASE("command lines of the reference and of NVIDIA's tool work", "[cli][reference]") {
    CHECK(lines().size() >= 26);
    for (const Line& line : lines()) {
        std::string words = line.source;
        for (const std::string& option : line.options) words += " " + option;
        INFO(words);
        const TemporaryDirectory directory;
        const ProgramResult result = convert(line.source, directory / "out", line.options);
        INFO(result.err);
        CHECK(result.exit_code == 0);
        CHECK(std::filesystem::exists(directory / "out" / line.made));
        for (const std::string& option : line.told)
            CHECK_THAT(result.err, ContainsSubstring("warning: --" + option + " has no effect"));
    }
}

TEST_CASE("GPT is any decoder and BERT is BERT", "[cli][reference]") {
    const TemporaryDirectory directory;
    for (const std::string name : {"llama2-gqa", "mistral-gqa", "gemma-mha", "falcon-7b", "gpt2"}) {
        const std::string saver = name == "gemma-mha" ? "mcore" : "megatron";  // the one that can express it
        CHECK(convert("hf/" + name, directory / name, {"--model-type", "GPT", "--saver", saver}).exit_code == 0);
    }
    CHECK_THAT(refusal("hf/bert", {"--model-type", "GPT", "--saver", "bert"}),
               ContainsSubstring("model_type 'GPT' contradicts the loader 'bert'"));
    CHECK_THAT(refusal("hf/llama2-gqa", {"--model-type", "BERT", "--saver", "mcore"}),
               ContainsSubstring("model_type 'BERT' contradicts the loader 'llama'"));
    CHECK(convert("hf/bert", directory / "bert", {"--model_type", "BERT", "--saver", "bert"}).exit_code == 0);
}

TEST_CASE("a name for models that nobody here reads is refused by saying so", "[cli][reference]") {
    CHECK_THAT(refusal("hf/llama2-gqa", {"--model-type", "GPT", "--loader", "hf_hybrid", "--saver", "mcore"}),
               ContainsSubstring("--loader hf_hybrid: hybrids of attention and state spaces are not converted"));
    CHECK_THAT(refusal("megatron-core/llama2-gqa-te-tp1", {"--loader", "core", "--saver", "hf_llava"}),
               ContainsSubstring("--saver hf_llava: models that see images are not converted"));
    CHECK_THAT(refusal("megatron-core/llama2-gqa-te-tp1", {"--loader", "llama2_hf", "--saver", "core"}),
               ContainsSubstring("is a Megatron checkpoint, --loader llama2_hf asks for Hugging Face's or an original "
                                 "format"));
}

TEST_CASE("Hugging Face's format is written by any of the reference's names for it", "[cli][reference]") {
    const TemporaryDirectory directory;
    for (const std::string saver : {"hf", "huggingface", "llama_mistral"}) {
        const ProgramResult result = convert("megatron-core/llama2-gqa-te-tp1", directory / saver,
                                             {"--model-type", "GPT", "--loader", "core", "--saver", saver});
        CHECK(result.exit_code == 0);
        CHECK_THAT(result.err, ContainsSubstring("the source does not say of which family its model is"));
        CHECK_THAT(crossdock::test::read_file(directory / saver / "config.json"),
                   ContainsSubstring("\"model_type\": \"llama\""));
    }
}

TEST_CASE("an option from which something would have to follow is not passed over", "[cli][reference]") {
    CHECK_THAT(refusal("megatron-core/llama2-gqa-te-tp1", {"--saver", "core", "--target-expert-parallel-size", "2"}),
               ContainsSubstring("the model has no experts"));
    CHECK_THAT(
        refusal("megatron-core/llama2-gqa-te-tp1", {"--saver", "megatron", "--target-expert-parallel-size", "2"}),
        ContainsSubstring("--target_expert_parallel_size is '2', expected 1: the target is not cut into ranks"));
    CHECK_THAT(refusal("hf/llama2-gqa", {"--saver", "llama", "--target-tensor-parallel-size", "2"}),
               ContainsSubstring("--target_tensor_parallel_size is '2', expected 1: the target is not cut into ranks"));
    CHECK_THAT(refusal("hf/llama2-gqa", {"--saver", "core", "--checkpoint-type", "meta"}),
               ContainsSubstring("checkpoint_type meta asks for a params.json, which is not there"));
    CHECK_THAT(refusal("hf/llama2-gqa", {"--saver", "core", "--checkpoint-type", "gguf"}),
               ContainsSubstring("expected hf or meta"));
    CHECK_THAT(refusal("hf/llama2-gqa", {"--saver", "core", "--fp16", "--bf16"}),
               ContainsSubstring("--fp16 contradicts --bf16"));
    CHECK_THAT(refusal("hf/llama2-gqa", {"--saver", "core", "--params-dtype", "fp8"}),
               ContainsSubstring("--params_dtype cannot be 'fp8'"));
    CHECK_THAT(refusal("hf/llama2-gqa", {"--saver", "core", "--saver-transformer-impl", "te"}),
               ContainsSubstring("'te', expected transformer_engine or local"));
    CHECK_THAT(refusal("hf/llama2-gqa", {"--saver", "core", "--saver-transformer-impl", "local", "--transformer-impl",
                                         "transformer_engine"}),
               ContainsSubstring("--saver_transformer_impl local contradicts --transformer_impl transformer_engine"));
}

TEST_CASE("a vocabulary is counted as the reference counts it", "[cli][reference]") {
    const TemporaryDirectory directory;
    std::string words = "{";
    for (int word = 0; word < 600; ++word)
        words += (word ? ", \"w" : "\"w") + std::to_string(word) + "\": " + std::to_string(word);
    crossdock::test::write_file(directory / "vocab.json", words + "}");
    const std::string vocab = (directory / "vocab.json").string();
    const auto export_with = [&](const std::string& target, std::vector<std::string> more) {
        more.insert(more.end(), {"--saver", "llama", "--vocab-file", vocab});
        return convert("megatron-core/llama2-gqa-te-tp1", directory / target, more);
    };
    CHECK(export_with("out", {}).exit_code == 0);
    CHECK_THAT(crossdock::test::read_file(directory / "out/config.json"), ContainsSubstring("\"vocab_size\": 600"));
    crossdock::test::write_file(directory / "tokenizer.model", std::string("\n\x05words\0\n", 9));
    const auto with_model = [&](std::vector<std::string> more) {
        more.insert(more.end(), {"--saver", "llama", "--vocab_file", (directory / "tokenizer.model").string()});
        return convert("megatron-core/llama2-gqa-te-tp1", directory / "model", more);
    };
    CHECK_THAT(with_model({}).err, ContainsSubstring("tokenizer.model: is no list of words (JSON, or a word a line)"));
    CHECK(with_model({"--true_vocab_size", "600"}).exit_code == 0);
    CHECK_THAT(export_with("no", {"--true-vocab-size", "601"}).err,
               ContainsSubstring("vocab.json: holds 600 words, true_vocab_size says 601"));
}
