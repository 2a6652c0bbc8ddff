// SPDX-License-Identifier: Apache-2.0
#include <string>
#include <vector>

#include "crossdock/plugin/megatron/loader.hpp"
#include "support/catch.hpp"
#include "support/conversion.hpp"
#include "support/megatron_rank_file.hpp"

using namespace crossdock;
using namespace crossdock::test;
using Catch::Matchers::ContainsSubstring;

namespace {

/// A golden checkpoint of one rank, its file edited and nothing beside it.
std::filesystem::path edited(const char* name, const TemporaryDirectory& scratch,
                             const std::function<void(RankFile&)>& edit) {
    const auto copy = copied(name, scratch);
    std::filesystem::remove(copy / "crossdock.json");
    edit_rank(rank_file(copy, "mp_rank_00"), edit);
    return copy;
}

const char* const core = "megatron-core/llama2-gqa-local-tp1";

void drop_args(RankFile& file) { file.args = {}; }

}  // namespace

TEST_CASE("without args sizes follow from the tensors, and one is asked for", "[plugin][megatron]") {
    const TemporaryDirectory scratch;
    const auto copy = edited(core, scratch, drop_args);
    const ModelHeader golden_header = load("megatron", golden(core))->header();
    const std::string asked = refusal([&] { load("megatron", copy); });
    CHECK_THAT(asked,
               ContainsSubstring(" are missing, and no tensor tells the number of attention heads; give the option "
                                 "num_attention_heads, or kv_channels for the rows of one head"));
    const OptionValues heads{{"num_attention_heads", std::to_string(golden_header.attention.num_attention_heads)}};
    const OptionValues rows{{"kv_channels", std::to_string(golden_header.attention.kv_channels)}};
    for (const OptionValues& options : {heads, rows}) {
        const auto loader = load("megatron", copy, options);
        const ModelHeader header = loader->header();
        CHECK(header.num_layers == golden_header.num_layers);
        CHECK(header.hidden_size == golden_header.hidden_size);
        CHECK(header.mlp.ffn_hidden_size == golden_header.mlp.ffn_hidden_size);
        CHECK(header.attention.num_attention_heads == golden_header.attention.num_attention_heads);
        CHECK(header.attention.num_query_groups == golden_header.attention.num_query_groups);
        CHECK(header.attention.kv_channels == golden_header.attention.kv_channels);
        CHECK(header.vocab_rows == golden_header.vocab_rows);
        CHECK(header.mlp.activation == Activation::silu);
        CHECK(header.origin.assumed.contains("rope_theta"));
        const std::string told = joined_list(loader->notices());
        for (const char* option : {"(option norm_epsilon)", "(option rope_theta)", "(option position_embedding_type)",
                                   "(option activation)"})
            CHECK_THAT(told, ContainsSubstring(option));
    }
    CHECK_THAT(refusal([&] {
                   load("megatron", copy, {{"num_attention_heads", "7"}});
               }),
               ContainsSubstring("which do not divide into 7 attention heads"));
    CHECK_THAT(refusal([&] { load("megatron", copy, {{"kv_channels", "0"}}); }), ContainsSubstring("kv_channels is 0"));
}

TEST_CASE("NVIDIA's released GPT-2, which has neither args nor a version, is read", "[plugin][megatron]") {
    const TemporaryDirectory scratch;
    const auto copy = edited("megatron-lm/gpt", scratch, [](RankFile& file) {
        file.args = file.version = {};
        for (NamedTensor& entry : file.tensors) {
            entry.name = replaced(entry.name, ".encoder.", ".transformer.");
            entry.name = replaced(entry.name, ".self_attention.", ".attention.");
            entry.name = replaced(entry.name, "_norm.", "_layernorm.");
        }
    });
    const ModelHeader header = load("megatron", golden("megatron-lm/gpt"))->header();
    OptionValues options{{"num_attention_heads", std::to_string(header.attention.num_attention_heads)},
                         {"checkpoint_version", "3"}};  // that of the golden rows
    const auto loader = load("megatron", copy, options);
    CHECK(loader->header().positions == PositionKind::learned);
    CHECK(loader->header().mlp.activation == Activation::gelu_tanh);
    std::vector<std::string> other_tensors;
    for (const std::string& line : differences(*load("megatron", golden("megatron-lm/gpt")), *loader))
        if (!line.starts_with("header /")) other_tensors.push_back(line);
    CHECK(other_tensors == none);
    options.erase("checkpoint_version");  // none is 0: rows are in another order
    CHECK(differences(*load("megatron", golden("megatron-lm/gpt")), *load("megatron", copy, options)).size() > 1);
}

TEST_CASE("what wrappers and other programs put around the model is taken off", "[plugin][megatron]") {
    const auto rename = [](const char* chunk, const char* prefix) {
        return [=](RankFile& file) {
            file.chunk = chunk;
            for (NamedTensor& entry : file.tensors) entry.name = prefix + entry.name;
        };
    };
    for (const auto& [chunk, prefix] :
         {std::pair("model", "module."), std::pair("model", "module.module."), std::pair("module", ""),
          std::pair("model", "_orig_mod.module."), std::pair("state_dict", "model."), std::pair("", "model."),
          std::pair("", "")}) {
        const TemporaryDirectory scratch;
        const auto copy = edited(core, scratch, rename(chunk, prefix));
        CHECK(differences(*load("megatron", golden(core)), *load("megatron", copy)) == none);
    }
}

TEST_CASE("tensors of adapters and of other attentions are refused by their names", "[plugin][megatron]") {
    const auto why = [](const char* name, const char* from, const char* to) {
        const TemporaryDirectory scratch;
        const auto copy = edited(name, scratch, [&](RankFile& file) {
            for (NamedTensor& entry : file.tensors) entry.name = replaced(entry.name, from, to);
        });
        return refusal([&] { load("megatron", copy); });
    };
    for (const char* spelling : {"linear_qkv.base_layer.weight", "linear_qkv.to_wrap.weight",
                                 "linear_qkv.lora_A.weight", "linear_qkv.adapter.linear_in.weight"})
        CHECK_THAT(why(core, "linear_qkv.weight", spelling), ContainsSubstring("belongs to an adapter (LoRA)"));
    CHECK_THAT(why("megatron-lm/gpt", "self_attention.query_key_value.", "self_attention.key_value."),
               ContainsSubstring("query and key_value are stored apart"));
    CHECK_THAT(why(core, "decoder.layers.", "blocks."),
               ContainsSubstring("has neither language_model nor layers of a decoder or encoder; its tensors are '"));
}

TEST_CASE("an argument that is there and not understood never becomes its default", "[plugin][megatron]") {
    const TemporaryDirectory scratch;
    const auto copy = edited(core, scratch, [](RankFile& file) {
        pickle::Object object;
        object.module = "fork.config";
        object.name = "Base";
        object.args = pickle::Tuple{};
        file.set_arg("rotary_base", object);
    });
    CHECK_THAT(refusal([&] { load("megatron", copy); }),
               ContainsSubstring(": 'rotary_base' is an object of fork.config.Base, which is not understood"));
}

TEST_CASE("a version or an iteration that is not understood is refused", "[plugin][megatron]") {
    const TemporaryDirectory scratch;
    const auto copy = edited(core, scratch, [](RankFile& file) { file.iteration = "latest"; });
    CHECK_THAT(refusal([&] { load("megatron", copy); }), ContainsSubstring("'iteration' is \"latest\""));
}
