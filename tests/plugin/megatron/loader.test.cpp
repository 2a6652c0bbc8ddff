// SPDX-License-Identifier: Apache-2.0
#include "crossdock/plugin/megatron/loader.hpp"

#include "crossdock/container/torch/reader.hpp"
#include "crossdock/container/torch/writer.hpp"
#include "crossdock/plugin/megatron/flags.hpp"
#include "support/catch.hpp"
#include "support/conversion.hpp"

using namespace crossdock;
using namespace crossdock::test;
using Catch::Matchers::ContainsSubstring;

namespace {

/// The rows of n heads with 3 parts of d rows in each, in the order of an older version: for each row of the result,
/// where it stands in [n, 3, d].
std::vector<std::uint64_t> older_order(double order_version, std::uint64_t n, std::uint64_t d) {
    std::vector<std::uint64_t> order;
    const auto latest = [&](std::uint64_t head, std::uint64_t part, std::uint64_t row) {
        return (head * 3 + part) * d + row;
    };
    if (order_version == 0)
        for (std::uint64_t part = 0; part < 3; ++part)
            for (std::uint64_t head = 0; head < n; ++head)
                for (std::uint64_t row = 0; row < d; ++row) order.push_back(latest(head, part, row));
    else if (order_version == 1)
        for (std::uint64_t head = 0; head < n; ++head)
            for (std::uint64_t row = 0; row < d; ++row)
                for (std::uint64_t part = 0; part < 3; ++part) order.push_back(latest(head, part, row));
    else
        for (std::uint64_t row = 0; row < 3 * n * d; ++row) order.push_back(row);
    return order;
}

Tensor reordered(const Tensor& rows, const std::vector<std::uint64_t>& order) {
    std::vector<Tensor> parts;
    for (const std::uint64_t row : order) parts.push_back(slice(rows, 0, row, row + 1));
    return concatenate(parts, 0);
}

/// A golden checkpoint, file by file, with its qkv rows in an older version's order.
void write_older(const std::filesystem::path& from, const std::filesystem::path& to, double order_version,
                 bool say_version) {
    for (const auto& file : std::filesystem::recursive_directory_iterator(from)) {
        const auto copy = to / file.path().lexically_relative(from);
        if (file.is_directory()) continue;
        std::filesystem::create_directories(copy.parent_path());
        if (file.path().extension() != ".pt") {
            std::filesystem::copy_file(file.path(), copy);
            continue;
        }
        const pickle::Value root = torch::read(file.path());
        const Json args = read_args(root.find("args")).values;
        const auto ranks = args["tensor_model_parallel_size"].get<std::uint64_t>();
        const auto order = older_order(order_version, args["num_attention_heads"].get<std::uint64_t>() / ranks,
                                       args["kv_channels"].get<std::uint64_t>());
        torch::Writer writer(copy);
        writer.put("args", namespace_of_json(args));
        if (say_version) writer.put("checkpoint_version", order_version);
        writer.put("iteration", std::int64_t{10});
        const TensorDict dict = torch::tensors(*root.find("model"), "model");
        for (const NamedTensor& entry : dict.entries()) {
            const bool is_qkv = entry.name.find("query_key_value") != std::string::npos;
            add_tensor(writer, "model/" + entry.name, is_qkv ? reordered(entry.tensor, order) : entry.tensor);
        }
        writer.finish();
    }
}

}  // namespace

TEST_CASE("checkpoints of versions 0, 1, 2 and 3 are one model", "[plugin][megatron]") {
    for (const char* name : {"megatron-lm/gpt", "megatron-lm/gpt-tp2", "megatron-lm/bert"})
        for (const double older : {0.0, 1.0, 2.0, 3.0})
            for (const bool say_version : {true, false}) {
                if (!say_version && older != 0) continue;  // no version is version 0
                INFO(name << " version " << older);
                const TemporaryDirectory scratch;
                write_older(golden(name), scratch / "older", older, say_version);
                const OptionValues lm{{"source_dialect", "lm"}};
                CHECK(differences(*load("megatron", golden(name)), *load("megatron", scratch / "older", lm)) == none);
            }
}

TEST_CASE("rows of older versions that are no heads are refused", "[plugin][megatron]") {
    const TemporaryDirectory scratch;
    write_older(golden("megatron-lm/gpt"), scratch / "older", 1, true);
    const OptionValues options{{"kv_channels", "10"}};
    CHECK_THAT(
        refusal([&] { load("megatron", scratch / "older", options); }),
        ContainsSubstring(": tensor 'model.language_model.encoder.layers.0.self_attention.query_key_value.weight' "
                          "has shape [192, 64], expected [120, 64]"));
}

TEST_CASE("grouped queries in files of a version that knew none are refused", "[plugin][megatron]") {
    CHECK_THAT(refusal([&] {
                   load("megatron", golden("megatron-lm/llama2-gqa-tp1"), {{"checkpoint_version", "1"}});
               }),
               ContainsSubstring(": checkpoint_version 1.0 knows no grouped queries"));
}

TEST_CASE("all nine model types are accepted where they fit the checkpoint", "[plugin][megatron]") {
    for (const auto& [name, types] : {std::pair<const char*, std::vector<std::string>>{"megatron-lm/gpt", {"GPT"}},
                                      {"megatron-lm/bert", {"BERT"}},
                                      {"megatron-llm/falcon-7b", {"falcon", "GPT"}},
                                      {"megatron-llm/llama2-gqa", {"llama", "llama2", "llama3", "GPT"}},
                                      {"megatron-llm/codellama", {"codellama"}},
                                      {"megatron-llm/mistral-gqa", {"mistral", "gemma"}}})
        for (const std::string& type : types)
            CHECK(load("megatron", golden(name), {{"model_type", type}})->header().model_type == type);
}

TEST_CASE("a model type that the tensors contradict is refused", "[plugin][megatron]") {
    const auto why = [](const char* name, const char* type) {
        return refusal([&] { load("megatron", golden(name), {{"model_type", type}}); });
    };
    CHECK(why("megatron-lm/gpt", "BERT") ==
          "model_type BERT contradicts the checkpoint, which has none of BERT's heads and no token types");
    CHECK(why("megatron-lm/bert", "GPT") ==
          "model_type GPT contradicts the checkpoint, which has BERT's heads or token types");
    CHECK(why("megatron-lm/gpt", "llama2") ==
          "model_type llama2 contradicts the checkpoint, which has learned positions");
    CHECK(why("megatron-lm/gpt", "falcon") ==
          "model_type falcon contradicts the checkpoint, which has learned positions");
    CHECK(why("megatron-llm/llama2-gqa", "falcon") ==
          "model_type falcon contradicts the checkpoint, which has RMS norms");
    CHECK(why("megatron-llm/falcon-7b", "llama") ==
          "model_type llama contradicts the checkpoint, which has layer norms");
    CHECK_THAT(why("megatron-llm/llama2-gqa", "t5"),
               ContainsSubstring("model_type is 't5', expected one of GPT, BERT"));
}

TEST_CASE("Megatron's ungated gelu is the exact one unless an argument says tanh", "[plugin][megatron]") {
    const auto activation = [](const Json& gelu) {
        ModelHeader header;
        const Json args{{"swiglu", false}, {"openai_gelu", gelu[0]}, {"bias_gelu_fusion", gelu[1]}};
        read_config(megatron_lm().args, args, header, "args");
        return header.mlp.activation;
    };
    CHECK_FALSE(activation({false, false}));
    CHECK(activation({true, false}) == Activation::gelu_tanh);
    CHECK(activation({false, true}) == Activation::gelu_tanh);
    CHECK(load("megatron", golden("megatron-lm/gpt"))->header().mlp.activation == Activation::gelu_erf);
    ModelHeader gated;
    read_config(megatron_lm().args, {{"swiglu", true}, {"bias_gelu_fusion", true}}, gated, "args");
    CHECK(gated.mlp.activation == Activation::silu);
}

TEST_CASE("what Megatron must be told of gelu depends on the form and on biases", "[plugin][megatron]") {
    ModelHeader header = load("gpt2", golden("hf/gpt2"))->header();
    const auto told = [&](const MegatronDialect& dialect) { return joined_list(megatron_flags(dialect, header), " "); };
    const std::string epsilon = " --norm-epsilon 1e-05", layer_norm = " --layernorm_epsilon 1e-05";
    CHECK(told(megatron_lm()) == epsilon.substr(1));  // tanh, the default of bias_gelu_fusion
    header.mlp.activation = Activation::gelu_erf;
    CHECK(told(megatron_lm()) == "--no-bias-gelu-fusion" + epsilon);
    CHECK(told(megatron_llm()) == "--no_bias_gelu_fusion" + layer_norm + " --use_bias");
    header.mlp.activation = Activation::gelu_tanh;
    header.mlp.fc1_bias = false;
    CHECK(told(megatron_llm()) == "--openai_gelu --no_bias_gelu_fusion" + layer_norm + " --use_bias");
}
