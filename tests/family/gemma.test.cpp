// SPDX-License-Identifier: Apache-2.0
#include "crossdock/family/gemma.hpp"

#include "support/catch.hpp"
#include "support/conversion.hpp"

using namespace crossdock;
using namespace crossdock::test;
using Catch::Matchers::ContainsSubstring;

TEST_CASE("gemma's header says what its code does without being told", "[family][gemma]") {
    const ModelHeader header = load("gemma", golden("hf/gemma-mqa"))->header();
    CHECK(header.norm_zero_centered == true);
    CHECK(header.embedding_multiplier == 8.0);  // √64
    CHECK(header.mlp.activation == Activation::gelu_tanh);
    CHECK(header.tied_embeddings);
    CHECK(header.attention.kv_channels == 32);
}

TEST_CASE("gemma's hidden_act gelu means the tanh form; hidden_activation is not read, as in transformers",
          "[family][gemma]") {
    std::string told;
    const auto activation = [&](const Json& hidden_act, const Json& hidden_activation) {
        const TemporaryDirectory scratch;
        const auto copy = copied("hf/gemma-mqa", scratch);
        edit_json(copy / "config.json", [&](Json& config) {
            config["hidden_act"] = hidden_act;
            config["hidden_activation"] = hidden_activation;
        });
        const auto source = load("gemma", copy);
        told = source->notices().empty() ? "" : source->notices().front();
        save(*source, "gemma", scratch / "out");
        const Json written = read_json(scratch / "out/config.json");
        CHECK(load("gemma", scratch / "out")->header().mlp.activation == source->header().mlp.activation);
        return source->header().mlp.activation;
    };
    CHECK(activation("gelu", nullptr) == Activation::gelu_tanh);
    CHECK_THAT(told, ContainsSubstring("hidden_act \"gelu\" is rewritten as gelu_pytorch_tanh"));
    CHECK(activation(nullptr, nullptr) == Activation::gelu_tanh);
    CHECK(activation("gelu_pytorch_tanh", nullptr) == Activation::gelu_tanh);
    CHECK(told.empty());
    CHECK(activation("gelu", "gelu_pytorch_tanh") == Activation::gelu_tanh);
    CHECK(activation("gelu", "gelu") == Activation::gelu_erf);
    CHECK(activation("gelu_pytorch_tanh", "gelu") == Activation::gelu_tanh);
    CHECK_THAT(told, ContainsSubstring("hidden_activation is \"gelu\"; what hidden_act says is used"));
    CHECK(activation("silu", nullptr) == Activation::silu);
}

TEST_CASE("gemma's relatives are refused by name", "[family][gemma]") {
    for (const char* type : {"gemma2", "gemma3", "recurrent_gemma"}) {
        const TemporaryDirectory scratch;
        const auto copy = copied("hf/gemma-mqa", scratch);
        edit_json(copy / "config.json", [&](Json& config) { config["model_type"] = type; });
        CHECK(refusal([&] { load("gemma", copy); }) ==
              to_text((copy / "config.json").string(), ": model_type is '", type,
                      "', another architecture than gemma; the loader 'gemma' reads gemma"));
    }
}

TEST_CASE("gemma goes to Megatron-Core, with what has no option told, and comes back", "[family][gemma]") {
    for (const char* name : {"hf/gemma-mqa", "hf/gemma-mha"}) {
        const TemporaryDirectory scratch;
        const auto source = load("gemma", golden(name));
        const auto told = save(*source, "mcore", scratch / "there", {{"target_pipeline_parallel_size", "2"}});
        CHECK(told.front() ==
              "Megatron (mcore) has no option for embedding_multiplier 8; it is kept in crossdock.json");
        CHECK(told[1] == "Megatron (mcore) has no option for a gated MLP with gelu_tanh; it is kept in crossdock.json");
        const auto there = load("mcore", scratch / "there", {{"model_type", "gemma"}});
        CHECK(differences(*source, *there) == none);
        save(*there, "gemma", scratch / "back");
        CHECK(differences(*source, *load("gemma", scratch / "back")) == none);
    }
}

TEST_CASE("gemma's norms and embeddings keep it from formats without them, and others from it", "[family][gemma]") {
    const TemporaryDirectory scratch;
    const auto gemma = load("gemma", golden("hf/gemma-mha"));
    for (const auto& [saver, format] :
         {std::pair{"llama", "a llama"}, {"mistral", "a mistral"}, {"megatron", "a Megatron (llm)"}})
        CHECK(refusal([&, plugin = saver] { save(*gemma, plugin, scratch / "out"); }) ==
              to_text("the model has zero-centred norm weights, which ", format, " checkpoint cannot express"));
    CHECK(refusal([&] {
              save(*gemma, "megatron", scratch / "out", {{"dialect", "lm"}});
          }) == "the model has zero-centred norm weights, which a Megatron (lm) checkpoint cannot express");
    const auto llama = load("llama", golden("hf/llama2-mha"));
    CHECK(refusal([&] { save(*llama, "gemma", scratch / "out"); }) ==
          "the model has norm weights that are not zero-centred, which a gemma checkpoint cannot express");
}
