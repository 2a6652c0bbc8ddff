// SPDX-License-Identifier: Apache-2.0
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/conversion.hpp"

using namespace crossdock;
using namespace crossdock::test;
using Catch::Matchers::ContainsSubstring;
namespace fs = std::filesystem;

namespace {

const std::string megatron = "megatron-core/llama2-gqa-te-tp2pp2";  // of 600 words and 768 rows; says theta and epsilon

/// Exports the golden Megatron checkpoint with a changed copy of the config that it was made from.
struct Export {
    explicit Export(const std::function<void(Json&)>& edit, const OptionValues& more = {}) {
        const auto reference = copied("hf/llama2-gqa", scratch);
        edit_json(reference / "config.json", edit);
        OptionValues options{{"config", reference.string()}};
        options.insert(more.begin(), more.end());
        why = refusal([&] { told = save(*load("mcore", golden(megatron)), "llama", scratch / "out", options); });
        if (why.empty()) config = read_json(scratch / "out" / "config.json");
    }

    TemporaryDirectory scratch;
    std::string why;
    std::vector<std::string> told;
    Json config;
};

std::string contradiction(const char* key, const Json& value) {
    return Export([&](Json& config) { config[key] = value; }).why;
}

}  // namespace

TEST_CASE("a reference folder gives what Megatron does not keep", "[plugin][hub_reference]") {
    const Export done(
        [](Json& config) {
            config["bos_token_id"] = 11;
            config["eos_token_id"] = Json{12, 13};
            config["pad_token_id"] = 14;
            config["max_position_embeddings"] = 131072;
            config["initializer_range"] = 0.5;
            config["rope_scaling"] = {{"rope_type", "llama3"},
                                      {"factor", 8.0},
                                      {"low_freq_factor", 1.0},
                                      {"high_freq_factor", 4.0},
                                      {"original_max_position_embeddings", 8192}};
            config.erase("rope_parameters");
        },
        {});
    CHECK(done.why.empty());
    CHECK(done.config["bos_token_id"] == Json(11));
    CHECK(done.config["eos_token_id"] == Json{12, 13});
    CHECK(done.config["pad_token_id"] == Json(14));
    CHECK(done.config["max_position_embeddings"] == Json(131072));
    CHECK(done.config["initializer_range"] == Json(0.5));
    CHECK(done.config["vocab_size"] == Json(600));
    CHECK(done.config["rope_scaling"]["factor"] == Json(8.0));
    CHECK(read_file(done.scratch / "out/generation_config.json") ==
          read_file(golden("hf/llama2-gqa") / "generation_config.json"));
}

TEST_CASE("what a reference gives in place of what the source says is told", "[plugin][hub_reference]") {
    const Export done([](Json& config) { config["max_position_embeddings"] = 131072; });
    CHECK_THAT(joined_list(done.told), ContainsSubstring("max_position_embeddings 131072 is taken from config "));
    CHECK_THAT(joined_list(done.told), ContainsSubstring("; the source says "));
    CHECK_THAT(joined_list(done.told), !ContainsSubstring("bos_token_id"));
}

TEST_CASE("a reference of another model is refused by field and with both values", "[plugin][hub_reference]") {
    CHECK_THAT(contradiction("hidden_size", 128), ContainsSubstring("hidden_size is 128, the model has 64"));
    CHECK_THAT(contradiction("num_hidden_layers", 5), ContainsSubstring("num_layers is 5, the model has 4"));
    CHECK_THAT(contradiction("num_key_value_heads", 4), ContainsSubstring("num_query_groups is 4, the model has 2"));
    CHECK_THAT(contradiction("tie_word_embeddings", true),
               ContainsSubstring("tied_embeddings is true, the model has false"));
    CHECK_THAT(contradiction("attention_bias", true), ContainsSubstring("qkv_bias is true, the model has false"));
    CHECK_THAT(contradiction("vocab_size", 800), ContainsSubstring("vocab_size is 800, the model has only 768 rows"));
    CHECK_THAT(contradiction("model_type", "mistral"), ContainsSubstring("model_type is 'mistral'"));
}

TEST_CASE("a reference that says otherwise what the source states needs a word of the user",
          "[plugin][hub_reference]") {
    const auto edit = [](Json& config) {
        config["rms_norm_eps"] = 1e-3;
        config.erase("rope_parameters");
        config["rope_theta"] = 500000.0;
    };
    CHECK_THAT(Export(edit).why, ContainsSubstring("norm_epsilon is 0.001, the model has 1e-05; say which is right: "
                                                   "give the option norm_epsilon"));
    CHECK_THAT(Export(edit, {{"norm_epsilon", "1e-5"}}).why, ContainsSubstring("rope_theta is 500000.0"));
    const Export done(edit, {{"norm_epsilon", "0.001"}, {"rope_theta", "10000"}});
    CHECK(done.why.empty());
    CHECK(done.config["rms_norm_eps"] == Json(0.001));
    CHECK(done.config["rope_theta"] == Json(10000.0));
}

TEST_CASE("a reference is a folder or the config.json in one, and may be links as in a hub's cache",
          "[plugin][hub_reference]") {
    const TemporaryDirectory scratch;
    const auto snapshot = scratch / "models--x/snapshots/abc", blobs = scratch / "models--x/blobs";
    fs::create_directories(snapshot);
    fs::create_directories(blobs);
    fs::copy_file(golden("hf/llama2-gqa") / "config.json", blobs / "0a");
    write_file(blobs / "0b", "words");
    fs::create_symlink("../../blobs/0a", snapshot / "config.json");
    fs::create_symlink("../../blobs/0b", snapshot / "tokenizer.json");
    for (const auto& reference : {snapshot, snapshot / "config.json"}) {
        save(*load("mcore", golden(megatron)), "llama", scratch / "out",
             {{"config", reference.string()}, {"overwrite", ""}});
        CHECK(read_file(scratch / "out/tokenizer.json") == "words");
    }
    const auto refused = [&](const fs::path& reference) {
        return refusal([&] {
            save(*load("mcore", golden(megatron)), "llama", scratch / "no", {{"config", reference.string()}});
        });
    };
    CHECK_THAT(refused(snapshot / "tokenizer.json"), ContainsSubstring("expected a Hugging Face folder, or the "
                                                                       "config.json in one"));
    CHECK_THAT(refused(scratch / "nowhere"), ContainsSubstring("expected a Hugging Face folder"));
}

TEST_CASE("a reference is never written over", "[plugin][hub_reference]") {
    const TemporaryDirectory scratch;
    const auto reference = copied("hf/llama2-gqa", scratch);
    CHECK_THAT(refusal([&] {
                   save(*load("mcore", golden(megatron)), "llama", reference,
                        {{"config", reference.string()}, {"overwrite", ""}});
               }),
               ContainsSubstring("is the source itself"));
    CHECK(fs::exists(reference / "model.safetensors"));
}

TEST_CASE("an export that nothing tells token ids names them and the remedy", "[plugin][hub_reference]") {
    const TemporaryDirectory scratch;
    const std::string told = joined_list(save(*load("mcore", golden(megatron)), "llama", scratch / "a"));
    CHECK_THAT(told, ContainsSubstring("bos_token_id, eos_token_id, pad_token_id"));
    CHECK_THAT(told, ContainsSubstring("give the option config"));
    CHECK_THAT(joined_list(save(*load("llama", golden("meta/llama2-gqa")), "llama", scratch / "b")),
               ContainsSubstring("bos_token_id"));
    CHECK_THAT(joined_list(save(*load("llama", golden("hf/llama2-gqa")), "llama", scratch / "c")),
               !ContainsSubstring("token_id"));
    save(*load("llama", golden("hf/llama2-gqa")), "mcore", scratch / "d");
    CHECK_THAT(joined_list(save(*load("mcore", scratch / "d"), "llama", scratch / "e")),
               !ContainsSubstring("token_id"));
}
