// SPDX-License-Identifier: Apache-2.0
#include <string>
#include <utility>

#include "support/catch.hpp"
#include "support/conversion.hpp"

using namespace crossdock;
using namespace crossdock::test;
using Catch::Matchers::ContainsSubstring;

namespace {

std::string load_refusal(std::string_view loader, std::string_view name, const OptionValues& options) {
    return refusal([&] { load(loader, golden(name), options); });
}

}  // namespace

TEST_CASE("every loader takes single fields from the user", "[plugin][overrides]") {
    const OptionValues stated{{"rope_theta", "500000"},
                              {"norm_epsilon", "1e-6"},
                              {"max_position_embeddings", "128"},
                              {"rope_scaling", R"({"rope_type": "linear", "factor": 2})"}};
    for (const auto& [loader, name] : {std::pair{"llama", "hf/llama2-gqa"},
                                       {"llama", "meta/llama2-gqa"},
                                       {"megatron", "megatron-llm/llama2-gqa"},
                                       {"mcore", "megatron-core/llama2-gqa-te-tp1"}}) {
        const ModelHeader header = load(loader, golden(name), stated)->header();
        CHECK(header.attention.rope_theta == 500000.0);
        CHECK(header.norm_epsilon == 1e-6);
        CHECK(header.max_position_embeddings == 128U);
        CHECK(header.attention.rope_scaling->type == "linear");
        CHECK(header.attention.rope_scaling->factor == 2.0);
        CHECK(header.origin.given.size() == 4);
    }
}

TEST_CASE("every saver takes single fields from the user", "[plugin][overrides]") {
    const TemporaryDirectory scratch;
    const auto source = load("llama", golden("hf/llama2-gqa"));
    for (const char* saver : {"llama", "megatron", "mcore"}) {
        save(*source, saver, scratch / saver, {{"rope_theta", "500000"}, {"norm_epsilon", "1e-6"}});
        const ModelHeader header = load(saver, scratch / saver)->header();
        CHECK(header.attention.rope_theta == 500000.0);
        CHECK(header.norm_epsilon == 1e-6);
    }
}

TEST_CASE("a scaling that Megatron has no words for comes back as it was stated", "[plugin][overrides]") {
    const TemporaryDirectory scratch;
    const std::string yarn =
        R"({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16, "beta_fast": 30.0})";
    save(*load("llama", golden("hf/llama2-gqa"), {{"rope_scaling", yarn}}), "mcore", scratch / "there");
    save(*load("mcore", scratch / "there"), "llama", scratch / "back");
    CHECK(read_json(scratch / "back/config.json")["rope_scaling"] == parse_json(yarn, "yarn"));
}

TEST_CASE("a scaling is read strictly", "[plugin][overrides]") {
    const auto with = [](const char* scaling) {
        return load_refusal("llama", "hf/llama2-gqa", {{"rope_scaling", scaling}});
    };
    CHECK_THAT(with(R"({"factor": 2})"), ContainsSubstring("rope_scaling: has no rope_type"));
    CHECK_THAT(with(R"({"rope_type": "liner", "factor": 2})"),
               ContainsSubstring("rope_scaling: is of the kind 'liner', expected one of default, linear, "));
    CHECK_THAT(with(R"({"rope_type": "linear", "factr": 2})"),
               ContainsSubstring("is of the kind 'linear' and has no 'factor'"));
    CHECK_THAT(with(R"({"rope_type": "linear", "factor": 2, "facto": 2})"),
               ContainsSubstring("has a key 'facto', which linear does not know"));
    CHECK_THAT(with(R"({"rope_type": "linear", "factor": "2"})"),
               ContainsSubstring("'factor': is \"2\", expected a number"));
    CHECK_THAT(with(R"({"rope_type": "llama3", "factor": 8})"), ContainsSubstring("has no 'low_freq_factor'"));
    CHECK_THAT(with("[1]"), ContainsSubstring("expected a JSON object"));
    CHECK_THAT(with("{"), ContainsSubstring("rope_scaling: "));
    CHECK(with("null").empty());
}

TEST_CASE("what the tensors contradict is refused", "[plugin][overrides]") {
    CHECK_THAT(load_refusal("gpt2", "hf/gpt2", {{"max_position_embeddings", "7"}}),
               ContainsSubstring("expected [7, ") && ContainsSubstring("the user gave max_position_embeddings"));
    CHECK_THAT(
        load_refusal("gpt2", "hf/gpt2", {{"rope_theta", "10000"}}),
        ContainsSubstring("the option rope_theta contradicts the model, whose positions are not rotary but learned"));
    const TemporaryDirectory scratch;
    CHECK_THAT(refusal([&] {
                   save(*load("gpt2", golden("hf/gpt2")), "mcore", scratch / "out", {{"max_position_embeddings", "7"}});
               }),
               ContainsSubstring("max_position_embeddings 7 contradicts the model's table of "));
}

TEST_CASE("values that cannot be are refused", "[plugin][overrides]") {
    const auto with = [](const char* option, const char* value) {
        return load_refusal("llama", "hf/llama2-gqa", {{option, value}});
    };
    for (const char* value : {"", "x", "1e", "0x10", "inf", "nan", "1 2", "1e999"})
        CHECK_THAT(with("rope_theta", value),
                   ContainsSubstring("rope_theta: '" + std::string(value) + "' is not a number"));
    CHECK_THAT(with("rope_theta", "0"), ContainsSubstring("the option rope_theta must be a number above 0"));
    CHECK_THAT(with("norm_epsilon", "-1"), ContainsSubstring("norm_epsilon must be a number above 0"));
    CHECK_THAT(with("max_position_embeddings", "0"), ContainsSubstring("expected at least 1"));
    CHECK_THAT(with("rotary_percent", "2"), ContainsSubstring("rotary_percent is a share"));
    CHECK_THAT(with("activation", "swosh"), ContainsSubstring("activation: is the activation 'swosh'"));
}
