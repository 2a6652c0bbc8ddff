// SPDX-License-Identifier: Apache-2.0
#include "crossdock/pipeline/convert.hpp"

#include <filesystem>
#include <stop_token>
#include <string>
#include <vector>

#include "crossdock/core/recipe.hpp"
#include "crossdock/protocol/message_bytes.hpp"
#include "support/altered_loader.hpp"
#include "support/catch.hpp"
#include "support/memory_source.hpp"
#include "support/plugins.hpp"
#include "support/recording_saver.hpp"
#include "support/temporary_directory.hpp"

using namespace crossdock;
using test::AlteredLoader;
using test::RecordingSaver;
using test::small_header;

TEST_CASE("a conversion hands over every message and every tensor", "[pipeline]") {
    AlteredLoader loader(small_header(), 1);
    RecordingSaver saver;
    const Report report = convert(loader, saver, {.max_queue_size = GENERATE(1U, 2U, 50U)});
    CHECK(saver.messages == std::vector<std::string>{"header", "embeddings", "transformer layer 0",
                                                     "transformer layer 1", "transformer layer 2", "final norm",
                                                     "output layer"});
    CHECK(saver.is_finished);
    CHECK(report.tensors == 24);
    CHECK(saver.tensors.size() == 24);
    CHECK(saver.tensors.at("transformer layer 1 / qkv weight").bytes() == loader.layer(1).qkv_weight->bytes());
}

TEST_CASE("the report tells what was written and what both sides have to say", "[pipeline]") {
    const test::TemporaryDirectory directory;
    AlteredLoader loader(small_header(), 1);
    loader.lines = {"from the loader"};
    const auto saver = test::make_saver("llama", {{"save_dir", (directory / "out").string()}});
    const Report report = convert(loader, *saver);
    CHECK(report.bytes == expected_model_bytes(small_header(), DType::f32));
    CHECK(report.seconds > 0);
    REQUIRE(report.warnings.size() == 2);
    CHECK(report.warnings[0] == "from the loader");
    CHECK_THAT(report.warnings[1], Catch::Matchers::ContainsSubstring("no source states bos_token_id"));
    RecordingSaver with_notice;
    with_notice.lines = {"from the saver"};
    CHECK(convert(loader, with_notice).warnings == std::vector<std::string>{"from the loader", "from the saver"});
}

TEST_CASE("a dtype casts what floats, and says so in the header", "[pipeline]") {
    AlteredLoader loader(small_header(), 1);
    loader.alter_embeddings = [](Embeddings& message) {
        const std::string bytes(message.word->element_count(), '\1');
        message.word = region(test::memory_source(bytes), 0, DType::i8, message.word->shape());
    };
    RecordingSaver saver;
    convert(loader, saver, {.dtype = DType::f16});
    CHECK(saver.header.params_dtype == DType::f16);
    CHECK(saver.tensors.at("embeddings / word embeddings").dtype() == DType::i8);
    const Tensor& cast_weight = saver.tensors.at("final norm / weight");
    CHECK(cast_weight.bytes() == cast(*loader.final_norm().weight, DType::f16).bytes());
}

TEST_CASE("the checker names message and tensor", "[pipeline]") {
    AlteredLoader loader(small_header(), 1);
    RecordingSaver saver;
    SECTION("missing") {
        loader.alter_layer = [](TransformerLayer& layer) { layer.dense_weight.reset(); };
        CHECK_THROWS_WITH(convert(loader, saver),
                          "message 'transformer layer 0': tensor 'dense weight' is missing; the "
                          "header asks for [32, 32]");
    }
    SECTION("unexpected") {
        loader.alter_layer = [](TransformerLayer& layer) { layer.fc1_weight = layer.up_weight; };
        CHECK_THROWS_WITH(convert(loader, saver),
                          "message 'transformer layer 0': tensor 'mlp l0 weight' of shape [48, 32] "
                          "is unexpected; the header says that there is none");
    }
    SECTION("of another shape") {
        loader.alter_layer = [](TransformerLayer& layer) { layer.gate_weight = layer.fc2_weight; };
        CHECK_THROWS_WITH(convert(loader, saver),
                          "message 'transformer layer 0': tensor 'mlp l0 weight W' has shape "
                          "[32, 48], the header asks for [48, 32]");
    }
    SECTION("out of order") {
        loader.alter_layer = [](TransformerLayer& layer) { layer.index += 1; };
        CHECK_THROWS_WITH(convert(loader, saver),
                          "protocol: message 'transformer layer 1' came, expected 'transformer layer 0'");
    }
    CHECK(saver.messages == std::vector<std::string>{"header", "embeddings"});
    CHECK_FALSE(saver.is_finished);
}

TEST_CASE("no_checking hands everything over as it is", "[pipeline]") {
    AlteredLoader loader(small_header(), 1);
    loader.alter_layer = [](TransformerLayer& layer) { layer.dense_weight.reset(); };
    RecordingSaver saver;
    CHECK(convert(loader, saver, {.no_checking = true}).tensors == 21);
    CHECK(saver.is_finished);
}

TEST_CASE("the error of a loader ends the conversion, wherever it comes", "[pipeline]") {
    AlteredLoader loader(small_header(), 1);
    RecordingSaver saver;
    SECTION("at begin") {
        loader.at_begin = [] { throw Error("broken"); };
    }
    SECTION("in the header") {
        loader.alter_header = [](ModelHeader&) { throw Error("broken"); };
    }
    SECTION("in a layer") {
        loader.alter_layer = [](TransformerLayer& layer) {
            if (layer.index == 2) throw Error("broken");
        };
    }
    CHECK_THROWS_WITH(convert(loader, saver), "broken");
    CHECK_FALSE(saver.is_finished);
}

TEST_CASE("the error of a saver ends the conversion, wherever it comes", "[pipeline]") {
    AlteredLoader loader(small_header(), 1);
    RecordingSaver saver;
    const std::string place = GENERATE("header", "embeddings", "transformer layer 1", "output layer", "finish");
    saver.before = [&](const std::string& message) {
        if (message == place) throw Error("no place for " + message);
    };
    CHECK_THROWS_WITH(convert(loader, saver, {.max_queue_size = 1}), "no place for " + place);
    CHECK_FALSE(saver.is_finished);
}

TEST_CASE("errors that are not ours come through as they are", "[pipeline]") {
    AlteredLoader loader(small_header(), 1);
    loader.alter_embeddings = [](Embeddings&) { throw std::bad_alloc(); };
    RecordingSaver saver;
    CHECK_THROWS_AS(convert(loader, saver), std::bad_alloc);
}

TEST_CASE("a request to stop cancels", "[pipeline]") {
    AlteredLoader loader(small_header(), 1);
    RecordingSaver saver;
    std::stop_source stop;
    SECTION("before the beginning") { stop.request_stop(); }
    SECTION("in the loader") {
        loader.alter_layer = [&](TransformerLayer&) { stop.request_stop(); };
    }
    SECTION("in the saver") {
        saver.before = [&](const std::string& name) {
            if (name == "final norm") stop.request_stop();
        };
    }
    CHECK_THROWS_AS(convert(loader, saver, {.stop = stop.get_token()}), Cancelled);
    CHECK_FALSE(saver.is_finished);
}

TEST_CASE("a request to stop that comes when all is in place changes nothing", "[pipeline]") {
    AlteredLoader loader(small_header(), 1);
    RecordingSaver saver;
    std::stop_source stop;
    saver.before = [&](const std::string& name) {
        if (name == "finish") stop.request_stop();
    };
    CHECK(convert(loader, saver, {.stop = stop.get_token()}).tensors == 24);
    CHECK(saver.is_finished);
}

TEST_CASE("a conversion that fails leaves neither target nor staging directory", "[pipeline]") {
    const test::TemporaryDirectory directory;
    AlteredLoader loader(small_header(), 1);
    loader.alter_layer = [](TransformerLayer& layer) {
        if (layer.index == 2) throw Error("broken");
    };
    {
        const auto saver = test::make_saver("llama", {{"save_dir", (directory / "out").string()}});
        CHECK_THROWS_WITH(convert(loader, *saver), "broken");
    }
    CHECK(std::filesystem::is_empty(directory.path()));
}

TEST_CASE("progress counts to the total, and names each message", "[pipeline]") {
    const test::TemporaryDirectory directory;
    ModelHeader header = small_header();
    header.tied_embeddings = true;
    AlteredLoader loader(header, 1);
    // Two stages hold the tied embeddings twice, padded: more bytes than the model has.
    const auto saver = test::make_saver("megatron", {{"save_dir", (directory / "out").string()},
                                                     {"target_tensor_parallel_size", "2"},
                                                     {"target_pipeline_parallel_size", "3"}});
    std::vector<std::string> messages;
    Progress last;
    const Report report = convert(loader, *saver, {.threads = 2, .progress = [&](const Progress& progress) {
                                                       if (messages.empty() || messages.back() != progress.message)
                                                           messages.push_back(progress.message);
                                                       last = progress;
                                                   }});
    CHECK(messages.front().empty() == false);
    CHECK(messages.back() == "final norm");
    CHECK(messages.size() == 6);
    CHECK(last.bytes == last.total_bytes);
    CHECK(last.bytes == report.bytes);
}
