// SPDX-License-Identifier: Apache-2.0
#include "crossdock/family/mistral.hpp"

#include "support/catch.hpp"
#include "support/conversion.hpp"

using namespace crossdock;
using namespace crossdock::test;
using Catch::Matchers::ContainsSubstring;

namespace {

/// The header of a golden Mistral whose JSON description was changed.
ModelHeader edited_header(const char* name, const char* file, const std::function<void(Json&)>& edit) {
    const TemporaryDirectory scratch;
    const auto copy = copied(name, scratch);
    edit_json(copy / file, edit);
    return load("mistral", copy)->header();
}

std::string params_refusal(const std::function<void(Json&)>& edit) {
    const TemporaryDirectory scratch;
    const auto copy = copied("meta/mistral-gqa-native", scratch);
    edit_json(copy / "params.json", edit);
    return refusal([&] { load("mistral", copy); });
}

}  // namespace

TEST_CASE("mistral's window is 4096 where config.json has no key, and none where it is null", "[family][mistral]") {
    const auto window = [](const std::function<void(Json&)>& edit) {
        return edited_header("hf/mistral-gqa", "config.json", edit).sliding_window;
    };
    CHECK(window([](Json& config) { config.erase("sliding_window"); }) == 4096U);
    CHECK(window([](Json& config) { config["sliding_window"] = nullptr; }) == 0U);
    CHECK(window([](Json& config) { config["sliding_window"] = 17; }) == 17U);
}

TEST_CASE("mistral writes the window always, since its absence means 4096", "[family][mistral]") {
    for (const auto& [name, window] : {std::pair{"hf/mistral-nemo", Json(nullptr)}, {"hf/mistral-window8", Json(8)}}) {
        const TemporaryDirectory scratch;
        const auto source = load("mistral", golden(name));
        save(*source, "mistral", scratch / "out");
        const Json config = read_json(scratch / "out/config.json");
        CHECK(config.at("sliding_window") == window);
        CHECK(config.at("head_dim") == source->header().kv_channels);
    }
}

TEST_CASE("mistral's own layout guesses an absent rope_theta by the window, and says so", "[family][mistral]") {
    const auto native = load("mistral", golden("meta/mistral-gqa-native"));
    CHECK(native->header().rope_theta == 1e4);
    CHECK(native->notices() == std::vector<std::string>{"params.json has no rope_theta; 10000 is taken, as "
                                                        "mistral-inference did for models with a sliding window"});
    const auto without_window = [](Json& params) { params.erase("sliding_window"); };
    CHECK(edited_header("meta/mistral-gqa-native", "params.json", without_window).rope_theta == 1e6);
    CHECK(load("mistral", golden("meta/mistral-nemo-native"))->notices() == none);
}

TEST_CASE("mistral's own layout reads windows as numbers and lists", "[family][mistral]") {
    const auto window = [](const char* key, Json value) {
        return edited_header("meta/mistral-gqa-native", "params.json",
                             [&](Json& params) {
                                 params.erase("sliding_window");
                                 params[key] = value;
                             })
            .sliding_window;
    };
    CHECK(window("_sliding_window", 64) == 64U);
    CHECK(window("sliding_window", Json::array({64})) == 64U);
    CHECK(window("sliding_window", nullptr) == 0U);
    CHECK_THAT(params_refusal([](Json& params) {
                   params["sliding_window"] = {64, nullptr};
               }),
               ContainsSubstring("layers with windows of their own are not supported"));
}

TEST_CASE("mistral's own layout refuses other kinds of model by name", "[family][mistral]") {
    for (const auto& [key, what] : {std::pair{"moe", "a mixture of experts (moe)"},
                                    {"lora", "LoRA adapters (lora)"},
                                    {"vision_encoder", "images (vision_encoder)"}})
        CHECK_THAT(params_refusal([name = key](Json& params) { params[name] = Json::object(); }),
                   ContainsSubstring(text("params.json: '", key, "': asks for ", what, ", which is not supported")));
}

TEST_CASE("mistral's own layout is written as it is read", "[family][mistral]") {
    const TemporaryDirectory scratch;
    const auto source = load("mistral", golden("hf/mistral-nemo"));
    save(*source, "mistral", scratch / "out", {{"layout", "original"}});
    const Json params = read_json(scratch / "out/params.json");
    CHECK(params["rope_theta"] == 1e6);
    CHECK(params["hidden_dim"] == 112);
    CHECK(params["head_dim"] == 16);
    CHECK_FALSE(params.contains("sliding_window"));
    CHECK(std::filesystem::exists(scratch / "out/consolidated.safetensors"));
    CHECK(differences(*source, *load("mistral", scratch / "out")) == none);
}

TEST_CASE("mistral's window keeps it from llama", "[family][mistral]") {
    const TemporaryDirectory scratch;
    const auto windowed = load("mistral", golden("hf/mistral-window8")),
               nemo = load("mistral", golden("hf/mistral-nemo"));
    CHECK(refusal([&] { save(*windowed, "llama", scratch / "out"); }) ==
          "the model has a sliding attention window (sliding_window), which a llama checkpoint cannot express");
    save(*nemo, "llama", scratch / "out");
    CHECK(differences(*nemo, *load("llama", scratch / "out")) == none);
}
