// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <filesystem>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "crossdock/container/dcp/reader.hpp"
#include "crossdock/container/text_file.hpp"
#include "crossdock/container/torch/reader.hpp"
#include "crossdock/plugin/megatron/saver.hpp"
#include "support/catch.hpp"
#include "support/conversion.hpp"
#include "support/synthetic_model.hpp"

using namespace crossdock;
using namespace crossdock::test;
using Catch::Matchers::ContainsSubstring;

namespace {

SyntheticLoader llama() { return SyntheticLoader(llama_header(4, 4, 2, 8, 32, 48, 64, DType::bf16), 1); }

using Offsets = std::vector<std::uint64_t>;

const dcp::TensorItem& item(const dcp::Reader& reader, const std::string& name) {
    const auto& all = reader.metadata().tensors;
    const auto found = std::find_if(all.begin(), all.end(), [&](const auto& each) { return each.name == name; });
    REQUIRE(found != all.end());
    return *found;
}

/// Where the chunks of a layer begin in the tensor, without the layer.
std::set<Offsets> chunks_of(const dcp::Reader& reader, const std::string& name, std::uint64_t layer) {
    std::set<Offsets> found;
    for (const dcp::Chunk& chunk : item(reader, name).chunks)
        if (chunk.offsets[0] == layer) found.insert(Offsets(chunk.offsets.begin() + 1, chunk.offsets.end()));
    return found;
}

std::set<std::string> names_in(const std::filesystem::path& directory) {
    std::set<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(directory)) names.insert(entry.path().filename());
    return names;
}

Json args_in(const std::filesystem::path& iteration) {
    const pickle::Value common = torch::read(iteration / "common.pt");
    return read_args(common.find("args")).values;
}

}  // namespace

TEST_CASE("a model goes to one distributed checkpoint unless sizes are asked for", "[plugin][megatron]") {
    const TemporaryDirectory scratch;
    SyntheticLoader source = llama();
    save(source, "mcore", scratch / "out");
    CHECK(names_in(scratch / "out") ==
          std::set<std::string>{"crossdock.json", "iter_0000001", "latest_checkpointed_iteration.txt"});
    CHECK(names_in(scratch / "out/iter_0000001") ==
          std::set<std::string>{".metadata", "__0_0.distcp", "__0_1.distcp", "common.pt", "metadata.json"});
    CHECK(read_text(scratch / "out/latest_checkpointed_iteration.txt") == "1");
    CHECK(read_json(scratch / "out/iter_0000001/metadata.json") == Json{{"sharded_backend", "torch_dist"},
                                                                        {"sharded_backend_version", 1},
                                                                        {"common_backend", "torch"},
                                                                        {"common_backend_version", 1}});
    const pickle::Value common = torch::read(scratch / "out/iter_0000001/common.pt");
    CHECK(common.find("checkpoint_version")->as_float() == 3.0);
    CHECK(common.find("iteration")->as_integer() == 1);
    const pickle::Value* content = common.find("content_metadata");
    REQUIRE(content);
    CHECK(content->find("singleton_local_shards")->as_bool() == false);
    CHECK(content->find("chained_optim_avoid_prefix")->as_bool() == true);
    const Json args = args_in(scratch / "out/iter_0000001");
    CHECK(args["ckpt_format"].get<std::string>() == "torch_dist");
    CHECK(args["transformer_impl"].get<std::string>() == "transformer_engine");
    CHECK(args["tensor_model_parallel_size"] == 1);
    CHECK(args["pipeline_model_parallel_size"] == 1);

    save(source, "mcore", scratch / "ranks", {{"target_pipeline_parallel_size", "1"}});
    CHECK(std::filesystem::exists(scratch / "ranks/iter_0000001/mp_rank_00/model_optim_rng.pt"));
    save(source, "mcore", scratch / "named", {{"ckpt_format", "torch"}});
    CHECK(std::filesystem::exists(scratch / "named/iter_0000001/mp_rank_00/model_optim_rng.pt"));
}

TEST_CASE("layers lie on an axis in front, under Transformer Engine's names whichever layers are asked for",
          "[plugin][megatron]") {
    SyntheticLoader source = llama();
    for (const std::string implementation : {"transformer_engine", "local"}) {
        const TemporaryDirectory scratch;
        save(source, "mcore", scratch / "out", {{"transformer_impl", implementation}});
        const dcp::Reader reader(scratch / "out/iter_0000001");
        std::vector<std::string> names;
        for (const dcp::TensorItem& each : reader.metadata().tensors) names.push_back(each.name);
        std::sort(names.begin(), names.end());
        CHECK(names == std::vector<std::string>{
                           "decoder.final_layernorm.weight", "decoder.layers.mlp.linear_fc1.layer_norm_weight",
                           "decoder.layers.mlp.linear_fc1.weight", "decoder.layers.mlp.linear_fc2.weight",
                           "decoder.layers.self_attention.linear_proj.weight",
                           "decoder.layers.self_attention.linear_qkv.layer_norm_weight",
                           "decoder.layers.self_attention.linear_qkv.weight", "embedding.word_embeddings.weight",
                           "output_layer.weight"});
        CHECK(item(reader, "decoder.layers.mlp.linear_fc1.weight").shape == Shape{4, 96, 32});
        CHECK(item(reader, "decoder.layers.self_attention.linear_qkv.layer_norm_weight").shape == Shape{4, 32});
        CHECK(item(reader, "embedding.word_embeddings.weight").shape == Shape{128, 32});
        CHECK(args_in(scratch / "out/iter_0000001")["transformer_impl"].get<std::string>() == implementation);

        std::set<std::string> values;
        for (const dcp::BytesItem& each : reader.metadata().bytes) {
            values.insert(each.name);
            const pickle::Value value = reader.value(each);
            REQUIRE(value.items());
            CHECK(value.items()->size() == 1);
            CHECK(value.items()->front().is_none());
        }
        CHECK(values.size() == 16);
        for (const char* linear :
             {"self_attention.linear_qkv", "self_attention.linear_proj", "mlp.linear_fc1", "mlp.linear_fc2"})
            CHECK(values.contains(to_text("decoder.layers.", linear, "._extra_state/shard_3_4")));
    }
}

TEST_CASE("tensor-parallel sizes decide the chunks: gate and up apart, what all ranks hold once",
          "[plugin][megatron]") {
    const TemporaryDirectory scratch;
    SyntheticLoader source = llama();
    save(source, "mcore", scratch / "out",
         {{"ckpt_format", "torch_dist"}, {"target_tensor_parallel_size", "2"}, {"num_files", "3"}});
    CHECK(names_in(scratch / "out/iter_0000001").contains("__0_2.distcp"));
    const dcp::Reader reader(scratch / "out/iter_0000001");
    CHECK(chunks_of(reader, "decoder.layers.mlp.linear_fc1.weight", 3) ==
          std::set<Offsets>{{0, 0}, {24, 0}, {48, 0}, {72, 0}});
    CHECK(chunks_of(reader, "decoder.layers.self_attention.linear_proj.weight", 3) ==
          std::set<Offsets>{{0, 0}, {0, 16}});
    CHECK(chunks_of(reader, "decoder.layers.self_attention.linear_qkv.weight", 0) ==
          std::set<Offsets>{{0, 0}, {32, 0}});
    CHECK(chunks_of(reader, "decoder.layers.mlp.linear_fc1.layer_norm_weight", 0) == std::set<Offsets>{{0}});
    CHECK(item(reader, "decoder.final_layernorm.weight").chunks.size() == 1);

    const TransformerLayer layer = pull(Key<TransformerLayer>{2}, source);
    const Tensor fc1 = take_element(reader.tensor(item(reader, "decoder.layers.mlp.linear_fc1.weight")), 2);
    CHECK(fc1.bytes() == concatenate(std::vector{*layer.gate_weight, *layer.up_weight}, 0).bytes());
    const Tensor proj =
        take_element(reader.tensor(item(reader, "decoder.layers.self_attention.linear_proj.weight")), 2);
    CHECK(proj.bytes() == layer.dense_weight->bytes());
    CHECK(differences(source, *load("mcore", scratch / "out")) == none);
}

TEST_CASE("pipeline sizes stand in the args and leave no other trace", "[plugin][megatron]") {
    const TemporaryDirectory scratch;
    SyntheticLoader source = llama();
    save(source, "mcore", scratch / "one", {{"num_files", "2"}});
    save(source, "mcore", scratch / "two",
         {{"ckpt_format", "torch_dist"},
          {"target_pipeline_parallel_size", "2"},
          {"target_virtual_pipeline_parallel_size", "2"}});
    for (const char* name : {".metadata", "__0_0.distcp", "__0_1.distcp"})
        CHECK(read_text(scratch / "one/iter_0000001" / name) == read_text(scratch / "two/iter_0000001" / name));
    CHECK(args_in(scratch / "two/iter_0000001")["virtual_pipeline_model_parallel_size"] == 2);
}

TEST_CASE("Megatron-Core's own checkpoints keep their format, and a distributed one has no grid to keep",
          "[plugin][megatron]") {
    const TemporaryDirectory scratch;
    SyntheticLoader source = llama();
    save(source, "mcore", scratch / "ranks", {{"target_tensor_parallel_size", "2"}});
    save(*load("mcore", scratch / "ranks"), "mcore", scratch / "ranks again");
    CHECK(std::filesystem::exists(scratch / "ranks again/iter_0000001/mp_rank_01/model_optim_rng.pt"));
    save(*load("mcore", scratch / "ranks"), "mcore", scratch / "dist", {{"ckpt_format", "torch_dist"}});
    CHECK(args_in(scratch / "dist/iter_0000001")["tensor_model_parallel_size"] == 1);
    save(*load("mcore", scratch / "dist"), "mcore", scratch / "dist again", {{"target_tensor_parallel_size", "2"}});
    CHECK(args_in(scratch / "dist again/iter_0000001")["tensor_model_parallel_size"] == 2);
    CHECK(differences(source, *load("mcore", scratch / "dist again")) == none);
    save(*load("mcore", scratch / "dist again"), "mcore", scratch / "back", {{"ckpt_format", "torch"}});
    CHECK(std::filesystem::exists(scratch / "back/iter_0000001/mp_rank_00/model_optim_rng.pt"));
    CHECK(differences(source, *load("mcore", scratch / "back")) == none);
}

TEST_CASE("a tied model has no output layer in a distributed checkpoint", "[plugin][megatron]") {
    const TemporaryDirectory scratch;
    ModelHeader header = llama().header();
    header.tied_embeddings = true;
    SyntheticLoader source(header, 1);
    save(source, "mcore", scratch / "out",
         {{"ckpt_format", "torch_dist"}, {"target_pipeline_parallel_size", "2"}, {"iteration", "release"}});
    CHECK(read_text(scratch / "out/latest_checkpointed_iteration.txt") == "release");
    const dcp::Reader reader(scratch / "out/release");
    for (const dcp::TensorItem& each : reader.metadata().tensors) CHECK(each.name != "output_layer.weight");
    CHECK(differences(source, *load("mcore", scratch / "out")) == none);
}

TEST_CASE("options of distributed checkpoints are refused where there is none", "[plugin][megatron]") {
    const TemporaryDirectory scratch;
    SyntheticLoader source = llama();
    const auto why = [&](OptionValues options) {
        return refusal([&] { save(source, "mcore", scratch / "out", std::move(options)); });
    };
    CHECK_THAT(why({{"num_files", "0"}}), ContainsSubstring("num_files is 0, expected at least 1"));
    CHECK_THAT(why({{"ckpt_format", "zarr"}}),
               ContainsSubstring("ckpt_format is 'zarr', expected torch_dist or torch"));
    CHECK_THAT(why({{"ckpt_format", "torch"}, {"num_files", "2"}}), ContainsSubstring("ckpt_format torch_dist"));
    CHECK_THAT(why({{"target_tensor_parallel_size", "2"}, {"bridge", ""}}),
               ContainsSubstring("ckpt_format torch_dist"));
    CHECK_THAT(why({{"bridge", ""}, {"iteration", "release"}}), ContainsSubstring("iteration"));
    CHECK_THAT(why({{"bridge", ""}, {"rope_scaling", R"({"rope_type": "dynamic", "factor": 2.0})"}}),
               ContainsSubstring("the rotary scaling is dynamic"));
    CHECK_THAT(why({{"bridge", ""},
                    {"rope_scaling",
                     R"({"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 2.0, "high_freq_factor": 4.0,
                         "original_max_position_embeddings": 8192})"}}),
               ContainsSubstring("the constants of its llama3 rope_scaling"));
    CHECK_THAT(why({{"bridge", ""}, {"iteration", "4000000000"}}),
               ContainsSubstring("the training has counted to 4000000000"));
    CHECK(!std::filesystem::exists(scratch / "out"));
    save(source, "mcore", scratch / "out");
    CHECK_THAT(why({}), ContainsSubstring("overwrite"));
    save(source, "mcore", scratch / "out", {{"overwrite", ""}});
}

TEST_CASE("bridge adds the model's description and the counters for Megatron-Bridge", "[plugin][megatron]") {
    const TemporaryDirectory scratch;
    ModelHeader header = llama().header();
    header.norm_epsilon = 1e-5;
    header.true_vocab_size = 60;
    SyntheticLoader source(header, 1);
    save(source, "mcore", scratch / "out", {{"bridge", ""}, {"iteration", "7"}});
    const std::string config = read_text(scratch / "out/iter_0000007/run_config.yaml");
    CHECK(config.starts_with("model:\n  _target_: megatron.bridge.models.gpt_provider.GPTModelProvider\n"));
    for (const char* line :
         {"  num_layers: 4\n", "  vocab_size: 60\n", "  should_pad_vocab: true\n", "  layernorm_epsilon: 1.0e-05\n",
          "  normalization: RMSNorm\n", "  activation_func: {_target_: torch.nn.functional.silu, _call_: false}\n",
          "  params_dtype: {_target_: torch.bfloat16, _call_: false}\n", "checkpoint:\n  save_optim: false\n"})
        CHECK_THAT(config, ContainsSubstring(line));
    const TensorDict state = torch::tensors(torch::read(scratch / "out/latest_train_state.pt"), "state");
    REQUIRE(state.find("step"));
    CHECK(state.find("step")->tensor.dtype() == DType::i32);
    CHECK(state.find("step")->tensor.bytes().front() == std::byte{7});
    CHECK(state.entries().size() == 8);
    CHECK(read_text(scratch / "out/latest_train_state.pt").size() > 0);
    CHECK(std::filesystem::exists(scratch / "out/iter_0000007/train_state.pt"));
}
