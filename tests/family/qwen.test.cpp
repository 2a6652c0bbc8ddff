// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <functional>
#include <vector>

#include "crossdock/core/from_memory.hpp"
#include "crossdock/core/same_bytes.hpp"
#include "crossdock/family/original/rotary_pairs.hpp"
#include "crossdock/family/qwen/hub.hpp"
#include "support/catch.hpp"
#include "support/conversion.hpp"

using namespace crossdock;
using namespace crossdock::test;
using Catch::Matchers::ContainsSubstring;

namespace {

/// What the model of `name` is with its config.json changed.
ModelHeader changed(const char* name, const std::function<void(Json&)>& change, const OptionValues& options = {}) {
    const TemporaryDirectory scratch;
    const auto copy = copied(name, scratch);
    edit_json(copy / "config.json", change);
    return load("qwen", copy, options)->header();
}

/// A window from the second of two layers on.
void give_window(Json& config) {
    config["use_sliding_window"] = true;
    config["sliding_window"] = 16;
    config["max_window_layers"] = 1;
    config.erase("layer_types");
}

std::vector<std::uint64_t> windows(const ModelHeader& header) {
    std::vector<std::uint64_t> found;
    for (std::uint64_t layer = 0; layer < header.num_layers; ++layer)
        found.push_back(attention_of(header, layer).sliding_window.value_or(0));
    return found;
}

}  // namespace

TEST_CASE("qwen's header says what its code does without being told", "[family][qwen]") {
    const ModelHeader two = load("qwen", golden("hf/qwen2"))->header();
    CHECK(two.attention.qkv_bias);
    CHECK_FALSE(two.attention.dense_bias);
    CHECK_FALSE(two.attention.qk_norm);
    const ModelHeader three = load("qwen", golden("hf/qwen3"))->header();
    CHECK_FALSE(three.attention.qkv_bias);
    CHECK(three.attention.qk_norm);
    CHECK(three.attention.kv_channels == 32);
}

TEST_CASE("qwen3's heads have 128 rows unless config.json says otherwise, qwen2's share the hidden size",
          "[family][qwen]") {
    const auto without_size = [](Json& config) { config.erase("head_dim"); };
    CHECK(changed("hf/qwen2", without_size).attention.kv_channels == 8);
    CHECK_THAT(refusal([&] { changed("hf/qwen3", without_size); }),
               ContainsSubstring("q_proj.weight' has shape [128, 64], expected [512, 64]"));
}

TEST_CASE("attention_bias asks for biases in qwen3 alone", "[family][qwen]") {
    const auto with_biases = [](Json& config) { config["attention_bias"] = true; };
    CHECK_FALSE(changed("hf/qwen2", with_biases).attention.dense_bias);
    CHECK_THAT(refusal([&] { changed("hf/qwen3", with_biases); }),
               ContainsSubstring("self_attn.q_proj.bias' of shape [128] is missing"));
}

TEST_CASE("qwen's window counts only where it is switched on, and on the layers that have it", "[family][qwen]") {
    const auto of = [&](bool on, const Json& window, const Json& first, const Json& types) {
        return windows(changed("hf/qwen2", [&](Json& config) {
            config["use_sliding_window"] = on;
            config["sliding_window"] = window;
            config["max_window_layers"] = first;
            config["layer_types"] = types;
        }));
    };
    using Windows = std::vector<std::uint64_t>;
    CHECK(of(false, 16, 0, nullptr) == Windows{0, 0});
    CHECK(of(true, nullptr, 0, nullptr) == Windows{0, 0});
    CHECK(of(true, 16, 0, nullptr) == Windows{16, 16});
    CHECK(of(true, 16, 1, nullptr) == Windows{0, 16});
    CHECK(of(true, 16, 28, nullptr) == Windows{0, 0});
    CHECK(of(true, 16, 28, {"sliding_attention", "full_attention"}) == Windows{16, 0});
    CHECK_THAT(refusal([&] { of(true, 16, 0, {"sliding_attention"}); }), ContainsSubstring("a list of 2 layers"));
    CHECK_THAT(refusal([&] {
                   of(true, 16, 0, {"sliding_attention", "linear_attention"});
               }),
               ContainsSubstring("'layer_types' says 'linear_attention'"));
}

TEST_CASE("a window on some layers goes from qwen to qwen and to Megatron-Core, and nowhere else", "[family][qwen]") {
    const TemporaryDirectory scratch;
    const auto copy = copied("hf/qwen3", scratch);
    edit_json(copy / "config.json", give_window);
    const auto source = load("qwen", copy);
    save(*source, "qwen", scratch / "out");
    const Json written = read_json(scratch / "out/config.json");
    CHECK(written["use_sliding_window"] == true);
    CHECK(written["sliding_window"] == 16);
    CHECK(written["max_window_layers"] == 1);
    CHECK(written["layer_types"] == Json({"full_attention", "sliding_attention"}));
    CHECK(differences(*source, *load("qwen", scratch / "out")) == none);
    const auto told = save(*source, "mcore", scratch / "core");
    CHECK_THAT(told.back(), ContainsSubstring("--window-size 15,0 --window-attn-skip-freq '[0,1]'"));
    CHECK(differences(*source, *load("mcore", scratch / "core")) == none);
    CHECK_THAT(refusal([&] { save(*source, "megatron", scratch / "legacy"); }),
               ContainsSubstring("layers that differ from each other"));
}

TEST_CASE("what the user says of all layers also holds of those with a window", "[family][qwen]") {
    const ModelHeader turned = changed("hf/qwen2", give_window, {{"rope_theta", "500"}});
    CHECK(attention_of(turned, 0).rope_theta == 500.0);
    CHECK(attention_of(turned, 1).rope_theta == 500.0);
    CHECK(attention_of(turned, 1).sliding_window == 16U);
    CHECK(changed("hf/qwen2", give_window, {{"sliding_window", "0"}}).other_layers.empty());
}

TEST_CASE("qwen goes to Megatron-Core and comes back at any size, and its norms are told as an option",
          "[family][qwen]") {
    for (const char* name : {"hf/qwen2", "hf/qwen3"}) {
        const TemporaryDirectory scratch;
        const auto source = load("qwen", golden(name));
        const auto told = save(*source, "mcore", scratch / "there",
                               {{"target_tensor_parallel_size", "2"}, {"target_pipeline_parallel_size", "2"}});
        const bool tells_norms = told.back().find("--qk-layernorm") != std::string::npos;
        CHECK(tells_norms == source->header().attention.qk_norm);
        const auto there = load("mcore", scratch / "there");
        CHECK(differences(*source, *there) == none);
        save(*there, "qwen", scratch / "back");
        CHECK(differences(*source, *load("qwen", scratch / "back")) == none);
    }
}

TEST_CASE("norms of queries and keys turn with their rows where Megatron-Core stores these in pairs",
          "[family][qwen]") {
    ModelHeader header;
    header.attention.kv_channels = 6;
    const Tensor sent = from_vector(std::vector<float>{0, 1, 2, 3, 4, 5}, Shape{6});
    CHECK(same_bytes(head_norm_as_flagged.split({sent}, header, 0)[0], sent));
    header.attention.rotary_interleaved = true;
    const Parts pairs = head_norm_as_flagged.split({sent}, header, 0);
    CHECK(same_bytes(pairs[0], from_vector(std::vector<float>{0, 3, 1, 4, 2, 5}, Shape{6})));
    CHECK(same_bytes(head_norm_as_flagged.join(pairs, header, 0)[0], sent));
}

TEST_CASE("norms of queries and keys are told from Megatron-Core's tensors", "[family][qwen]") {
    CHECK_FALSE(load("mcore", golden("megatron-core/qwen2-local-tp2"))->header().attention.qk_norm);
    CHECK(load("mcore", golden("megatron-core/qwen3-local-pp2"))->header().attention.qk_norm);
}

TEST_CASE("qwen's norms and biases keep it from formats without them, and others from it", "[family][qwen]") {
    const TemporaryDirectory scratch;
    const auto two = load("qwen", golden("hf/qwen2")), three = load("qwen", golden("hf/qwen3"));
    CHECK_THAT(refusal([&] { save(*two, "mistral", scratch / "out"); }), ContainsSubstring("biases"));
    CHECK_THAT(
        refusal([&] { save(*three, "llama", scratch / "out"); }),
        ContainsSubstring("a tensor 'q norm weight' (transformer layer), which a llama checkpoint has no place"));
    CHECK_THAT(refusal([&] { save(*three, "megatron", scratch / "out"); }), ContainsSubstring("'q norm weight'"));
    CHECK_THAT(refusal([&] { save(*load("llama", golden("hf/llama2-gqa")), "qwen", scratch / "out"); }),
               ContainsSubstring("neither norms of queries and keys (qk_norm), as Qwen3, nor biases"));
}

TEST_CASE("qwen's relatives are refused by name", "[family][qwen]") {
    for (const char* type : {"qwen", "qwen2_vl", "qwen3_next"})
        CHECK_THAT(refusal([&] { changed("hf/qwen2", [&](Json& config) { config["model_type"] = type; }); }),
                   ContainsSubstring("another architecture than qwen"));
}

TEST_CASE("the size of an MLP that no layer of a qwen has stays unstated", "[family][qwen]") {
    for (const char* name : {"hf/qwen2-moe", "hf/qwen3-moe"})
        for (const char* saver : {"hf", "mcore"}) {
            const TemporaryDirectory scratch;
            const auto copy = copied(name, scratch);
            edit_json(copy / "config.json", [](Json& config) { config.erase("intermediate_size"); });
            const auto source = load("hf", copy);
            CHECK(source->header().mlp.ffn_hidden_size == 0);
            CHECK(differences(*source, *load("hf", golden(name))) == none);
            save(*source, saver, scratch / "there");
            const auto there = load(saver, scratch / "there");
            CHECK(differences(*source, *there) == none);
            save(*there, "hf", scratch / "back");
            CHECK_FALSE(read_json(scratch / "back/config.json").contains("intermediate_size"));
        }
}
