// SPDX-License-Identifier: Apache-2.0
#include <filesystem>
#include <functional>
#include <map>
#include <string>

#include "crossdock/container/json.hpp"
#include "crossdock/container/safetensors/reader.hpp"
#include "crossdock/container/safetensors/writer.hpp"
#include "crossdock/pipeline/convert.hpp"
#include "support/catch.hpp"
#include "support/plugins.hpp"
#include "support/temporary_directory.hpp"

using namespace crossdock;
using namespace crossdock::test;
using Catch::Matchers::ContainsSubstring;
namespace fs = std::filesystem;

namespace {

const fs::path llama = fs::path(CROSSDOCK_TEST_DATA) / "hf/llama2-gqa";

using Tensors = std::map<std::string, Tensor>;

/// The golden Llama with other tensors or another config, in `directory`.
void write_variant(
    const fs::path& directory, const std::function<void(Tensors&)>& change_tensors,
    const std::function<void(Json&)>& change_config = [](Json&) {}) {
    fs::create_directories(directory);
    const TensorDict dict = safetensors::read(llama / "model.safetensors");
    Tensors tensors;
    for (const NamedTensor& entry : dict.entries()) tensors[entry.name] = entry.tensor;
    change_tensors(tensors);
    safetensors::Writer writer(directory / "model.safetensors", 1 << 16);
    for (const auto& [name, tensor] : tensors)
        writer.add(name, tensor.dtype(), tensor.shape())->write(0, tensor.bytes());
    writer.finish();
    Json config = read_json_object(llama / "config.json");
    change_config(config);
    write_file(directory / "config.json", config.dump());
}

/// The text of the error that a conversion ends with; the target and what stands around it are as they were.
std::string error_of(const std::string& loader, OptionValues from, const std::string& saver, OptionValues to) {
    TemporaryDirectory scratch;
    to.try_emplace("save_dir", (scratch / "target").string());
    std::string error = "no error";
    try {
        const auto source = make_loader(loader, from);
        const auto target = make_saver(saver, to);
        convert(*source, *target);
    } catch (const Error& caught) {
        error = caught.what();
    }
    CHECK(fs::is_empty(scratch.path()));
    return error;
}

std::string error_of_variant(
    const std::function<void(Tensors&)>& change_tensors,
    const std::function<void(Json&)>& change_config = [](Json&) {}) {
    TemporaryDirectory source;
    write_variant(source / "model", change_tensors, change_config);
    return error_of("llama", {{"load_dir", (source / "model").string()}}, "mcore", {});
}

std::string error_of_parallel(std::uint64_t ranks, std::uint64_t stages, const OptionValues& more = {}) {
    OptionValues to{{"target_tensor_parallel_size", std::to_string(ranks)},
                    {"target_pipeline_parallel_size", std::to_string(stages)}};
    to.insert(more.begin(), more.end());
    return error_of("llama", {{"load_dir", llama.string()}}, "megatron", to);
}

}  // namespace

TEST_CASE("a missing tensor is named with the shape that it should have", "[plugin][bad_input]") {
    const std::string error = error_of_variant([](Tensors& t) { t.erase("model.layers.2.mlp.up_proj.weight"); });
    CHECK_THAT(error, ContainsSubstring("tensor 'model.layers.2.mlp.up_proj.weight' of shape [48, 64] is missing"));
    CHECK_THAT(error, ContainsSubstring("config.json"));
}

TEST_CASE("a tensor that the model has no place for is named", "[plugin][bad_input]") {
    const std::string error =
        error_of_variant([](Tensors& t) { t["model.layers.1.self_attn.sinks"] = t.at("model.norm.weight"); });
    CHECK_THAT(error, ContainsSubstring("'model.layers.1.self_attn.sinks'"));
    CHECK_THAT(error, ContainsSubstring("would be lost"));
}

TEST_CASE("a shape that contradicts the config is named with both shapes and the reason", "[plugin][bad_input]") {
    const std::string error =
        error_of_variant([](Tensors&) {}, [](Json& config) { config["num_key_value_heads"] = 4; });
    CHECK_THAT(error, ContainsSubstring("model.safetensors: tensor 'model.layers.0.self_attn.k_proj.weight' has shape "
                                        "[16, 64], expected [32, 64]"));
    CHECK_THAT(error, ContainsSubstring("key/value heads 4"));
}

TEST_CASE("fewer or more layers than the config says are counted", "[plugin][bad_input]") {
    CHECK_THAT(error_of_variant([](Tensors&) {}, [](Json& config) { config["num_hidden_layers"] = 5; }),
               ContainsSubstring("says 5 layers, the checkpoint holds 4 (0 to 3)"));
    CHECK_THAT(error_of_variant([](Tensors&) {}, [](Json& config) { config["num_hidden_layers"] = 3; }),
               ContainsSubstring("says 3 layers, the checkpoint holds 4 (0 to 3)"));
}

TEST_CASE("a config of another vocabulary is refused", "[plugin][bad_input]") {
    CHECK_THAT(error_of_variant([](Tensors&) {}, [](Json& config) { config["vocab_size"] = 601; }),
               ContainsSubstring("'model.embed_tokens.weight' has shape [600, 64], expected [601, 64]"));
}

TEST_CASE("numbers in a config that cannot be are refused by key", "[plugin][bad_input]") {
    const auto with = [](const char* key, Json value) {
        return error_of_variant([](Tensors&) {}, [&](Json& config) { config[key] = value; });
    };
    CHECK_THAT(with("hidden_size", -64), ContainsSubstring("config.json: 'hidden_size': is -64, expected"));
    CHECK_THAT(with("hidden_size", "64"), ContainsSubstring("'hidden_size': is \"64\", expected a whole number"));
    CHECK_THAT(with("num_attention_heads", 0), ContainsSubstring("'num_attention_heads': is 0, expected at least 1"));
    CHECK_THAT(with("num_key_value_heads", 3),
               ContainsSubstring("8 attention heads do not divide into 3 key/value heads"));
    CHECK_THAT(with("num_hidden_layers", 1e15), ContainsSubstring("layers"));
    CHECK_THAT(with("head_dim", 1'000'000'000'000'000'000), ContainsSubstring("overflows 64 bits"));
    CHECK_THAT(with("model_type", "mamba"), ContainsSubstring("model_type is 'mamba', the loader 'llama' reads llama"));
}

TEST_CASE("a missing shard is named", "[plugin][bad_input]") {
    TemporaryDirectory source;
    fs::copy(fs::path(CROSSDOCK_TEST_DATA) / "hf/llama-sharded", source / "model");
    fs::remove(source / "model" / "model-00003-of-00004.safetensors");
    CHECK_THAT(error_of("llama", {{"load_dir", (source / "model").string()}}, "mcore", {}),
               ContainsSubstring("model-00003-of-00004.safetensors"));
}

TEST_CASE("a truncated shard is named", "[plugin][bad_input]") {
    TemporaryDirectory source;
    fs::copy(fs::path(CROSSDOCK_TEST_DATA) / "hf/llama-sharded", source / "model");
    const fs::path shard = source / "model" / "model-00002-of-00004.safetensors";
    fs::resize_file(shard, fs::file_size(shard) - 1);
    CHECK_THAT(error_of("llama", {{"load_dir", (source / "model").string()}}, "mcore", {}),
               ContainsSubstring("model-00002-of-00004.safetensors"));
}

TEST_CASE("an empty or missing source is refused", "[plugin][bad_input]") {
    TemporaryDirectory source;
    const OptionValues from{{"load_dir", source.path().string()}};
    CHECK_THAT(error_of("llama", from, "mcore", {}), ContainsSubstring("holds no config.json"));
    CHECK_THAT(error_of("megatron", from, "mcore", {}), ContainsSubstring("holds no Megatron checkpoint"));
    CHECK_THAT(error_of("llama", {{"load_dir", (source / "nowhere").string()}}, "mcore", {}),
               ContainsSubstring("nowhere: is not a directory"));
}

TEST_CASE("parallel sizes that do not divide the model are refused by name", "[plugin][bad_input]") {
    CHECK_THAT(error_of_parallel(16, 1),
               ContainsSubstring("target_tensor_parallel_size 16 does not divide the model's 8 "
                                 "attention heads"));
    CHECK_THAT(error_of_parallel(4, 1), ContainsSubstring("4 does not divide the model's 2 key/value heads"));
    CHECK_THAT(error_of_parallel(1, 3),
               ContainsSubstring("target_pipeline_parallel_size 3 does not divide the model's 4 layers"));
    CHECK_THAT(error_of_parallel(0, 1), ContainsSubstring("at least 1"));
    CHECK_THAT(error_of_parallel(2, 1, {{"make_vocab_size_divisible_by", "0"}}),
               ContainsSubstring("expected at least 1"));
}

TEST_CASE("a vocabulary that nobody can pad must divide", "[plugin][bad_input]") {
    const auto source = fs::path(CROSSDOCK_TEST_DATA) / "megatron-llm/codellama";
    CHECK_THAT(
        error_of("megatron", {{"load_dir", source.string()}}, "megatron", {{"target_tensor_parallel_size", "8"}}),
        ContainsSubstring("do not divide"));
}

TEST_CASE("a target that exists is refused and left as it was", "[plugin][bad_input]") {
    TemporaryDirectory target;
    write_file(target / "mine.txt", "mine");
    try {
        const auto source = make_loader("llama", {{"load_dir", llama.string()}});
        convert(*source, *make_saver("mcore", {{"save_dir", target.path().string()}}));
        FAIL("no error");
    } catch (const Error& error) {
        CHECK_THAT(error.what(), ContainsSubstring("exists already"));
        CHECK_THAT(error.what(), ContainsSubstring("give the option overwrite"));
    }
    CHECK(read_file(target / "mine.txt") == "mine");
}

TEST_CASE("only a checkpoint is overwritten", "[plugin][bad_input]") {
    TemporaryDirectory target;
    write_file(target / "thesis.tex", "years of work");
    const auto source = make_loader("llama", {{"load_dir", llama.string()}});
    const OptionValues to{{"save_dir", target.path().string()}, {"overwrite", ""}};
    CHECK_THROWS_WITH(convert(*source, *make_saver("mcore", to)), ContainsSubstring("does not look like a checkpoint"));
    CHECK(read_file(target / "thesis.tex") == "years of work");
    write_file(target / "config.json", "{}");
    convert(*source, *make_saver("mcore", to));
    CHECK(fs::exists(target / "latest_checkpointed_iteration.txt"));
    CHECK_FALSE(fs::exists(target / "thesis.tex"));
}

TEST_CASE("a target in the source is refused", "[plugin][bad_input]") {
    TemporaryDirectory source;
    fs::copy(llama, source / "model");
    const std::string inside = (source / "model" / "converted").string();
    CHECK_THAT(error_of("llama", {{"load_dir", (source / "model").string()}}, "mcore", {{"save_dir", inside}}),
               ContainsSubstring("lies in the source"));
    CHECK_FALSE(fs::exists(inside));
}

TEST_CASE("ranks that are missing from a Megatron checkpoint are named", "[plugin][bad_input]") {
    TemporaryDirectory source;
    fs::copy(fs::path(CROSSDOCK_TEST_DATA) / "megatron-llm/llama2-gqa-tp2pp2", source / "model",
             fs::copy_options::recursive);
    fs::remove_all(source / "model/release/mp_rank_01_000");
    CHECK_THAT(error_of("megatron", {{"load_dir", (source / "model").string()}}, "llama", {}),
               ContainsSubstring("1 of 4 ranks is missing: mp_rank_01_000"));
}
