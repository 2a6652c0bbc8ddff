// SPDX-License-Identifier: Apache-2.0
#include "crossdock/family/gpt2.hpp"

#include "crossdock/container/safetensors/reader.hpp"
#include "crossdock/container/safetensors/writer.hpp"
#include "support/catch.hpp"
#include "support/conversion.hpp"
#include "support/numbered_tensor.hpp"

using namespace crossdock;
using namespace crossdock::test;
using Catch::Matchers::ContainsSubstring;

TEST_CASE("gpt2's c_attn becomes rows grouped by head", "[family][gpt2]") {
    ModelHeader header;
    header.attention.num_attention_heads = header.attention.num_query_groups = 2;
    header.attention.kv_channels = 1;
    // Two inputs; the columns are q0 q1 k0 k1 v0 v1.
    const Tensor stored = int_tensor({2, 6}, {1, 2, 3, 4, 5, 6, 10, 20, 30, 40, 50, 60});
    const Tensor rows = stacked_qkv_transposed.join({stored}, header, 0)[0];
    CHECK(rows.shape() == Shape{6, 2});
    CHECK(elements(rows) == std::vector<std::int32_t>{1, 10, 3, 30, 5, 50, 2, 20, 4, 40, 6, 60});
    CHECK(elements(stacked_qkv_transposed.split({rows}, header, 0)[0]) == elements(stored));
}

TEST_CASE("gpt2 reads files without transformer. in their names, and with masks", "[family][gpt2]") {
    const TemporaryDirectory scratch;
    const auto copy = copied("hf/gpt2", scratch);
    edit_tensors(copy, [](NamedTensor& entry) {
        entry.name.erase(0, std::string("transformer.").size());
        return true;
    });
    safetensors::Writer masks(copy / "masks.safetensors", 1U << 10);
    add_tensor(masks, "h.0.attn.bias", numbered({1, 1, 2, 2}));
    add_tensor(masks, "h.0.attn.masked_bias", numbered({1}));
    masks.finish();
    Json index{{"weight_map", Json::object()}};
    for (const auto& [file, dict] : {std::pair{"model.safetensors", safetensors::read(copy / "model.safetensors")},
                                     {"masks.safetensors", safetensors::read(copy / "masks.safetensors")}})
        for (const NamedTensor& entry : dict.entries()) index["weight_map"][entry.name] = file;
    std::filesystem::rename(copy / "model.safetensors", copy / "weights.safetensors");
    for (auto& [name, file] : index["weight_map"].items())
        if (file == "model.safetensors") file = "weights.safetensors";
    write_file(copy / "model.safetensors.index.json", index.dump());
    CHECK(differences(*load("gpt2", golden("hf/gpt2")), *load("gpt2", copy)) == none);
}

TEST_CASE("gpt2 goes through every Megatron and comes back", "[family][gpt2]") {
    const OptionValues sizes{{"target_tensor_parallel_size", "2"}, {"target_pipeline_parallel_size", "2"}};
    for (const auto& [saver, option] : {std::pair<std::string, OptionValues>{"megatron", {{"dialect", "llm"}}},
                                        {"megatron", {{"dialect", "lm"}}},
                                        {"mcore", {{"transformer_impl", "local"}}},
                                        {"mcore", {}}}) {
        const TemporaryDirectory scratch;
        OptionValues options = sizes;
        options.insert(option.begin(), option.end());
        const auto source = load("gpt2", golden("hf/gpt2"));
        save(*source, saver, scratch / "there", options);
        const auto there = load(saver, scratch / "there");
        CHECK(there->header().mlp.activation == Activation::gelu_tanh);
        CHECK(differences(*source, *there) == none);
        save(*there, "gpt2", scratch / "back");
        const Json config = read_json(scratch / "back/config.json");
        CHECK(config["activation_function"] == "gelu_new");
        CHECK(config["n_inner"] == 256);
        CHECK(differences(*source, *load("gpt2", scratch / "back")) == none);
    }
}

TEST_CASE("gpt2 keeps switches that only transformers has, and lets them go nowhere else", "[family][gpt2]") {
    for (const auto& [key, value] : {std::pair{"scale_attn_by_inverse_layer_idx", true},
                                     {"reorder_and_upcast_attn", true},
                                     {"scale_attn_weights", false}}) {
        const TemporaryDirectory scratch;
        const auto copy = copied("hf/gpt2", scratch);
        edit_json(copy / "config.json", [&, name = key, set = value](Json& config) { config[name] = set; });
        const auto source = load("gpt2", copy);
        save(*source, "gpt2", scratch / "out");
        CHECK(read_json(scratch / "out/config.json")[key] == value);
        CHECK_THAT(refusal([&] { save(*source, "mcore", scratch / "mcore"); }), ContainsSubstring(key));
    }
}

TEST_CASE("gpt2's general names count before its own, and n_ctx goes along", "[family][gpt2]") {
    const TemporaryDirectory scratch;
    const auto copy = copied("hf/gpt2", scratch);
    edit_json(copy / "config.json", [](Json& config) {
        config["hidden_size"] = config["n_embd"];
        config["n_embd"] = 7;
        config["n_ctx"] = 5;
    });
    const auto source = load("gpt2", copy);
    CHECK(source->notices() ==
          std::vector<std::string>{"config.json: 'n_positions' is 64 and 'n_ctx' is 5; the former is used, as "
                                   "transformers does",
                                   "config.json: 'hidden_size' is 64 and 'n_embd' is 7; the former is used, as "
                                   "transformers does"});
    save(*source, "gpt2", scratch / "out");
    const Json config = read_json(scratch / "out/config.json");
    CHECK(config["n_embd"] == 64);
    CHECK_FALSE(config.contains("hidden_size"));
    CHECK(config["n_ctx"] == config["n_positions"]);
}

TEST_CASE("gpt2 keeps to learned positions and biases", "[family][gpt2]") {
    const TemporaryDirectory scratch;
    const auto llama = load("llama", golden("hf/llama2-mha"));
    CHECK(refusal([&] { save(*llama, "gpt2", scratch / "out"); }) ==
          "the model has RMS norms, which a gpt2 checkpoint cannot express");
    const auto gpt2 = load("gpt2", golden("hf/gpt2"));
    for (const char* saver : {"llama", "mistral", "gemma"})
        CHECK(refusal([&] { save(*gpt2, saver, scratch / "out"); }) ==
              to_text("the model has layer norms, which a ", saver, " checkpoint cannot express"));
    CHECK_THAT(refusal([&] { save(*gpt2, "falcon", scratch / "out"); }),
               ContainsSubstring("positions that are neither rotary nor ALiBi"));
    CHECK_THAT(refusal([&] { save(*gpt2, "bert", scratch / "out"); }), ContainsSubstring("no token types"));
}
