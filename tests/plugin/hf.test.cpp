// SPDX-License-Identifier: Apache-2.0
#include "crossdock/plugin/hf.hpp"

#include <cstddef>
#include <filesystem>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "crossdock/plugin/builtin.hpp"
#include "golden/golden_cases.hpp"
#include "support/altered_loader.hpp"
#include "support/catch.hpp"
#include "support/conversion.hpp"
#include "support/megatron_rank_file.hpp"

using namespace crossdock;
using namespace crossdock::test;
using Catch::Matchers::ContainsSubstring;

namespace {

std::string type_of(const std::filesystem::path& directory) {
    return read_json(directory / "config.json").at("model_type").get<std::string>();
}

/// A small Llama whose source does not say of which family it is, its header edited.
AlteredLoader nameless(const std::function<void(ModelHeader&)>& edit = [](ModelHeader&) {}) {
    ModelHeader header = small_header();
    header.family.clear();
    edit(header);
    return {std::move(header), 1};
}

std::string refusal_by_saver(AlteredLoader model, const OptionValues& options = {}) {
    const TemporaryDirectory scratch;
    std::string why = refusal([&] { save(model, "hf", scratch / "target", options); });
    CHECK(!std::filesystem::exists(scratch / "target"));
    return why;
}

/// A golden Hugging Face folder as a Megatron-Core checkpoint that does not remember where it comes from.
std::filesystem::path forgetful_megatron(const std::string& name, const TemporaryDirectory& scratch) {
    const auto target = scratch / (name + "-mcore");
    const auto loader = load("hf", golden("hf/" + name));
    save(*loader, "mcore", target);
    std::filesystem::remove(target / "crossdock.json");
    return target;
}

/// Converts to Hugging Face's format; returns what the user is told.
std::string to_hub(const std::filesystem::path& from, const std::filesystem::path& to, const OptionValues& options = {},
                   const OptionValues& loader_options = {}) {
    const auto loader = load("mcore", from, loader_options);
    return joined_list(save(*loader, "hf", to, options), "\n");
}

}  // namespace

TEST_CASE("hf reads and writes each golden folder of Hugging Face as its family does", "[plugin][hf]") {
    std::size_t read = 0;
    for (const auto& folder : golden_folders("hf")) {
        INFO(folder.string());
        const std::string type = type_of(folder);
        if (BuiltinLoaders::recognise(folder).empty()) {
            CHECK_THAT(refusal([&] { load("hf", folder); }),
                       ContainsSubstring("model_type is '" + type + "', a family that is not read; read are llama, "));
            continue;
        }
        const TemporaryDirectory scratch;
        const auto loader = load("hf", folder), own = load(BuiltinLoaders::recognise(folder), folder);
        CHECK(loader->header().family == own->header().family);
        CHECK(differences(*own, *loader) == none);
        save(*loader, "hf", scratch / "target");
        CHECK(type_of(scratch / "target") == type);
        const auto written = load("hf", scratch / "target");
        CHECK(differences(*own, *written) == none);
        ++read;
    }
    CHECK(read > 15);
}

TEST_CASE("hf writes a Megatron checkpoint as the family that its model is of", "[plugin][hf]") {
    const std::vector<std::pair<std::string, std::string>> cases{
        {"megatron-core/gpt-tp2", "gpt2"},
        {"megatron-core/llama2-gqa-te-tp2pp2", "llama"},
        {"megatron-core/llama3.2-tied-local-pp2", "llama"},
        {"megatron-core/qwen2-local-tp2", "qwen2"},
        {"megatron-core/qwen3-local-pp2", "qwen3"},
        {"megatron-dist/mistral-gqa-mcore0.16-tp2-fpsave", "llama"},
        {"megatron-lm/bert", "megatron-bert"},
        {"megatron-llm/codellama-tp2", "llama"},
        {"megatron-llm/falcon-40b-tp2", "falcon"},
        {"megatron-llm/mistral-gqa-tp2", "mistral"}};
    for (const auto& each : cases) {
        INFO(each.first);
        const TemporaryDirectory scratch;
        const auto loader = load("megatron", golden(each.first));
        const std::string told = joined_list(save(*loader, "hf", scratch / "target"));
        CHECK_THAT(told,
                   ContainsSubstring("the source does not say of which family its model is; it is written as a "));
        CHECK(type_of(scratch / "target") == each.second);
        const auto written = load("hf", scratch / "target");
        CHECK(differences(*loader, *written) == none);
    }
}

TEST_CASE("hf tells the family from what the model computes", "[plugin][hf]") {
    const TemporaryDirectory scratch;
    to_hub(forgetful_megatron("mistral-window8", scratch), scratch / "window");
    CHECK(type_of(scratch / "window") == "mistral");
    CHECK(read_json(scratch / "window/config.json").at("sliding_window") == Json(8));
    const std::string told = to_hub(forgetful_megatron("gemma-mqa", scratch), scratch / "zero-centred");
    CHECK(type_of(scratch / "zero-centred") == "gemma");
    CHECK_THAT(told, ContainsSubstring("the source does not state what a gemma has: activation \"gelu_tanh\", "
                                       "embedding_multiplier 8.0"));
    CHECK(differences(golden("hf/gemma-mqa"), scratch / "zero-centred") == none);
}

TEST_CASE("hf writes the family that the source remembers, or that config names", "[plugin][hf]") {
    const TemporaryDirectory scratch;
    const auto nemo = golden("hf/mistral-nemo");
    const auto loader = load("hf", nemo);
    save(*loader, "mcore", scratch / "remembers");
    to_hub(scratch / "remembers", scratch / "a");
    CHECK(type_of(scratch / "a") == "mistral");
    const auto forgetful = forgetful_megatron("mistral-nemo", scratch);
    CHECK_THAT(to_hub(forgetful, scratch / "b"),
               ContainsSubstring("it is written as a llama, the first that can express it of llama, mistral; the "
                                 "option model_type names another"));
    CHECK(type_of(scratch / "b") == "llama");
    to_hub(forgetful, scratch / "c", {{"config", nemo.string()}});
    CHECK(type_of(scratch / "c") == "mistral");
    to_hub(forgetful, scratch / "d", {{"config", (nemo / "config.json").string()}});
    CHECK(type_of(scratch / "d") == "mistral");
    for (const char* copy : {"a", "b", "c", "d"}) CHECK(differences(nemo, scratch / copy) == none);
}

TEST_CASE("hf writes the family of model_type whatever the source says", "[plugin][hf]") {
    const TemporaryDirectory scratch;
    const auto source = load("hf", golden("hf/llama2-mha"));
    save(*source, "hf", scratch / "saver", {{"model_type", "mistral"}});
    CHECK(type_of(scratch / "saver") == "mistral");
    const auto core = golden("megatron-core/llama2-gqa-te-tp1");
    to_hub(core, scratch / "loader", {}, {{"model_type", "mistral"}});
    CHECK(type_of(scratch / "loader") == "mistral");
    to_hub(core, scratch / "any", {{"model_type", "GPT"}});
    CHECK(type_of(scratch / "any") == "llama");
    CHECK_THAT(refusal([&] {
                   to_hub(core, scratch / "bert", {{"model_type", "BERT"}});
               }),
               ContainsSubstring("the model has RMS norms, which a bert checkpoint cannot express"));
    CHECK_THAT(refusal([&] {
                   to_hub(golden("megatron-lm/bert"), scratch / "gpt", {{"model_type", "GPT"}});
               }),
               ContainsSubstring("no family can express the model: "));
    CHECK(refusal_by_saver(nameless(), {{"model_type", "heron"}}) ==
          "model_type is 'heron', of none of the families llama, mistral, gemma, qwen, deepseek, glm, falcon, gpt2, "
          "bert");
}

TEST_CASE("hf refuses a model of no family and says why each cannot express it", "[plugin][hf]") {
    const std::string why = refusal_by_saver(nameless([](ModelHeader& header) { header.parallel_attention = true; }));
    for (const char* reason :
         {"no family can express the model: ",
          "parallel attention (parallel_attention), which a llama checkpoint cannot express; ",
          "which a mistral checkpoint cannot express; ", "which a gemma checkpoint cannot express",
          "which a qwen checkpoint cannot express", "RMS norms, which a falcon checkpoint cannot",
          "RMS norms, which a gpt2 checkpoint cannot", "RMS norms, which a bert checkpoint cannot"})
        CHECK_THAT(why, ContainsSubstring(reason));
    CHECK(refusal_by_saver(nameless([](ModelHeader& header) { header.family = "heron"; })) ==
          "the source's family is 'heron', expected one of llama, mistral, gemma, qwen, deepseek, glm, falcon, gpt2, "
          "bert; the option "
          "model_type names another");
}

TEST_CASE("hf does not guess between families that compute otherwise", "[plugin][hf]") {
    const auto open = [](ModelHeader& header) {
        header.norm_zero_centered.reset();
        header.embedding_multiplier.reset();
    };
    CHECK(refusal_by_saver(nameless(open)) ==
          "the model may be a llama or a gemma: its source does not state norm_zero_centered (llama: false, gemma: "
          "true), embedding_multiplier (llama: 1.0, gemma: 5.656854249492381); say which is right: give the option "
          "model_type");
    CHECK_THAT(refusal_by_saver(nameless([](ModelHeader& header) {
                   header.origin.assumed = {"norm_zero_centered", "embedding_multiplier"};
               })),
               ContainsSubstring("the model may be a llama or a gemma: "));
    const TemporaryDirectory scratch;
    AlteredLoader model = nameless(open);
    save(model, "hf", scratch / "target", {{"model_type", "gemma"}});
    CHECK(type_of(scratch / "target") == "gemma");
}

TEST_CASE("args without apply_layernorm_1p say that the norms are plain, no args say nothing", "[plugin][hf]") {
    const TemporaryDirectory scratch;
    const auto copy = copied("megatron-core/llama2-gqa-local-tp1", scratch);
    edit_rank(rank_file(copy, "mp_rank_00"), [](RankFile& file) {
        auto& entries = file.args.edit<pickle::Object>()->state.edit<pickle::Dict>()->entries;
        CHECK(std::erase_if(entries, [](const auto& e) { return *e.key.as_string() == "apply_layernorm_1p"; }) == 1);
    });
    to_hub(copy, scratch / "older");
    CHECK(type_of(scratch / "older") == "llama");
    edit_rank(rank_file(copy, "mp_rank_00"), [](RankFile& file) { file.args = {}; });
    const OptionValues heads{{"num_attention_heads", "8"}};
    CHECK_THAT(refusal([&] { to_hub(copy, scratch / "none", {}, heads); }),
               ContainsSubstring("the model may be a llama or a gemma: its source does not state "));
    to_hub(copy, scratch / "none", {{"model_type", "llama"}}, heads);
    CHECK(type_of(scratch / "none") == "llama");
}

TEST_CASE("the loader hf reads nothing but Hugging Face's layout", "[plugin][hf]") {
    CHECK_THAT(refusal([&] { load("hf", golden("meta/llama2-gqa")); }),
               ContainsSubstring("holds no config.json, expected a Hugging Face folder"));
    CHECK_THAT(refusal([&] { load("hf", golden("megatron-core/llama2-gqa-te-tp1")); }),
               ContainsSubstring("holds no model itself"));
    CHECK(refusal([&] {
              load("hf", golden("hf/llama2-gqa"), {{"checkpoint_type", "meta"}});
          }) == "checkpoint_type is 'meta', the loader 'hf' reads Hugging Face's layout only");
    CHECK(refusal([&] {
              load("hf", golden("hf/llama2-gqa"), {{"model_type", "falcon"}});
          }) == "model_type 'falcon' contradicts the loader 'llama', which reads llama2, llama, llama3, codellama");
}
