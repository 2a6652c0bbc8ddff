// SPDX-License-Identifier: Apache-2.0
#include "crossdock/family/falcon.hpp"

#include "support/catch.hpp"
#include "support/conversion.hpp"

using namespace crossdock;
using namespace crossdock::test;
using Catch::Matchers::ContainsSubstring;

namespace {

/// A copy of a golden Falcon as the first remote code left it: older keys, and no "transformer." in names.
std::filesystem::path remote_code_copy(const char* name, const char* type, const TemporaryDirectory& scratch) {
    const auto copy = copied(name, scratch);
    edit_json(copy / "config.json", [&](Json& config) {
        const auto rename = [&](const char* from, const char* to) {
            config[to] = config[from];
            config.erase(from);
        };
        rename("num_hidden_layers", "n_layer");
        rename("num_attention_heads", "n_head");
        if (config["new_decoder_architecture"] == true) rename("num_kv_heads", "n_head_kv");
        for (const char* key :
             {"num_kv_heads", "new_decoder_architecture", "num_ln_in_parallel_attn", "ffn_hidden_size",
              "tie_word_embeddings", "activation", "max_position_embeddings", "rope_parameters"})
            config.erase(key);
        config["model_type"] = type;
        config["auto_map"] = {{"AutoConfig", "configuration_RW.RWConfig"}};
    });
    edit_tensors(copy, [](NamedTensor& entry) {
        entry.name.erase(0, std::string("transformer.").size());
        return true;
    });
    return copy;
}

}  // namespace

TEST_CASE("falcon tells its variants from the tensors", "[family][falcon]") {
    const auto header = [](const char* name) { return load("falcon", golden(name))->header(); };
    const ModelHeader seven = header("hf/falcon-7b"), forty = header("hf/falcon-40b"), rw = header("hf/falcon-rw");
    CHECK(seven.parallel_attention);
    CHECK_FALSE(seven.parallel_norm);
    CHECK(seven.attention.num_query_groups ==
          1);  // config.json says num_kv_heads 4, which counts in the new decoder only
    CHECK(forty.parallel_attention);
    CHECK(forty.parallel_norm);
    CHECK(forty.attention.num_query_groups == 2);
    CHECK_FALSE(rw.parallel_attention);
    CHECK(rw.positions == PositionKind::alibi);
    CHECK(rw.attention.num_query_groups == rw.attention.num_attention_heads);
    CHECK((rw.attention.qkv_bias && rw.attention.dense_bias && rw.mlp.fc1_bias && rw.mlp.fc2_bias));
}

TEST_CASE("falcon reads the first, remote code's files and writes them in the modern form", "[family][falcon]") {
    for (const auto& [name, type] : {std::pair{"hf/falcon-7b", "RefinedWebModel"},
                                     {"hf/falcon-40b", "RefinedWeb"},
                                     {"hf/falcon-rw", "RefinedWebModel"}}) {
        INFO(name);
        const TemporaryDirectory scratch;
        const auto source = load("falcon", remote_code_copy(name, type, scratch));
        CHECK(save(*source, "falcon", scratch / "out") == none);
        CHECK(differences(*load("falcon", golden(name)), *load("falcon", scratch / "out")) == none);
        const Json config = read_json(scratch / "out/config.json"), modern = read_json(golden(name) / "config.json");
        for (const char* key : {"model_type", "num_hidden_layers", "num_attention_heads", "new_decoder_architecture",
                                "parallel_attn", "alibi", "bias", "multi_query", "ffn_hidden_size", "activation"})
            CHECK(config[key] == modern[key]);
        for (const char* key : {"n_layer", "n_head", "n_head_kv", "auto_map"}) CHECK_FALSE(config.contains(key));
        CHECK(config["bos_token_id"] == 11);
    }
}

TEST_CASE("falcon believes the tensor where config.json has another number of key/value heads", "[family][falcon]") {
    const TemporaryDirectory scratch;
    const auto copy = copied("hf/falcon-40b", scratch);
    edit_json(copy / "config.json", [](Json& config) { config["num_kv_heads"] = 8; });
    const auto loader = load("falcon", copy);
    CHECK(loader->header().attention.num_query_groups == 2);
    CHECK(loader->notices() == std::vector<std::string>{"query_key_value has rows for 2 key/value heads, config.json "
                                                        "says 8; the tensor is believed"});
}

TEST_CASE("falcon keeps one norm in a new decoder, as Falcon2 11B has it", "[family][falcon]") {
    const TemporaryDirectory scratch;
    const auto copy = copied("hf/falcon-40b", scratch);
    edit_json(copy / "config.json", [](Json& config) { config["num_ln_in_parallel_attn"] = 1; });
    edit_tensors(copy, [](NamedTensor& entry) {
        entry.name = replaced(entry.name, "ln_attn", "input_layernorm");
        return entry.name.find("ln_mlp") == std::string::npos;
    });
    const auto source = load("falcon", copy);
    CHECK_FALSE(source->header().parallel_norm);
    save(*source, "falcon", scratch / "out");
    const Json config = read_json(scratch / "out/config.json");
    CHECK(config["new_decoder_architecture"] == true);
    CHECK(config["num_ln_in_parallel_attn"] == 1);
    CHECK(differences(*source, *load("falcon", scratch / "out")) == none);
}

TEST_CASE("falcon names what other formats cannot express", "[family][falcon]") {
    const TemporaryDirectory scratch;
    const auto try_saver = [&](const char* name, const char* saver, const OptionValues& options) {
        const auto source = load("falcon", golden(name));
        const std::string why = refusal([&] { save(*source, saver, scratch / "out", options); });
        CHECK_FALSE(std::filesystem::exists(scratch / "out"));
        return why;
    };
    CHECK(try_saver("hf/falcon-7b", "llama", {}) ==
          "the model has layer norms, which a llama checkpoint cannot express");
    CHECK(try_saver("hf/falcon-7b", "mcore", {}) ==
          "the model has parallel attention (parallel_attention), which a Megatron (mcore) checkpoint cannot express");
    CHECK(try_saver("hf/falcon-40b", "megatron", {{"dialect", "lm"}}) ==
          "the model has parallel attention (parallel_attention), which a Megatron (lm) checkpoint cannot express");
    CHECK(try_saver("hf/falcon-rw", "megatron", {}) ==
          "the model has ALiBi positions, which a Megatron (llm) checkpoint cannot express");
    CHECK_THAT(try_saver("hf/falcon-rw", "gpt2", {}), ContainsSubstring("no learned position table"));
}

TEST_CASE("falcon's new decoder is parallel: sequential blocks with grouped queries are refused", "[family][falcon]") {
    ModelHeader header = load("falcon", golden("hf/falcon-40b"))->header();
    header.parallel_attention = header.parallel_norm = false;
    CHECK_THAT(refusal([&] { require_expressible(falcon_family().requirements, header, "a falcon checkpoint"); }),
               ContainsSubstring("grouped query heads in sequential blocks"));
}
