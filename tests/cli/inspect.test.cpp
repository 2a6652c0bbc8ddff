// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "support/catch.hpp"
#include "support/run_program.hpp"
#include "support/safetensors_bytes.hpp"
#include "support/temporary_directory.hpp"

using Catch::Matchers::ContainsSubstring;
using crossdock::test::crossdock_program;
using crossdock::test::ProgramResult;

namespace {

const std::string megatron = CROSSDOCK_TEST_DATA "/megatron-llm/llama2-gqa-tp2pp2";

/// A Hugging Face folder with one tensor more, in a file of its own.
std::filesystem::path sharded_with(const std::string& tensor, const crossdock::test::TemporaryDirectory& directory) {
    const auto source = directory / "source";
    std::filesystem::copy(CROSSDOCK_TEST_DATA "/hf/llama-sharded", source);
    std::string index = crossdock::test::read_file(source / "model.safetensors.index.json");
    const std::string beginning = "\"weight_map\": {";
    index.insert(index.find(beginning) + beginning.size(), '"' + tensor + R"(": "extra.safetensors",)");
    crossdock::test::write_file(source / "model.safetensors.index.json", index);
    crossdock::test::write_file(
        source / "extra.safetensors",
        crossdock::test::safetensors_bytes("{\"" + tensor + R"(":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
                                           std::string(4, '\0')));
    return source;
}

}  // namespace

TEST_CASE("inspect tells what a checkpoint is", "[cli]") {
    const ProgramResult result = crossdock_program({"inspect", megatron});
    CHECK(result.exit_code == 0);
    CHECK(result.err.empty());
    for (const std::string line :
         {"  format     Megatron (llm)\n", "  loader     megatron\n", "  parallel   TP 2 x PP 2\n",
          "  iteration  release\n", "  size       176704 parameters in 31 tensors, 353 kB\n",
          "  dtype      bf16: 31 tensors, 353 kB\n", "  num_query_groups              2\n",
          "  transformer layer 3 / qkv weight         bf16  [96, 64]   12.3 kB\n",
          "  TP rank 1, PP stage 1  14 tensors  88.7 kB\n"})
        CHECK_THAT(result.out, ContainsSubstring(line));
}

TEST_CASE("inspect speaks JSON", "[cli]") {
    const ProgramResult result = crossdock_program({"inspect", megatron, "--json", "--true_vocab_size=600"});
    CHECK(result.exit_code == 0);
    CHECK(result.err.empty());
    const auto json = nlohmann::json::parse(result.out);
    CHECK(json["format"] == "Megatron (llm)");
    CHECK(json["loader"] == "megatron");
    CHECK(json["iteration"] == "release");
    CHECK(json["tensor_parallel_size"] == 2);
    CHECK(json["pipeline_parallel_size"] == 2);
    CHECK(json["header"]["hidden_size"] == 64);
    CHECK(json["header"]["true_vocab_size"] == 600);
    CHECK(json["header"]["activation"] == "silu");
    CHECK(json["tensors"].size() == 31);
    CHECK(json["tensors"][4] == nlohmann::json{{"message", "transformer layer 0"},
                                               {"name", "dense weight"},
                                               {"dtype", "bf16"},
                                               {"shape", {64, 64}},
                                               {"bytes", 8192}});
    CHECK(json["ranks"].size() == 4);
    CHECK(json["ranks"][3]["stage"] == 1);
    CHECK(json["ranks"][3]["layers"] == 2);
    CHECK(json["unused"].empty());
}

TEST_CASE("inspect tells which experts' rank stores how much", "[cli]") {
    const std::string experts = CROSSDOCK_TEST_DATA "/megatron-core/mixtral-local-tp2ep2";
    const auto json = nlohmann::json::parse(crossdock_program({"inspect", experts, "--json"}).out);
    CHECK(json["ranks"].size() == 4);
    CHECK(json["ranks"][1]["rank"] == 0);
    CHECK(json["ranks"][1]["expert_rank"] == 1);
    CHECK_THAT(crossdock_program({"inspect", experts}).out, ContainsSubstring("  TP rank 1, PP stage 0, EP rank 0  "));
}

TEST_CASE("inspect tells what a distributed checkpoint is made of", "[cli]") {
    const std::string tied = CROSSDOCK_TEST_DATA "/megatron-dist/llama3.2-tied-mcore0.19-tp2";
    const ProgramResult result = crossdock_program({"inspect", tied});
    CHECK(result.exit_code == 0);
    CHECK(result.err.empty());
    for (const std::string line :
         {"  format     Megatron (mcore, torch_dist)\n", "  parallel   TP 2 x PP 1\n", "  iteration  release\n",
          "\nstored in 4 .distcp files\n", "  model         8 items in ", "  rng state     2 items ",
          "  common state  1 items ",
          "  decoder.layers.mlp.linear_fc1.weight                        [2, 320, 64]  2 x "
          "4 x 1 chunks\n"})
        CHECK_THAT(result.out, ContainsSubstring(line));
    const auto json = nlohmann::json::parse(crossdock_program({"inspect", tied, "--json"}).out);
    CHECK(json["ranks"].empty());
    CHECK(json["distributed"]["files"] == 4);
    CHECK(json["distributed"]["kinds"][0]["kind"] == "model");
    CHECK(json["distributed"]["kinds"][0]["items"] == 8);
    CHECK(json["distributed"]["tensors"].size() == 8);
    for (const auto& tensor : json["distributed"]["tensors"])
        if (tensor["name"] == "decoder.layers.mlp.linear_fc1.weight") CHECK(tensor["grid"] == nlohmann::json{2, 4, 1});
}

TEST_CASE("tensors that no message carries are listed by inspect and refused by the others", "[cli]") {
    const crossdock::test::TemporaryDirectory directory;
    const auto source = sharded_with("lora.weight", directory), target = directory / "out";
    const std::string extra = "'lora.weight' (" + (source / "extra.safetensors").string() + ")";
    const ProgramResult inspected = crossdock_program({"inspect", source.string()});
    CHECK(inspected.exit_code == 0);
    CHECK_THAT(inspected.out, ContainsSubstring("\nunused tensors (1)\n  " + extra + "\n"));
    CHECK_THAT(inspected.out, ContainsSubstring(", 0 ignored (0 B), 1 unknown (4 B)\n"));
    CHECK_THAT(inspected.out, ContainsSubstring("\n  unknown  lora.weight "));
    const ProgramResult verified = crossdock_program({"verify", source.string(), source.string()});
    const ProgramResult converted = crossdock_program(
        {"convert", "--saver", "mcore", "--load_dir", source.string(), "--save_dir", target.string()});
    CHECK(verified.exit_code == 2);
    CHECK(converted.exit_code == 1);
    for (const ProgramResult& result : {verified, converted})
        CHECK_THAT(result.err, ContainsSubstring("tensors have no place in this model and would be lost: " + extra));
    CHECK_FALSE(std::filesystem::exists(target));
}

TEST_CASE("inspect says what becomes of each tensor that the files hold", "[cli]") {
    const crossdock::test::TemporaryDirectory directory;
    const std::string buffer = "model.layers.0.self_attn.rotary_emb.inv_freq";
    const auto source = sharded_with(buffer, directory);
    const auto json = nlohmann::json::parse(crossdock_program({"inspect", source.string(), "--json"}).out);
    const std::size_t count = json["source_tensors"].size();
    CHECK(count > 20);
    for (const auto& tensor : json["source_tensors"])
        CHECK(tensor["use"] == (tensor["name"] == buffer ? "ignored" : "used"));
    CHECK_THAT(crossdock_program({"inspect", source.string()}).out,
               ContainsSubstring("\n  ignored  " + buffer + " ") &&
                   ContainsSubstring("extra.safetensors: a buffer, which the model's code computes\n"));
}

TEST_CASE("inspect lists what is stored beside a distributed model", "[cli]") {
    const std::string golden = CROSSDOCK_TEST_DATA "/megatron-dist/llama3.2-tied-mcore0.19-tp2";
    const auto json = nlohmann::json::parse(crossdock_program({"inspect", golden, "--json"}).out);
    for (const auto& tensor : json["source_tensors"]) CHECK(tensor["use"] == "used");
    CHECK(json["source_tensors"].size() > 8);  // stacked layers count one by one
}

TEST_CASE("what cannot be inspected is one line", "[cli]") {
    const ProgramResult result = crossdock_program({"inspect", CROSSDOCK_TEST_DATA "/torch"});
    CHECK(result.exit_code == 1);
    CHECK(result.out.empty());
    CHECK_THAT(result.err, ContainsSubstring("is no checkpoint that a loader recognises; name one of the loaders: "));
}

TEST_CASE("a path that no file system takes is refused in plain words", "[cli]") {
    const std::string path(300, 'x');
    for (const std::string command : {"inspect", "digest"}) {
        const ProgramResult result = crossdock_program({command, path});
        CHECK(result.exit_code != 0);
        CHECK(result.err == "crossdock: " + path + ": cannot be read: File name too long\n");
    }
}

TEST_CASE("inspect lists what is asked for", "[cli]") {
    const auto lists = [](const std::vector<std::string>& more) {
        std::vector<std::string> words{"inspect", megatron};
        words.insert(words.end(), more.begin(), more.end());
        return crossdock_program(words).out;
    };
    const std::string summary = lists({"--summary"});
    CHECK_THAT(summary, ContainsSubstring("  size       176704 parameters in 31 tensors, 353 kB\n"));
    CHECK_THAT(summary, !ContainsSubstring("qkv weight"));
    const std::string chosen = lists({"--tensors", "layer [12] / qkv"});
    CHECK_THAT(chosen, ContainsSubstring("transformer layer 1 / qkv weight"));
    CHECK_THAT(chosen, ContainsSubstring("transformer layer 2 / qkv weight"));
    CHECK_THAT(chosen, !ContainsSubstring("transformer layer 3"));
    CHECK_THAT(chosen, !ContainsSubstring("dense weight"));
    CHECK(crossdock_program({"inspect", megatron, "--tensors", "("}).err ==
          "crossdock: --tensors '(' is not a regular expression\n");
}

TEST_CASE("inspect tells what a single file holds", "[cli]") {
    const std::string file = CROSSDOCK_TEST_DATA "/hf/llama2-gqa/model.safetensors";
    CHECK_THAT(crossdock_program({"inspect", file}).out, ContainsSubstring("  model.layers.0.self_attn.q_proj.weight"));
    const auto json = nlohmann::json::parse(crossdock_program({"inspect", file, "--json", "--tensors", "norm"}).out);
    for (const auto& tensor : json.at("tensors"))
        CHECK_THAT(tensor.at("name").get<std::string>(), ContainsSubstring("norm"));
    CHECK(json.at("tensors").size() == 9);
    CHECK_THAT(crossdock_program({"inspect", CROSSDOCK_TEST_DATA "/hf/llama2-gqa/config.json"}).err,
               ContainsSubstring("config.json"));
}

TEST_CASE("inspect calls the loader what the format is called", "[cli]") {
    const auto loader = [](const std::string& folder) {
        return nlohmann::json::parse(crossdock_program({"inspect", CROSSDOCK_TEST_DATA + folder, "--json"}).out)
            .at("loader");
    };
    CHECK(loader("/megatron-core/llama2-gqa-te-tp1") == "mcore");
    CHECK(loader("/megatron-dist/llama2-gqa-mcore0.19-perlayer") == "mcore");
    CHECK(loader("/megatron-lm/llama2-gqa-tp1") == "megatron");
}

TEST_CASE("inspect tells what a tensor's values come to, and reads those that are listed", "[cli]") {
    const auto lists = [](const std::vector<std::string>& more) {
        std::vector<std::string> words{"inspect", megatron, "--stats", "--threads", "2"};
        words.insert(words.end(), more.begin(), more.end());
        return crossdock_program(words);
    };
    const ProgramResult chosen = lists({"--tensors", "layer 1 / (qkv|input norm) weight"});
    CHECK(chosen.exit_code == 0);
    CHECK(chosen.err.empty());
    // What Python's math.fsum makes of the same weights in Hugging Face's file.
    CHECK_THAT(chosen.out,
               ContainsSubstring("  transformer layer 1 / input norm weight  bf16  [64]      128 B    min 0.486328   "
                                 "max 1.46875   mean 0.996002\n"));
    CHECK_THAT(chosen.out, ContainsSubstring("  transformer layer 1 / qkv weight         bf16  [96, 64]  12.3 kB  min "
                                             "-0.318359  max 0.253906  mean 0.00209855\n"));
    CHECK_THAT(chosen.out, !ContainsSubstring("layer 2"));
    CHECK(lists({"--summary"}).err == "crossdock: --stats tells of tensors, and --summary leaves them out\n");
    CHECK_THAT(lists({"--memory", "1"}).err, ContainsSubstring("memory 1 MiB is too little for 2 threads"));
}

TEST_CASE("inspect tells which values are no numbers", "[cli]") {
    const crossdock::test::TemporaryDirectory directory;
    const auto file = directory / "x.safetensors";
    const std::string nan("\0\0\xC0\x7F", 4), infinite("\0\0\x80\x7F", 4), two("\0\0\0\x40", 4);
    crossdock::test::write_file(
        file, crossdock::test::safetensors_bytes(R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,12]},)"
                                                 R"("b":{"dtype":"F32","shape":[0],"data_offsets":[12,12]}})",
                                                 nan + two + infinite));
    const ProgramResult result = crossdock_program({"inspect", file.string(), "--stats"});
    CHECK_THAT(result.out,
               ContainsSubstring("  a  f32  [3]  12 B  min 2            max 2  mean 2  1 NaN, 1 infinite\n"));
    CHECK_THAT(result.out, ContainsSubstring("  b  f32  [0]  0 B   no finite value\n"));
}

TEST_CASE("inspect tells which stored tensors a tensor is made of", "[cli]") {
    const auto parts = [](const std::string& directory, const std::string& tensors) {
        const std::vector<std::string> words{"inspect", directory, "--parts", "--json", "--tensors", tensors};
        const auto json = nlohmann::json::parse(crossdock_program(words).out);
        REQUIRE(json.at("tensors").size() == 1);
        return json.at("tensors")[0].at("parts");
    };
    const auto of_ranks = parts(megatron, "layer 3 / qkv weight");
    REQUIRE(of_ranks.size() == 2);
    for (std::size_t rank = 0; rank < 2; ++rank) {
        const auto& part = of_ranks[rank];
        CHECK(part.at("name") == "model.language_model.encoder.layers.1.self_attention.query_key_value.weight");
        CHECK(part.at("file") == megatron + "/release/mp_rank_0" + std::to_string(rank) + "_001/model_optim_rng.pt");
        CHECK(part.at("shape") == nlohmann::json{48, 64});
        CHECK(part.at("rank") == rank);
        CHECK(part.at("stage") == 1);
    }
    const std::string distributed = CROSSDOCK_TEST_DATA "/megatron-dist/llama3.2-tied-mcore0.19-tp2";
    const auto chunks = parts(distributed, "layer 1 / qkv weight");
    REQUIRE(chunks.size() == 2);
    CHECK(chunks[1] == nlohmann::json{{"name", "decoder.layers.self_attention.linear_qkv.weight"},
                                      {"file", distributed + "/release/__1_0.distcp"},
                                      {"dtype", "bf16"},
                                      {"shape", {1, 64, 64}},
                                      {"offsets", {1, 64, 0}}});
    const auto of_file = parts(CROSSDOCK_TEST_DATA "/hf/llama2-gqa", "layer 2 / qkv weight");
    REQUIRE(of_file.size() == 3);
    CHECK(of_file[0].at("name") == "model.layers.2.self_attn.q_proj.weight");
    CHECK_THAT(crossdock_program({"inspect", megatron, "--parts", "--tensors", "layer 3 / dense weight"}).out,
               ContainsSubstring("\nparts\n  transformer layer 3 / dense weight  [64, 32]  TP rank 0, PP stage 1  "
                                 "model.language_model.encoder.layers.1.self_attention.dense.weight  "));
    CHECK_THAT(crossdock_program({"inspect", CROSSDOCK_TEST_DATA "/hf/llama2-gqa/model.safetensors", "--parts"}).err,
               ContainsSubstring("--parts is for a checkpoint"));
}
