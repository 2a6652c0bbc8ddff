// SPDX-License-Identifier: Apache-2.0
#include "crossdock/family/bert.hpp"

#include <algorithm>

#include "crossdock/container/safetensors/reader.hpp"
#include "crossdock/container/safetensors/writer.hpp"
#include "support/catch.hpp"
#include "support/conversion.hpp"

using namespace crossdock;
using namespace crossdock::test;
using Catch::Matchers::ContainsSubstring;

namespace {

/// A copy of hf/bert without the tensors whose names begin so.
std::filesystem::path bert_without(const std::vector<std::string>& beginnings, const TemporaryDirectory& scratch) {
    const auto copy = copied("hf/bert", scratch);
    edit_tensors(copy, [&](NamedTensor& entry) {
        return std::none_of(beginnings.begin(), beginnings.end(),
                            [&](const std::string& beginning) { return entry.name.starts_with(beginning); });
    });
    return copy;
}

Json saved_config(const std::filesystem::path& source, const TemporaryDirectory& scratch) {
    const auto loader = load("bert", source);
    save(*loader, "bert", scratch / "out");
    CHECK(differences(*loader, *load("bert", scratch / "out")) == none);
    return read_json(scratch / "out/config.json");
}

}  // namespace

TEST_CASE("bert's architecture is written by the heads that there are", "[family][bert]") {
    const TemporaryDirectory all, masked, next, bare;
    CHECK(saved_config(golden("hf/bert"), all)["architectures"][0] == "BertForPreTraining");
    CHECK(saved_config(bert_without({"cls.seq_relationship", "bert.pooler"}, masked), masked)["architectures"][0] ==
          "BertForMaskedLM");
    CHECK(saved_config(bert_without({"cls.predictions"}, next), next)["architectures"][0] ==
          "BertForNextSentencePrediction");
    CHECK(saved_config(bert_without({"cls."}, bare), bare)["architectures"][0] == "BertModel");
    const TensorDict written = safetensors::read(bare / "out/model.safetensors");
    CHECK(written.find("embeddings.word_embeddings.weight"));  // as BertModel saves itself
    CHECK_FALSE(written.find("bert.embeddings.word_embeddings.weight"));
}

TEST_CASE("bert reads early files: gamma, beta, position_ids and the decoder's own bias", "[family][bert]") {
    const TemporaryDirectory scratch;
    const auto copy = copied("hf/bert", scratch);
    edit_tensors(copy, [](NamedTensor& entry) {
        entry.name = replaced(entry.name, "LayerNorm.weight", "LayerNorm.gamma");
        entry.name = replaced(entry.name, "LayerNorm.bias", "LayerNorm.beta");
        if (entry.name == "cls.predictions.bias") entry.name = "cls.predictions.decoder.bias";
        return true;
    });
    CHECK(differences(*load("bert", golden("hf/bert")), *load("bert", copy)) == none);
}

TEST_CASE("bert takes the decoder's bias where it is not the bias that it should repeat, and says so",
          "[family][bert]") {
    const TemporaryDirectory scratch;
    const auto copy = copied("hf/bert", scratch), file = copy / "model.safetensors";
    const TensorDict dict = safetensors::read(golden("hf/bert") / "model.safetensors");
    for (const char* content : {"cls.predictions.bias", "other"}) {
        std::filesystem::remove(file);
        safetensors::Writer writer(file, 1U << 14);
        for (const NamedTensor& entry : dict.entries()) add_tensor(writer, entry.name, entry.tensor);
        const Tensor& words = dict.find("bert.embeddings.word_embeddings.weight")->tensor;
        const Tensor other = reshape(slice(words, 1, 0, 1), Shape{words.shape()[0]});
        const NamedTensor* same = dict.find(content);
        add_tensor(writer, "cls.predictions.decoder.bias", same ? same->tensor : other);
        writer.finish();
        const auto loader = load("bert", copy);
        CHECK(differences(*load("bert", golden("hf/bert")), *loader).size() == (same ? 0 : 1));
        CHECK(loader->notices() ==
              (same ? none
                    : std::vector<std::string>{"'cls.predictions.decoder.bias' differs from 'cls.predictions.bias', "
                                               "which it should repeat; the former is used, as "
                                               "transformers does since release 5"}));
    }
}

TEST_CASE("bert with norms behind its blocks is refused by every Megatron", "[family][bert]") {
    const TemporaryDirectory scratch;
    const auto source = load("bert", golden("hf/bert"));
    for (const auto& [saver, dialect] : {std::pair{"megatron", "llm"}, {"megatron", "lm"}, {"mcore", "mcore"}}) {
        OptionValues options;
        if (std::string(saver) == "megatron") options["dialect"] = dialect;
        CHECK(refusal([&, plugin = saver] { save(*source, plugin, scratch / "out", options); }) ==
              to_text("the model has a norm behind its embeddings (embedding_norm), which a Megatron (", dialect,
                      ") checkpoint cannot express"));
    }
    CHECK_THAT(refusal([&] { save(*source, "gpt2", scratch / "out"); }),
               ContainsSubstring("BERT's heads or token types"));
}

TEST_CASE("Megatron's BERT becomes megatron-bert and every Megatron again", "[family][bert]") {
    const TemporaryDirectory scratch;
    const auto source =
        load("megatron", golden("megatron-lm/bert"), {{"true_vocab_size", "500"}, {"model_type", "BERT"}});
    save(*source, "bert", scratch / "hub");
    const Json config = read_json(scratch / "hub/config.json");
    CHECK(config["model_type"] == "megatron-bert");
    CHECK(config["architectures"][0] == "MegatronBertForPreTraining");
    CHECK(config["vocab_size"] == 500);
    CHECK(config["hidden_act"] == "gelu");
    const auto hub = load("bert", scratch / "hub");
    CHECK(hub->header().final_norm);
    CHECK(differences(*source, *hub) == none);
    for (const auto& [saver, option] : {std::pair<std::string, OptionValues>{"megatron", {{"dialect", "llm"}}},
                                        {"megatron", {{"dialect", "lm"}}},
                                        {"mcore", {{"transformer_impl", "local"}}},
                                        {"mcore", {}}}) {
        OptionValues options{
            {"target_tensor_parallel_size", "2"}, {"target_pipeline_parallel_size", "2"}, {"overwrite", ""}};
        options.insert(option.begin(), option.end());
        save(*hub, saver, scratch / "there", options);
        const auto there = load(saver, scratch / "there", {{"model_type", "BERT"}});
        CHECK(differences(*hub, *there) == none);
    }
}

TEST_CASE("bert refuses relative positions", "[family][bert]") {
    const TemporaryDirectory scratch;
    const auto copy = copied("hf/bert", scratch);
    edit_json(copy / "config.json", [](Json& config) { config["position_embedding_type"] = "relative_key"; });
    CHECK(refusal([&] { load("bert", copy); }) ==
          to_text((copy / "config.json").string(),
                  ": 'position_embedding_type': is \"relative_key\", only absolute positions are supported"));
}
