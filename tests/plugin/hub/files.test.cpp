// SPDX-License-Identifier: Apache-2.0
// Hugging Face directories as people have them: what is read, what is refused by its name, what is told.
#include "crossdock/container/safetensors/reader.hpp"
#include "crossdock/container/safetensors/writer.hpp"
#include "crossdock/plugin/family/loader.hpp"
#include "support/catch.hpp"
#include "support/conversion.hpp"

using namespace crossdock;
using namespace crossdock::test;
using Catch::Matchers::ContainsSubstring;

namespace {

/// What stops the loading of a golden directory whose config.json was changed.
std::string config_refusal(const char* family, const char* name, const std::function<void(Json&)>& edit) {
    const TemporaryDirectory scratch;
    const auto copy = copied(name, scratch);
    edit_json(copy / "config.json", edit);
    return refusal([&] { load(family, copy)->begin(); });
}

std::string key_refusal(const char* key, const Json& value) {
    return config_refusal("llama", "hf/llama3-gqa", [&](Json& config) { config[key] = value; });
}

/// The golden Llama with one tensor more, or with one replaced.
std::filesystem::path with_tensor(const char* name, const std::string& tensor, const Tensor& content,
                                  const TemporaryDirectory& scratch) {
    const auto copy = copied(name, scratch), file = copy / "model.safetensors";
    const TensorDict dict = safetensors::read(golden(name) / "model.safetensors");
    std::filesystem::remove(file);
    safetensors::Writer writer(file, 1U << 14);
    for (const NamedTensor& entry : dict.entries())
        if (entry.name != tensor) add_tensor(writer, entry.name, entry.tensor);
    add_tensor(writer, tensor, content);
    writer.finish();
    return copy;
}

const Tensor& stored(const TensorDict& dict, const char* name) { return dict.find(name)->tensor; }

}  // namespace

TEST_CASE("quantized models are refused by what says so, before any tensor", "[plugin][hub]") {
    CHECK_THAT(key_refusal("quantization_config", {{"quant_method", "gptq"}, {"bits", 4}}),
               ContainsSubstring("config.json: 'quantization_config' asks for quantized weights (gptq), which are not "
                                 "supported"));
    for (const char* key : {"quantization_args", "compression_config", "quantization"})
        CHECK_THAT(key_refusal(key, {{"bits", 4}}),
                   ContainsSubstring(to_text("'", key, "' asks for quantized weights (4 bits)")));
    CHECK(key_refusal("quantization_config", nullptr).empty());
    const TemporaryDirectory scratch;
    const Tensor scales = stored(safetensors::read(golden("hf/llama3-gqa") / "model.safetensors"), "model.norm.weight");
    const auto copy = with_tensor("hf/llama3-gqa", "model.layers.0.mlp.up_proj.weight_scale_inv", scales, scratch);
    CHECK_THAT(refusal([&] { load("llama", copy); }),
               ContainsSubstring("weight_scale_inv' belongs to quantized weights"));
}

TEST_CASE("heads that no target has are refused by name", "[plugin][hub]") {
    CHECK_THAT(
        key_refusal("architectures", {"LlamaForSequenceClassification"}),
        ContainsSubstring("config.json: 'architectures' says LlamaForSequenceClassification, whose head (sequence "
                          "classification) no target has a place for"));
    const TensorDict dict = safetensors::read(golden("hf/llama3-gqa") / "model.safetensors");
    for (const char* name : {"score.weight", "classifier.weight", "qa_outputs.weight", "v_head.summary.weight"}) {
        const TemporaryDirectory scratch;
        const auto copy = with_tensor("hf/llama3-gqa", name, stored(dict, "model.norm.weight"), scratch);
        CHECK_THAT(refusal([&] { load("llama", copy); }),
                   ContainsSubstring(to_text("model.safetensors: tensor '", name, "' is of another head (")));
    }
}

TEST_CASE("values of the wrong kind are refused with the file and the key", "[plugin][hub]") {
    CHECK_THAT(key_refusal("rms_norm_eps", nullptr), ContainsSubstring("config.json: 'rms_norm_eps': is null"));
    CHECK_THAT(key_refusal("hidden_act", nullptr), ContainsSubstring("config.json: 'hidden_act': is null"));
    CHECK_THAT(key_refusal("hidden_size", "64"), ContainsSubstring("config.json: 'hidden_size': is \"64\""));
    CHECK_THAT(key_refusal("tie_word_embeddings", 0), ContainsSubstring("'tie_word_embeddings': is 0, expected true"));
    CHECK_THAT(key_refusal("num_key_value_heads", 0), ContainsSubstring("'num_key_value_heads': is 0"));
    CHECK_THAT(key_refusal("rope_scaling", "linear"), ContainsSubstring("'rope_scaling': is \"linear\""));
    CHECK_THAT(key_refusal("rope_scaling", {{"type", "mrope"}}),
               ContainsSubstring("'rope_scaling': is of the kind 'mrope', expected one of default, linear, dynamic"));
    CHECK_THAT(key_refusal("rope_scaling", {{"type", "longrope"}}), ContainsSubstring("has no 'short_factor'"));
    CHECK_THAT(key_refusal("rope_scaling", {{"type", "yarn"}, {"factor", 2.0}, {"beta_fast", "32"}}),
               ContainsSubstring("'beta_fast': is \"32\", expected a number"));
}

TEST_CASE("what config.json says twice is read as transformers reads it, with a notice", "[plugin][hub]") {
    const auto read = [](const std::function<void(Json&)>& edit) {
        const TemporaryDirectory scratch;
        const auto copy = copied("hf/llama3-gqa", scratch);
        edit_json(copy / "config.json", [&](Json& config) {
            for (const char* key : {"rope_theta", "rope_scaling", "rope_parameters"}) config.erase(key);
            edit(config);
        });
        const auto loader = load("llama", copy);
        return std::pair(loader->header(), loader->notices());
    };
    const auto [theta, theta_told] = read([](Json& config) {
        config["rope_theta"] = 500.0;
        config["rope_parameters"] = {{"rope_type", "default"}, {"rope_theta", 700.0}};
    });
    CHECK(theta.attention.rope_theta == 700.0);
    REQUIRE(theta_told.size() == 1);
    CHECK_THAT(theta_told[0], ContainsSubstring("rope_theta is 500.0, in rope_parameters it is 700.0; the latter"));
    const auto [kind, kind_told] = read([](Json& config) {
        config["rope_scaling"] = {{"type", "linear"}, {"rope_type", "dynamic"}, {"factor", 2.0}};
    });
    CHECK(kind.attention.rope_scaling->type == "dynamic");
    CHECK(kind.attention.rope_theta == 10000.0);
    REQUIRE(kind_told.size() == 1);
    CHECK_THAT(kind_told[0], ContainsSubstring("has the type \"linear\" and the rope_type \"dynamic\""));
    const auto [both, both_told] = read([](Json& config) {
        config["rope_scaling"] = {{"type", "linear"}, {"factor", 2.0}};
        config["rope_parameters"] = {{"rope_type", "dynamic"}, {"factor", 4.0}};
    });
    CHECK(both.attention.rope_scaling->type == "linear");
    CHECK(both_told == std::vector<std::string>{"config.json: rope_scaling and rope_parameters differ; rope_scaling is "
                                                "used, as transformers does"});
    const auto [partial, partial_told] = read([](Json& config) { config["partial_rotary_factor"] = 0.5; });
    CHECK(partial.attention.rotary_percent == 1.0);
    CHECK(partial_told.size() == 1);
    const auto [length, length_told] = read([](Json& config) {
        config["rope_scaling"] = {{"type", "yarn"}, {"factor", 2.0}, {"beta_fast", 16}};
        config["max_position_embeddings"] = 96;
    });
    CHECK(length.attention.rope_scaling->original_max_position_embeddings == 96U);
    CHECK(length.attention.rope_scaling->others == std::map<std::string, std::string>{{"beta_fast", "16.0"}});
    CHECK(length_told == none);
}

TEST_CASE("linear and dynamic scaling are written as releases before rope_type read them", "[plugin][hub]") {
    const TemporaryDirectory scratch;
    const auto copy = copied("hf/llama3-gqa", scratch);
    const Json scaling{{"type", "linear"}, {"factor", 4.0}};
    edit_json(copy / "config.json", [&](Json& config) {
        config.erase("rope_parameters");
        config["rope_scaling"] = scaling;
    });
    save(*load("llama", copy), "llama", scratch / "out");
    CHECK(read_json(scratch / "out/config.json")["rope_scaling"] == scaling);
}

TEST_CASE("yarn's parameters come back from Megatron-Core with crossdock.json", "[plugin][hub]") {
    const TemporaryDirectory scratch;
    const auto copy = copied("hf/llama3-gqa", scratch);
    edit_json(copy / "config.json", [&](Json& config) {
        config.erase("rope_parameters");
        config["rope_scaling"] = {{"rope_type", "yarn"}, {"factor", 4.0}, {"mscale", 0.7}, {"truncate", false}};
    });
    const auto source = load("llama", copy);
    save(*source, "mcore", scratch / "there");
    const auto there = load("mcore", scratch / "there");
    CHECK(differences(*source, *there) == none);
    save(*there, "llama", scratch / "back");
    const Json back = read_json(scratch / "back/config.json")["rope_scaling"];
    CHECK(back["mscale"] == 0.7);
    CHECK(back["truncate"] == false);
}

TEST_CASE("a head that differs from the embeddings of a tied model stays, and unties it", "[plugin][hub]") {
    const TemporaryDirectory scratch;
    const TensorDict dict = safetensors::read(golden("hf/llama3.2-tied") / "model.safetensors");
    const Tensor& words = stored(dict, "model.embed_tokens.weight");
    const std::uint64_t rows = words.shape()[0];
    const Tensor turned = concatenate(std::vector{slice(words, 0, 1, rows), slice(words, 0, 0, 1)}, 0);
    const auto copy = with_tensor("hf/llama3.2-tied", "lm_head.weight", turned, scratch);
    const auto source = load("llama", copy);
    source->begin();
    CHECK_FALSE(source->header().tied_embeddings);
    REQUIRE(source->notices().size() == 1);
    CHECK_THAT(source->notices()[0], ContainsSubstring("it is kept and the model is untied"));
    save(*source, "llama", scratch / "out");
    CHECK(read_json(scratch / "out/config.json")["tie_word_embeddings"] == false);
    CHECK(differences(*source, *load("llama", scratch / "out")) == none);
}

TEST_CASE("a tied model whose files hold the head alone is whole", "[plugin][hub]") {
    const TemporaryDirectory scratch;
    const auto copy = copied("hf/llama3.2-tied", scratch);
    edit_tensors(copy, [](NamedTensor& entry) {
        if (entry.name == "model.embed_tokens.weight") entry.name = "lm_head.weight";
        return true;
    });
    const auto source = load("llama", copy);
    CHECK(source->notices().size() == 1);
    CHECK(differences(*load("llama", golden("hf/llama3.2-tied")), *source) == none);
}

TEST_CASE("names below wrappers of training are read without them", "[plugin][hub]") {
    for (const char* wrapper : {"module.", "_orig_mod.", "base_model.model.", "module._orig_mod."}) {
        const TemporaryDirectory scratch;
        const auto copy = copied("hf/llama3-gqa", scratch);
        edit_tensors(copy, [wrapper](NamedTensor& entry) {
            entry.name.insert(0, wrapper);
            return true;
        });
        const auto source = load("llama", copy);
        CHECK(source->notices().size() == 1);
        CHECK(differences(*load("llama", golden("hf/llama3-gqa")), *source) == none);
    }
}

TEST_CASE("an embedding model stays without a head, and goes to no Megatron", "[plugin][hub]") {
    const TemporaryDirectory scratch;
    const auto copy = copied("hf/mistral-gqa", scratch);
    edit_json(copy / "config.json", [](Json& config) { config["architectures"] = {"MistralModel"}; });
    edit_tensors(copy, [](NamedTensor& entry) {
        const bool is_head = entry.name == "lm_head.weight";
        if (!is_head) entry.name.erase(0, std::string("model.").size());
        return !is_head;
    });
    const auto source = load("mistral", copy);
    CHECK(source->header().headless);
    save(*source, "mistral", scratch / "out");
    CHECK(read_json(scratch / "out/config.json")["architectures"][0] == "MistralModel");
    CHECK(safetensors::read(scratch / "out/model.safetensors").find("embed_tokens.weight"));
    CHECK(differences(*source, *load("mistral", scratch / "out")) == none);
    CHECK_THAT(refusal([&] { save(*source, "mcore", scratch / "mcore"); }), ContainsSubstring("no head (headless)"));
    CHECK_THAT(refusal([&] {
                   save(*source, "mistral", scratch / "original", {{"layout", "original"}});
               }),
               ContainsSubstring("no head (headless)"));
}

TEST_CASE("a model with a head whose head is missing is not taken for an embedding model", "[plugin][hub]") {
    const TemporaryDirectory scratch;
    const auto copy = copied("hf/llama3-gqa", scratch);
    edit_tensors(copy, [](NamedTensor& entry) { return entry.name != "lm_head.weight"; });
    CHECK_THAT(refusal([&] { load("llama", copy); }), ContainsSubstring("tensor 'lm_head.weight' of shape"));
}

TEST_CASE("biases that config.json does not ask for are refused: transformers leaves them out", "[plugin][hub]") {
    const TemporaryDirectory scratch;
    const TensorDict dict = safetensors::read(golden("hf/llama3-gqa") / "model.safetensors");
    const auto copy = with_tensor("hf/llama3-gqa", "model.layers.0.self_attn.o_proj.bias",
                                  stored(dict, "model.norm.weight"), scratch);
    CHECK_THAT(
        refusal([&] { load("llama", copy); }),
        ContainsSubstring("the files hold biases of the attention's output, which config.json does not ask for"));
}

TEST_CASE("the family is told from the class where config.json has no model_type", "[plugin][hub]") {
    for (const auto& [family, name] :
         {std::pair{"llama", "hf/llama3-gqa"}, {"gpt2", "hf/gpt2"}, {"falcon", "hf/falcon-7b"}, {"bert", "hf/bert"}}) {
        const TemporaryDirectory scratch;
        const auto copy = copied(name, scratch);
        edit_json(copy / "config.json", [](Json& config) { config.erase("model_type"); });
        const auto source = load(family, copy);
        CHECK_THAT(source->notices().front(), ContainsSubstring("has no model_type; '"));
        CHECK(differences(*load(family, golden(name)), *source) == none);
    }
    CHECK_THAT(config_refusal("llama", "hf/llama3-gqa",
                              [](Json& config) {
                                  config.erase("model_type");
                                  config.erase("architectures");
                              }),
               ContainsSubstring("has no model_type, and 'architectures' does not tell it"));
}

TEST_CASE("keys that other architectures compute with are told and left alone", "[plugin][hub]") {
    const TemporaryDirectory scratch;
    const auto copy = copied("hf/llama3-gqa", scratch);
    edit_json(copy / "config.json", [](Json& config) {
        config["logit_scale"] = 0.5;
        config["sliding_window"] = nullptr;
    });
    const auto source = load("llama", copy);
    CHECK(source->notices() == std::vector<std::string>{"config.json: 'logit_scale' has no meaning in the architecture "
                                                        "llama and is left out, as transformers does"});
    save(*source, "llama", scratch / "out");
    CHECK(read_json(scratch / "out/config.json")["logit_scale"] == 0.5);
}

TEST_CASE("config.json as transformers 4.57 writes it says the same as that of release 5", "[plugin][hub]") {
    for (const auto& entry : std::filesystem::directory_iterator(golden("config-4x"))) {
        const TemporaryDirectory scratch;
        const auto name = "hf/" + entry.path().stem().string(), copy = copied(name, scratch).string();
        std::filesystem::copy_file(entry.path(), copy + "/config.json",
                                   std::filesystem::copy_options::overwrite_existing);
        INFO(name);
        CHECK(differences(*load("hf", copy), *load("hf", golden(name))) == none);
    }
}
