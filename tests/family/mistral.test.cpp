// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <functional>
#include <string>

#include "crossdock/container/safetensors/reader.hpp"
#include "crossdock/container/safetensors/writer.hpp"
#include "crossdock/container/sharded/format.hpp"
#include "crossdock/family/mistral/hub.hpp"
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
        return edited_header("hf/mistral-gqa", "config.json", edit).attention.sliding_window;
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
        CHECK(config.at("head_dim") == source->header().attention.kv_channels);
    }
}

TEST_CASE("mistral's own layout guesses an absent rope_theta by the window, and says so", "[family][mistral]") {
    const auto native = load("mistral", golden("meta/mistral-gqa-native"));
    CHECK(native->header().attention.rope_theta == 1e4);
    CHECK(native->notices() ==
          std::vector<std::string>{"params.json has no max_position_embeddings; 32768 is taken, as in most of "
                                   "mistralai's models",
                                   "params.json has no rope_theta; 10000 is taken, as mistral-inference did for models "
                                   "with a sliding window"});
    const auto without_window = [](Json& params) { params.erase("sliding_window"); };
    CHECK(edited_header("meta/mistral-gqa-native", "params.json", without_window).attention.rope_theta == 1e6);
    CHECK(load("mistral", golden("meta/mistral-nemo-native"))->notices().size() == 1);  // of the context
}

TEST_CASE("mistral's own layout reads windows as numbers and lists", "[family][mistral]") {
    const auto window = [](const char* key, Json value) {
        return edited_header("meta/mistral-gqa-native", "params.json",
                             [&](Json& params) {
                                 params.erase("sliding_window");
                                 params[key] = value;
                             })
            .attention.sliding_window;
    };
    CHECK(window("_sliding_window", 64) == 64U);
    CHECK(window("sliding_window", "4096") == 4096U);
    CHECK(window("_sliding_window", Json::array({nullptr, nullptr})) == 0U);
    CHECK(window("sliding_window", Json::array({64})) == 64U);
    CHECK(window("sliding_window", nullptr) == 0U);
    CHECK_THAT(params_refusal([](Json& params) {
                   params["sliding_window"] = {64, nullptr};
               }),
               ContainsSubstring("layers with windows of their own are not supported"));
    CHECK_THAT(params_refusal([](Json& params) { params["_sliding_window"] = 64; }),
               ContainsSubstring("sliding_window is 4096, _sliding_window 64"));
    CHECK_THAT(params_refusal([](Json& params) { params["sliding_window"] = "wide"; }),
               ContainsSubstring("'sliding_window': is \"wide\", expected a whole number"));
}

TEST_CASE("mistral's own layout reads the context under both of its names", "[family][mistral]") {
    const auto context = [](const std::function<void(Json&)>& edit) {
        return edited_header("meta/mistral-nemo-native", "params.json", edit).max_position_embeddings;
    };
    CHECK(context([](Json& params) { params["max_seq_len"] = 1024; }) == 1024U);
    CHECK(context([](Json& params) { params["max_position_embeddings"] = 131072; }) == 131072U);
    CHECK(context([](Json& params) {
              params["max_seq_len"] = 1024;
              params["max_position_embeddings"] = 2048;
          }) == 2048U);
}

TEST_CASE("mistral's own layout is tied where it says so or the head equals the embeddings", "[family][mistral]") {
    const TemporaryDirectory scratch;
    const auto copy = copied("hf/mistral-nemo", scratch);
    edit_json(copy / "config.json", [](Json& config) { config["tie_word_embeddings"] = true; });
    edit_tensors(copy, [](NamedTensor& entry) { return entry.name != "lm_head.weight"; });
    save(*load("mistral", copy), "mistral", scratch / "out", {{"layout", "original"}});
    std::filesystem::remove(scratch / "out/crossdock.json");
    const auto tied = [&](const char* key, Json value) {
        edit_json(scratch / "out/params.json", [&](Json& params) { params[key] = std::move(value); });
        return load("mistral", scratch / "out")->header().tied_embeddings;
    };
    CHECK(tied("max_batch_size", 1));
    CHECK(tied("tied_embeddings", true));
    CHECK_FALSE(tied("tied_embeddings", false));
    const TemporaryDirectory other;
    const auto untied = copied("meta/mistral-nemo-native", other);
    edit_json(untied / "params.json", [](Json& params) { params["tied_embeddings"] = true; });
    const auto loaded = load("mistral", untied);
    CHECK_FALSE(loaded->header().tied_embeddings);
    CHECK_THAT(loaded->notices()[0], ContainsSubstring("says tied_embeddings, but output.weight differs"));
}

TEST_CASE("mistral's own layout is read in numbered files, with and without their index", "[family][mistral]") {
    const TemporaryDirectory scratch;
    const auto whole = load("mistral", golden("meta/mistral-nemo-native"));
    const auto copy = copied("meta/mistral-nemo-native", scratch);
    const TensorDict dict = safetensors::read(golden("meta/mistral-nemo-native") / "consolidated.safetensors");
    std::filesystem::remove(copy / "consolidated.safetensors");
    Json map;
    for (std::size_t shard = 0; shard < 2; ++shard) {
        const std::string file = sharded::consolidated_names.numbered(shard + 1, 2);
        safetensors::Writer writer(copy / file, 1U << 16);
        for (std::size_t i = shard; i < dict.entries().size(); i += 2) {
            add_tensor(writer, dict.entries()[i].name, dict.entries()[i].tensor);
            map[dict.entries()[i].name] = file;
        }
        writer.finish();
    }
    CHECK(differences(*whole, *load("mistral", copy)) == none);
    write_file(copy / "consolidated.safetensors.index.json", Json{{"weight_map", map}}.dump());
    CHECK(differences(*whole, *load("mistral", copy)) == none);
    std::filesystem::remove(copy / "consolidated.safetensors.index.json");
    std::filesystem::remove(copy / "consolidated-00001-of-00002.safetensors");
    CHECK(refusal([&] { load("mistral", copy); }) ==
          to_text(copy.string(), ": consolidated-00001-of-00002.safetensors is missing; there are 1 of 2 files"));
}

TEST_CASE("a mistralai folder without the weights of its config.json is read by params.json", "[family][mistral]") {
    const TemporaryDirectory scratch;
    const auto hub = load("mistral", golden("hf/mistral-nemo"));
    const auto copy = copied("hf/mistral-nemo", scratch);
    save(*hub, "mistral", scratch / "native", {{"layout", "original"}});
    for (const char* file : {"params.json", "consolidated.safetensors"})
        std::filesystem::copy_file(scratch / "native" / file, copy / file);
    CHECK_THAT(load("mistral", copy)->notices()[0],
               ContainsSubstring("also holds params.json and its consolidated files, not read"));
    std::filesystem::remove(copy / "model.safetensors");
    const auto native = load("mistral", copy);
    CHECK(native->notices().size() == 1);  // config.json tells the context, so that nothing is guessed
    CHECK_THAT(native->notices()[0], ContainsSubstring("has none of the weights that belong to config.json"));
    CHECK(differences(*hub, *native) == none);
}

TEST_CASE("mistral's own layout refuses other kinds of model by name", "[family][mistral]") {
    for (const auto& [key, what] : {std::pair{"moe", "a mixture of experts (moe)"},
                                    {"lora", "LoRA adapters (lora)"},
                                    {"yarn", "scaled rotary positions (yarn)"},
                                    {"quantization", "quantized weights (quantization)"},
                                    {"vision_encoder", "images (vision_encoder)"}})
        CHECK_THAT(params_refusal([name = key](Json& params) { params[name] = Json::object(); }),
                   ContainsSubstring(to_text("params.json: '", key, "': asks for ", what, ", which is not supported")));
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

TEST_CASE("a router that gives one expert to each token, and all of the weight, is told to be none of Megatron's",
          "[family][mistral]") {
    const auto is_told = [](const char* name, const std::function<void(Json&)>& change) {
        const TemporaryDirectory scratch;
        const auto copy = copied(name, scratch);
        edit_json(copy / "config.json", change);
        const auto told = save(*load("hf", copy), "mcore", scratch / "core");
        return std::any_of(told.begin(), told.end(),
                           [](const std::string& line) { return line.find("does not run") != line.npos; });
    };
    CHECK(is_told("hf/mixtral", [](Json& config) { config["num_experts_per_tok"] = 1; }));
    CHECK_FALSE(is_told("hf/mixtral", [](Json&) {}));
    const auto qwen = [](bool is_made_1) {
        return [is_made_1](Json& config) {
            config["num_experts_per_tok"] = 1;
            config["norm_topk_prob"] = is_made_1;
        };
    };
    CHECK(is_told("hf/qwen3-moe", qwen(true)));
    CHECK_FALSE(is_told("hf/qwen3-moe", qwen(false)));
}

TEST_CASE("a mistral that lists its layers' windows is one where the list says what sliding_window does",
          "[family][mistral]") {
    const auto refusal_of = [](const Json& types, const Json& window) {
        return refusal([&] {
            edited_header("hf/mistral-window8", "config.json", [&](Json& config) {
                const auto layers = config.at("num_hidden_layers").get<std::size_t>();
                Json list = Json::array();
                for (std::size_t layer = 0; layer < layers; ++layer) list.push_back(types[layer % types.size()]);
                config["layer_types"] = list;
                config["sliding_window"] = window;
            });
        });
    };
    const char *full = "full_attention", *sliding = "sliding_attention";
    CHECK(refusal_of({sliding}, 8).empty());
    CHECK(refusal_of({full}, nullptr).empty());
    for (const Json& types : {Json{full}, Json{full, sliding}, Json{sliding, full}})
        CHECK_THAT(refusal_of(types, 8), ContainsSubstring("takes the model for a ministral"));
    CHECK_THAT(refusal_of({sliding}, nullptr), ContainsSubstring("takes the model for a ministral"));
    CHECK_THAT(refusal_of({"chunked_attention"}, 8), ContainsSubstring("'layer_types' says 'chunked_attention'"));
}
