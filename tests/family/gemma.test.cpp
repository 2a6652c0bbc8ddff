// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "crossdock/family/gemma/hub.hpp"
#include "crossdock/family/megatron/gemma_args.hpp"
#include "crossdock/protocol/layer_windows.hpp"
#include "support/altered_loader.hpp"
#include "support/catch.hpp"
#include "support/conversion.hpp"
#include "support/megatron_rank_file.hpp"

using namespace crossdock;
using namespace crossdock::test;
using Catch::Matchers::ContainsSubstring;

namespace {

/// What the model of `name` is with its config.json changed.
ModelHeader changed(const char* name, const std::function<void(Json&)>& change, const OptionValues& options = {}) {
    const TemporaryDirectory scratch;
    const auto copy = copied(name, scratch);
    edit_json(copy / "config.json", change);
    return load("gemma", copy, options)->header();
}

std::vector<std::uint64_t> windows(const ModelHeader& header) {
    std::vector<std::uint64_t> found;
    for (std::uint64_t layer = 0; layer < header.num_layers; ++layer)
        found.push_back(attention_of(header, layer).sliding_window.value_or(0));
    return found;
}

/// config.json of Gemma 3 as transformers 4.57 writes it.
void as_before_5(Json& config) {
    const Json rope = config["rope_parameters"];
    config.erase("rope_parameters");
    config["rope_theta"] = rope["full_attention"]["rope_theta"];
    config["rope_local_base_freq"] = rope["sliding_attention"]["rope_theta"];
    config["rope_scaling"] = {{"rope_type", "linear"}, {"factor", 8.0}};
    config.erase("tie_word_embeddings");
}

/// A checkpoint of Megatron-Core with its files changed.
std::filesystem::path changed_core(const char* name, const std::vector<std::string>& ranks,
                                   const TemporaryDirectory& scratch, const std::function<void(RankFile&)>& change) {
    const auto copy = copied(name, scratch);
    for (const std::string& rank : ranks) edit_rank(rank_file(copy, rank), change);
    return copy;
}

}  // namespace

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

TEST_CASE("gemma's relatives and models of images are refused by name", "[family][gemma]") {
    const TemporaryDirectory scratch;
    const auto copy = copied("hf/gemma-mqa", scratch);
    const std::string config = (copy / "config.json").string();
    edit_json(config, [&](Json& json) { json["model_type"] = "recurrent_gemma"; });
    CHECK(refusal([&] { load("gemma", copy); }) ==
          config +
              ": model_type is 'recurrent_gemma', another architecture than gemma; the loader 'gemma' reads gemma, "
              "gemma2, gemma3_text");
    const auto check_images = [&](const char* loader) {
        const std::string told = refusal([&] { load(loader, copy); });
        CHECK_THAT(told, ContainsSubstring("is of a model of images and text"));
        CHECK_THAT(told, ContainsSubstring("save its language model by itself"));
    };
    for (const char* type : {"gemma3", "gemma3n", "paligemma"}) {
        edit_json(config, [&](Json& json) { json["model_type"] = type; });
        check_images("gemma");
        check_images("hf");
    }
    edit_json(config, [&](Json& json) {
        json.erase("model_type");
        json["architectures"] = {"Gemma3ForConditionalGeneration"};
    });
    check_images("gemma");
}

TEST_CASE("gemma 2 and 3 say what their code does", "[family][gemma]") {
    using Windows = std::vector<std::uint64_t>;
    const ModelHeader two = load("hf", golden("hf/gemma2-layers4"))->header();
    CHECK(two.model_type == "gemma2");
    CHECK(two.block_output_norms);
    CHECK(two.mlp.activation == Activation::gelu_tanh);
    CHECK(two.norm_zero_centered == true);
    CHECK(two.attention.query_pre_attn_scalar == 24.0);
    CHECK(two.attention.logit_softcap == 5.0);
    CHECK(two.final_logit_softcap == 3.0);
    CHECK(windows(two) == Windows{6, 0, 6, 0});
    CHECK(attention_of(two, 1).logit_softcap == 5.0);
    const ModelHeader three = load("hf", golden("hf/gemma3-layers6"))->header();
    CHECK(three.model_type == "gemma3_text");
    CHECK(three.attention.qk_norm);
    CHECK(three.attention.logit_softcap == 0.0);
    CHECK(three.final_logit_softcap == 0.0);
    CHECK(windows(three) == Windows{6, 6, 0, 6, 6, 0});
    CHECK(attention_of(three, 0).rope_theta == 10000.0);
    CHECK(attention_of(three, 0).rope_scaling->type == "default");
    CHECK(attention_of(three, 2).rope_theta == 1000000.0);
    CHECK(attention_of(three, 2).rope_scaling->factor == 8.0);
}

TEST_CASE("the norm that Llama calls post_attention_layernorm is another one in gemma 2", "[family][gemma]") {
    const auto with_other_size = [](std::string_view name) {
        const TemporaryDirectory scratch;
        const auto copy = copied("hf/gemma2-layers4", scratch);
        edit_tensors(copy, [&](NamedTensor& entry) { return !entry.name.ends_with(name); });
        return refusal([&] { save(*load("gemma", copy), "gemma", scratch / "out"); });
    };
    CHECK_THAT(with_other_size("0.pre_feedforward_layernorm.weight"), ContainsSubstring("is missing"));
    const TemporaryDirectory scratch;
    save(*load("hf", golden("hf/gemma2-layers4")), "mcore", scratch / "core", {{"target_tensor_parallel_size", "1"}});
    const auto there =
        torch::tensors(*torch::read(rank_file(scratch / "core", "mp_rank_00")).find("model"), "").entries();
    const auto here = sharded::read_directory(golden("hf/gemma2-layers4")).tensors;
    const auto bytes_there = [&](std::string_view name) {
        for (const NamedTensor& entry : there)
            if (entry.name == name) return entry.tensor.bytes();
        return std::vector<std::byte>();
    };
    const std::string core = "decoder.layers.1.", hub = "model.layers.1.";
    for (const auto& [in_core, in_hub] :
         {std::pair{"self_attention.linear_qkv.layer_norm_weight", "input_layernorm.weight"},
          {"self_attention.linear_proj.post_layernorm.weight", "post_attention_layernorm.weight"},
          {"mlp.linear_fc1.layer_norm_weight", "pre_feedforward_layernorm.weight"},
          {"mlp.linear_fc2.post_layernorm.weight", "post_feedforward_layernorm.weight"}})
        CHECK(bytes_there(core + in_core) == here.find(hub + in_hub)->tensor.bytes());
}

TEST_CASE("both spellings of gemma 3's rotary positions mean the same, and the older one is written",
          "[family][gemma]") {
    const ModelHeader older = changed("hf/gemma3-layers6", as_before_5);
    const TemporaryDirectory scratch;
    const auto source = load("gemma", golden("hf/gemma3-layers6"));
    CHECK(older.attention == source->header().attention);
    CHECK(older.other_layers == source->header().other_layers);
    save(*source, "gemma", scratch / "out");
    const Json written = read_json(scratch / "out/config.json");
    CHECK(written["rope_theta"] == 1000000.0);
    CHECK(written["rope_local_base_freq"] == 10000.0);
    CHECK(written["rope_scaling"] == Json({{"rope_type", "linear"}, {"factor", 8.0}}));
    CHECK_FALSE(written.contains("rope_parameters"));
    CHECK(written["query_pre_attn_scalar"].is_number_integer());
    CHECK(written["sliding_window_pattern"] == 3);
    const auto flat = [](Json& config) { config["rope_parameters"] = {{"rope_theta", 1e6}, {"rope_type", "default"}}; };
    CHECK_THAT(refusal([&] { changed("hf/gemma3-layers6", flat); }),
               ContainsSubstring("expected an object with full_attention and sliding_attention"));
}

TEST_CASE("gemma's windows follow layer_types, else the pattern of the model type", "[family][gemma]") {
    using Windows = std::vector<std::uint64_t>;
    const auto without_types = [](const char* name, const Json& pattern) {
        return windows(changed(name, [&](Json& config) {
            for (const char* key : {"layer_types", "sliding_window_pattern", "_sliding_window_pattern"})
                config.erase(key);
            if (!pattern.is_null()) config["sliding_window_pattern"] = pattern;
        }));
    };
    CHECK(without_types("hf/gemma2-layers4", nullptr) == Windows{6, 0, 6, 0});
    CHECK(without_types("hf/gemma3-layers6", nullptr) == Windows{6, 6, 6, 6, 6, 0});
    CHECK(without_types("hf/gemma3-layers6", 2) == Windows{6, 0, 6, 0, 6, 0});
    CHECK_THAT(refusal([&] { without_types("hf/gemma3-layers6", 0); }),
               ContainsSubstring("'sliding_window_pattern' is 0"));
    CHECK_THAT(refusal([&] { changed("hf/gemma2-layers4", [](Json& config) { config["sliding_window"] = nullptr; }); }),
               ContainsSubstring("'sliding_window' states no window"));
}

TEST_CASE("what gemma 2's config.json leaves out has the default of its class", "[family][gemma]") {
    const auto without_caps = [](Json& config) {
        for (const char* key : {"attn_logit_softcapping", "final_logit_softcapping", "query_pre_attn_scalar",
                                "hidden_activation", "tie_word_embeddings"})
            config.erase(key);
    };
    const ModelHeader two = changed("hf/gemma2-layers4", without_caps);
    CHECK(two.attention.logit_softcap == 50.0);
    CHECK(two.final_logit_softcap == 30.0);
    CHECK(two.attention.query_pre_attn_scalar == 256.0);
    CHECK(two.tied_embeddings);
    const ModelHeader three = changed("hf/gemma3-layers6", without_caps);
    CHECK(three.attention.logit_softcap == 0.0);
    CHECK(three.final_logit_softcap == 0.0);
    const auto uncapped = [](Json& config) { config["attn_logit_softcapping"] = nullptr; };
    CHECK(changed("hf/gemma2-layers4", uncapped).attention.logit_softcap == 0.0);
}

TEST_CASE("gemma 3 caps no scores, as its class does not, whatever is said", "[family][gemma]") {
    const TemporaryDirectory scratch;
    const auto copy = copied("hf/gemma3-layers6", scratch);
    edit_json(copy / "config.json", [](Json& config) { config["attn_logit_softcapping"] = 5.0; });
    const auto source = load("gemma", copy);
    CHECK(source->header().attention.logit_softcap == 0.0);
    REQUIRE(source->notices().size() == 1);
    CHECK_THAT(source->notices()[0], ContainsSubstring("attn_logit_softcapping 5.0 is left out"));
    save(*source, "mcore", scratch / "core", {{"ckpt_format", "torch"}});
    edit_rank(rank_file(scratch / "core", "mp_rank_00"),
              [](RankFile& rank) { rank.set_arg("attn_logit_softcapping", 5.0); });
    CHECK_THAT(refusal([&] { save(*load("mcore", scratch / "core"), "gemma", scratch / "back"); }),
               ContainsSubstring("capped attention scores (logit_softcap)"));
}

TEST_CASE("gemma that looks ahead goes nowhere but to Hugging Face", "[family][gemma]") {
    const TemporaryDirectory scratch;
    const auto copy = copied("hf/gemma3-layers6", scratch);
    edit_json(copy / "config.json", [](Json& config) { config["use_bidirectional_attention"] = true; });
    const auto source = load("gemma", copy);
    CHECK_THAT(
        refusal([&] { save(*source, "mcore", scratch / "core"); }),
        ContainsSubstring("the source states use_bidirectional_attention true, which the target cannot express"));
    save(*source, "gemma", scratch / "out");
    CHECK(read_json(scratch / "out/config.json")["use_bidirectional_attention"] == true);
}

TEST_CASE("gemma 2 and 3 go to Megatron-Core in both formats and come back", "[family][gemma]") {
    for (const char* name : {"hf/gemma2-layers4", "hf/gemma3-layers6"})
        for (const char* format : {"torch", "torch_dist"}) {
            const TemporaryDirectory scratch;
            const auto source = load("hf", golden(name));
            const auto told = save(*source, "mcore", scratch / "there",
                                   {{"ckpt_format", format}, {"target_tensor_parallel_size", "2"}});
            CHECK_THAT(told.back(), ContainsSubstring("--window-size 5,0 --window-attn-skip-freq '[1,"));
            std::filesystem::remove(scratch / "there/crossdock.json");
            const auto there = load("mcore", scratch / "there");
            CHECK(differences(*source, *there) == none);
            save(*there, "hf", scratch / "back");
            CHECK(differences(*source, *load("hf", scratch / "back")) == none);
        }
}

TEST_CASE("what gemma 3 states of scaled positions beyond their factor comes back from Megatron-Core",
          "[family][gemma]") {
    using Change = std::function<void(Json&)>;
    const auto all_attend = [](const char* first, const char* second) {
        return [=](Json& config) {
            for (const char* key : {"sliding_window_pattern", "_sliding_window_pattern"}) config.erase(key);
            config["layer_types"] = {first, second, first, second, first, second};
        };
    };
    const Change as_it_is = [](Json&) {}, one = [](Json&rope) { rope["factor"] = 1.0; };
    const Change unscaled = [](Json& rope) { rope = {{"rope_theta", 1e6}, {"rope_type", "default"}}; };
    const char *full = "full_attention", *sliding = "sliding_attention";
    const std::vector<std::pair<Change, Change>> models{{as_it_is, as_it_is},
                                                        {as_it_is, one},
                                                        {as_it_is, unscaled},
                                                        {all_attend(full, sliding), as_it_is},
                                                        {all_attend(full, full), as_it_is}};
    for (const auto& model : models)
        for (const char* format : {"torch", "torch_dist"}) {
            const TemporaryDirectory scratch;
            const auto copy = copied("hf/gemma3-layers6", scratch);
            edit_json(copy / "config.json", [&](Json& config) {
                model.first(config);
                model.second(config["rope_parameters"][full]);
                config["rope_parameters"][full]["more"] = 5;
            });
            const auto source = load("hf", copy);
            save(*source, "mcore", scratch / "there", {{"ckpt_format", format}});
            CHECK(differences(*source, *load("mcore", scratch / "there")) == none);
        }
}

TEST_CASE("gemma 3's args outdo what is known of its scaled positions", "[family][gemma]") {
    const auto scaling_with = [](const Json& factor) {
        ModelHeader known;
        known.num_layers = 2;
        known.attention.sliding_window = 4;
        known.attention.rope_scaling = RopeScaling{.others = {{"few", "2"}}};
        known.other_layers[1].attention = known.attention;
        known.other_layers[1].attention->sliding_window = 0;
        known.other_layers[1].attention->rope_scaling = {.type = "linear", .factor = 8.0, .others = {{"more", "5"}}};
        ModelHeader header = known;
        header.other_layers.clear();
        header.block_output_norms = header.attention.qk_norm = true;
        const Json args = {{"window_attn_skip_freq", {1, 0}}, {"rope_global_linear_factor", factor}};
        detail::read_core_layers(args, known, header);
        CHECK(attention_of(header, 0).rope_scaling == known.attention.rope_scaling);
        return *attention_of(header, 1).rope_scaling;
    };
    CHECK(scaling_with(8.0) == RopeScaling{.type = "linear", .factor = 8.0, .others = {{"more", "5"}}});
    CHECK(scaling_with(4.0) == RopeScaling{.type = "linear", .factor = 4.0});
    CHECK(scaling_with(1.0) == RopeScaling{});
    CHECK(scaling_with(nullptr) == RopeScaling{});
    CHECK(refusal([&] { scaling_with(-8.0); }) == "'rope_global_linear_factor': is -8.0, expected a number above 0");
}

TEST_CASE("gemma 3's layers differ in their window and their positions, and in nothing else", "[family][gemma]") {
    AlteredLoader model(small_header(), 1);
    const auto refusal_with = [&](const std::function<void(Attention&)>& alter) {
        model.alter_header = [&](ModelHeader& header) {
            header = load("hf", golden("hf/gemma3-layers6"))->header();
            alter(*header.other_layers.at(2).attention);
            alter(*header.other_layers.at(5).attention);
        };
        const TemporaryDirectory scratch;
        return refusal([&] { save(model, "mcore", scratch / "core"); }) +
               refusal([&] { save(model, "gemma", scratch / "hub"); });
    };
    const auto told = refusal_with([](Attention& attention) { attention.rotary_percent = 0.5; });
    CHECK_THAT(told, ContainsSubstring("layers that differ from each other in more than having experts or a window"));
    CHECK_THAT(told, ContainsSubstring("layers that differ otherwise than those of a Gemma"));
    CHECK_THAT(refusal_with([](Attention& attention) { attention.rope_theta = 500.0; }),
               !ContainsSubstring("(other_layers)"));
}

TEST_CASE("gemma 2 and 3 have Transformer Engine's names alone in Megatron-Core", "[family][gemma]") {
    const TemporaryDirectory scratch;
    CHECK(refusal([&] {
              save(*load("hf", golden("hf/gemma2-layers4")), "mcore", scratch / "out", {{"transformer_impl", "local"}});
          }) ==
          "the model has norms of what its attention and MLP put out (block_output_norms), which a Megatron "
          "(mcore) checkpoint cannot express; Megatron-Core's own (local) layers have no place for them, and "
          "their norms are never zero-centred; give the option transformer_impl transformer_engine");
}

TEST_CASE("mbridge's names of gemma's norms are read as Megatron-Bridge's", "[family][gemma]") {
    const TemporaryDirectory scratch;
    const auto copy = changed_core(
        "megatron-core/gemma3-layers6-te-pp2", {"mp_rank_00_000", "mp_rank_00_001"}, scratch, [](RankFile& rank) {
            for (NamedTensor& entry : rank.tensors) {
                entry.name =
                    replaced(entry.name, ".self_attention.linear_proj.post_layernorm.", ".post_attention_layernorm.");
                entry.name = replaced(entry.name, ".mlp.linear_fc2.post_layernorm.", ".post_feedforward_layernorm.");
            }
        });
    CHECK(differences(*load("hf", golden("hf/gemma3-layers6")), *load("mcore", copy)) == none);
}

TEST_CASE("what a Megatron checkpoint of gemma does not state is asked for, and taken from its Hugging Face folder",
          "[family][gemma]") {
    const TemporaryDirectory scratch;
    const auto copy =
        changed_core("megatron-core/gemma2-layers4-te-tp2", {"mp_rank_00", "mp_rank_01"}, scratch, [](RankFile& rank) {
            auto& args = rank.args.edit<pickle::Object>()->state.edit<pickle::Dict>()->entries;
            std::erase_if(args, [](const pickle::Entry& entry) {
                const std::string& name = *entry.key.as_string();
                return name == "query_pre_attn_scalar" || name.ends_with("_softcapping");
            });
        });
    CHECK_THAT(refusal([&] { save(*load("mcore", copy), "hf", scratch / "out"); }),
               ContainsSubstring("scores whose scale its source does not state (query_pre_attn_scalar)") &&
                   ContainsSubstring("give the option config"));
    save(*load("mcore", copy), "hf", scratch / "out", {{"config", golden("hf/gemma2-layers4").string()}});
    CHECK(differences(*load("hf", golden("hf/gemma2-layers4")), *load("hf", scratch / "out")) == none);
}

TEST_CASE("args that contradict gemma's tensors are refused", "[family][gemma]") {
    const TemporaryDirectory scratch;
    const auto with = [&](const char* name, pickle::Value value) {
        const TemporaryDirectory folder;
        const auto copy = changed_core("megatron-core/gemma2-layers4-te-tp2", {"mp_rank_00", "mp_rank_01"}, folder,
                                       [&](RankFile& rank) { rank.set_arg(name, value); });
        return refusal([&] { load("mcore", copy); });
    };
    CHECK_THAT(with("gemma_version", std::int64_t{3}), ContainsSubstring("the norms of another model"));
    CHECK_THAT(with("window_attn_skip_freq", pickle::List{{std::int64_t{1}}}),
               ContainsSubstring("expected a list of 4"));
    CHECK(with("window_attn_skip_freq", std::int64_t{2}).empty());
    CHECK_THAT(with("attn_logit_softcapping", -1.0), ContainsSubstring("expected a number above 0"));
    CHECK_THAT(refusal([&] {
                   load("mcore", golden("megatron-core/gemma2-layers4-te-tp2"), {{"model_type", "gemma3_text"}});
               }),
               ContainsSubstring("no norms of queries and keys"));
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
