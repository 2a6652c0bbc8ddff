// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <filesystem>
#include <functional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/conversion.hpp"
#include "support/synthetic_model.hpp"

using namespace crossdock;
using namespace crossdock::test;
using Catch::Matchers::ContainsSubstring;

// What only Gemma 2 and 3 have is in no tensor, or in one that a format could forget: every saver that cannot say it
// refuses the model by the name of the field.

namespace {

/// A saver, and a model that it takes.
struct Target {
    std::string saver;
    OptionValues options;
    std::string loader, source;
    bool has_output_norms = false;
};

const std::vector<Target> targets{{"llama", {}, "llama", "hf/llama2-gqa"},
                                  {"llama", {{"layout", "original"}}, "llama", "hf/llama2-gqa"},
                                  {"mistral", {}, "mistral", "hf/mistral-gqa"},
                                  {"mistral", {{"layout", "original"}}, "mistral", "hf/mistral-gqa"},
                                  {"gemma", {}, "gemma", "hf/gemma-mqa", true},
                                  {"qwen", {}, "qwen", "hf/qwen3"},
                                  {"deepseek", {}, "deepseek", "hf/deepseek-v3"},
                                  {"glm", {}, "glm", "hf/glm4.5"},
                                  {"falcon", {}, "falcon", "hf/falcon-7b"},
                                  {"gpt2", {}, "gpt2", "hf/gpt2"},
                                  {"bert", {}, "bert", "hf/bert"},
                                  {"hf", {}, "llama", "hf/llama2-gqa"},
                                  {"megatron", {{"dialect", "llm"}}, "llama", "hf/llama2-gqa"},
                                  {"megatron", {{"dialect", "lm"}}, "llama", "hf/llama2-gqa"},
                                  {"mcore", {}, "llama", "hf/llama2-gqa", true},
                                  {"mcore", {{"transformer_impl", "local"}}, "llama", "hf/llama2-gqa"}};

/// What stops a target from taking its model, changed.
std::string refused(const Target& target, const std::function<void(ModelHeader&)>& change) {
    const TemporaryDirectory scratch;
    ModelHeader header = load(target.loader, golden(target.source))->header();
    header.origin = {};
    change(header);
    SyntheticLoader model(header, 1);
    return refusal([&] { save(model, target.saver, scratch / "out", target.options); });
}

}  // namespace

TEST_CASE("every saver refuses caps, scales and norms that it cannot express, by name", "[plugin][caps]") {
    using Change = std::pair<std::string, void (*)(ModelHeader&)>;
    const std::vector<Change> changes{
        {"logit_softcap", [](ModelHeader& h) { h.attention.logit_softcap = 30; }},
        {"final_logit_softcap", [](ModelHeader& h) { h.final_logit_softcap = 30; }},
        {"query_pre_attn_scalar",
         [](ModelHeader& h) { h.attention.query_pre_attn_scalar = static_cast<double>(h.attention.kv_channels) + 1; }},
        {"block_output_norms", [](ModelHeader& h) { h.block_output_norms = true; }}};
    for (const Target& target : targets) {
        INFO(target.saver);
        CHECK(refused(target, [](ModelHeader&) {}).empty());
        const std::string of_one_layer = refused(target, [](ModelHeader& h) {
            h.other_layers[1].attention = attention_of(h, 1);
            h.other_layers[1].attention->logit_softcap = 30;
        });
        const bool is_named = of_one_layer.find("(logit_softcap)") != std::string::npos ||
                              of_one_layer.find("(other_layers)") != std::string::npos;
        CHECK(is_named);
        for (const auto& change : changes)
            if (!target.has_output_norms || change.first != "block_output_norms")
                CHECK_THAT(refused(target, change.second), ContainsSubstring(change.first));
        const auto usual = [](ModelHeader& h) {
            h.attention.logit_softcap = h.final_logit_softcap = 0;
            h.attention.query_pre_attn_scalar = static_cast<double>(h.attention.kv_channels);
            for (auto& other : h.other_layers)
                if (other.second.attention) other.second.attention = h.attention;
        };
        CHECK(refused(target, usual).empty());
    }
}

TEST_CASE("the list of savers that are asked for caps is complete", "[plugin][caps]") {
    std::set<std::string> asked;
    for (const Target& target : targets) asked.insert(target.saver);
    for (const std::string& saver : saver_names()) CHECK(asked.contains(saver));
}
