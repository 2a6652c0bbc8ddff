// SPDX-License-Identifier: Apache-2.0
#include "crossdock/pipeline/verify.hpp"

#include <cstring>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "crossdock/protocol/message_bytes.hpp"
#include "support/altered_loader.hpp"
#include "support/catch.hpp"

using namespace crossdock;
using test::AlteredLoader;
using test::small_header;

namespace {

/// The tensor with some of its elements' lowest bits turned.
Tensor turned(const Tensor& tensor, const std::vector<std::uint64_t>& elements) {
    auto bytes = std::make_shared<std::vector<std::byte>>(tensor.bytes());
    for (const std::uint64_t element : elements) (*bytes)[element * item_size(tensor.dtype())] ^= std::byte{1};
    const std::span<const std::byte> view(*bytes);
    return region(std::make_shared<MemorySource>(view, std::move(bytes)), 0, tensor.dtype(), tensor.shape());
}

/// Two models that begin as the same.
struct Models {
    AlteredLoader a, b;

    explicit Models(const ModelHeader& header = small_header()) : a(header, 1), b(header, 1) {}

    /// "place: text" of each difference.
    std::vector<std::string> differences() {
        std::vector<std::string> lines;
        for (const Difference& difference : verify(a, b).differences)
            lines.push_back(difference.place + ": " + difference.text);
        return lines;
    }
};

}  // namespace

TEST_CASE("equal models are equal, whatever bits they hold", "[pipeline]") {
    const DType dtype = GENERATE(DType::f32, DType::bf16, DType::f16, DType::f8_e4m3, DType::i64);
    Models models(small_header(dtype));
    const VerifyReport report = verify(models.a, models.b);
    CHECK(report.equal());
    CHECK(report.tensors == 24);
    CHECK(report.header_fields > 30);
    CHECK(report.bytes == expected_model_bytes(small_header(), dtype));
}

TEST_CASE("differing elements are counted, and the first is placed", "[pipeline]") {
    Models models(small_header(DType::bf16));
    models.b.alter_layer = [](TransformerLayer& layer) {
        if (layer.index == 1) layer.fc2_weight = turned(*layer.fc2_weight, {100, 49, 1535});
    };
    const auto lines = models.differences();
    REQUIRE(lines.size() == 1);
    CHECK_THAT(lines[0],
               Catch::Matchers::StartsWith("transformer layer 1 / mlp l1 weight: 3 of 1536 elements differ, the "
                                           "first is [1, 1]: "));
}

TEST_CASE("values are shown, and bits where there is no value", "[pipeline]") {
    const auto ones = [](DType dtype, std::vector<std::uint8_t> element) {
        auto bytes = std::make_shared<std::vector<std::uint8_t>>();
        for (int i = 0; i < 32; ++i) bytes->insert(bytes->end(), element.begin(), element.end());
        return region(std::make_shared<MemorySource>(std::as_bytes(std::span(*bytes)), bytes), 0, dtype, {32});
    };
    const auto describe = [&](DType dtype, const std::vector<std::uint8_t>& element) {
        Models models;
        const Tensor tensor = ones(dtype, element);
        models.a.alter_layer = [&](TransformerLayer& layer) { layer.input_norm_weight = tensor; };
        models.b.alter_layer = [&](TransformerLayer& layer) { layer.input_norm_weight = turned(tensor, {31}); };
        return models.differences().front();
    };
    const std::string place = "transformer layer 0 / input norm weight: 1 of 32 elements differ, the first is [31]: ";
    CHECK(describe(DType::bf16, {0x80, 0x3F}) == place + "1 in A, 1.0078125 in B");
    CHECK(describe(DType::f16, {0x00, 0x3C}) == place + "1 in A, 1.00097656 in B");
    CHECK(describe(DType::f8_e4m3, {0x38}) == place + "0x38 in A, 0x39 in B");
}

TEST_CASE("a tensor of many blocks is compared as one", "[pipeline]") {
    const ModelHeader header = test::llama_header(1, 1, 1, 8, 8, 200'000, 16, DType::f32);
    Models models(header);
    models.b.alter_layer = [](TransformerLayer& layer) {
        layer.fc2_weight = turned(*layer.fc2_weight, {1'599'999, 1'000'000, 700'001});
    };
    const auto lines = models.differences();
    REQUIRE(lines.size() == 1);
    CHECK_THAT(lines[0],
               Catch::Matchers::ContainsSubstring("3 of 1600000 elements differ, the first is [3, 100001]: "));
}

TEST_CASE("types, shapes and absence are differences of their own", "[pipeline]") {
    Models models;
    models.b.alter_layer = [](TransformerLayer& layer) {
        if (layer.index != 0) return;
        layer.input_norm_weight = cast(*layer.input_norm_weight, DType::bf16);
        layer.fc2_weight = layer.gate_weight;
        layer.dense_weight.reset();
        layer.qkv_bias = layer.post_norm_weight;
    };
    CHECK(models.differences() ==
          std::vector<std::string>{"transformer layer 0 / input norm weight: is f32 in A, bf16 in B",
                                   "transformer layer 0 / qkv bias: is missing in A; it has shape [32] in B",
                                   "transformer layer 0 / dense weight: is missing in B; it has shape [32, 32] in A",
                                   "transformer layer 0 / mlp l1 weight: has shape [32, 48] in A, [48, 32] in B"});
}

TEST_CASE("layers and messages that one side lacks are named", "[pipeline]") {
    Models models;
    models.b.alter_header = [](ModelHeader& header) {
        header.num_layers = 2;
        header.tied_embeddings = true;
    };
    CHECK(models.differences() ==
          std::vector<std::string>{"header / num_layers: 3 in A, 2 in B",
                                   "header / tied_embeddings: false in A, true in B",
                                   "transformer layer 2: is missing in B",
                                   "output layer / weight: is missing in B; it has shape [100, 32] in A"});
}

TEST_CASE("header fields are compared where both sides state them", "[pipeline]") {
    Models models;
    models.b.alter_header = [](ModelHeader& header) {
        header.attention.rope_theta = 1e6;
        header.mlp.activation = Activation::gelu_tanh;
        header.norm_epsilon.reset();
        header.max_position_embeddings = 4096;
    };
    CHECK(models.differences() == std::vector<std::string>{"header / max_position_embeddings: 2048 in A, 4096 in B",
                                                           R"(header / activation: "silu" in A, "gelu_tanh" in B)",
                                                           "header / rope_theta: 500000.0 in A, 1000000.0 in B"});
    models.b.alter_header = [](ModelHeader& header) { header.norm_epsilon.reset(); };
    CHECK(verify(models.a, models.b).header_fields + 1 == verify(models.a, models.a).header_fields);
}

TEST_CASE("rows beyond the true vocabulary are left out", "[pipeline]") {
    Models models;
    models.b.alter_header = [](ModelHeader& header) { header.true_vocab_size.reset(); };
    SECTION("where one side states it") {
        models.a.alter_header = [](ModelHeader& header) { header.true_vocab_size = 90; };
        models.b.alter_embeddings = [](Embeddings& message) { message.word = turned(*message.word, {90 * 32}); };
        const VerifyReport report = verify(models.a, models.b);
        CHECK(report.equal());
        CHECK(report.notices ==
              std::vector<std::string>{"10 padded rows of A's vocabulary are left out, it has 90 words",
                                       "10 padded rows of B's vocabulary are left out, it has 90 words"});
        models.b.alter_embeddings = [](Embeddings& message) { message.word = turned(*message.word, {90 * 32 - 1}); };
        CHECK_THAT(models.differences().at(0), Catch::Matchers::ContainsSubstring("1 of 2880 elements differ"));
    }
    SECTION("but not where neither does") {
        models.a.alter_header = [](ModelHeader& header) { header.true_vocab_size.reset(); };
        models.b.alter_embeddings = [](Embeddings& message) { message.word = slice(*message.word, 0, 0, 90); };
        CHECK(models.differences() ==
              std::vector<std::string>{"embeddings / word embeddings: has shape [100, 32] in A, [90, "
                                       "32] in B; if rows are padding, give the option true_vocab_size"});
    }
}

TEST_CASE("two true vocabularies that differ are a difference", "[pipeline]") {
    Models models;
    models.b.alter_header = [](ModelHeader& header) { header.true_vocab_size = 99; };
    CHECK(models.differences() ==
          std::vector<std::string>{"header / true_vocab_size: 100 in A, 99 in B",
                                   "embeddings / word embeddings: has shape [100, 32] in A, [99, 32] in B",
                                   "output layer / weight: has shape [100, 32] in A, [99, 32] in B"});
}

TEST_CASE("both sides may refuse to begin, and have their say", "[pipeline]") {
    Models models;
    models.a.lines = {"old"};
    models.b.lines = {"odd"};
    CHECK(verify(models.a, models.b).notices == std::vector<std::string>{"A: old", "B: odd"});
    models.b.at_begin = [] { throw Error("2 tensors would be lost"); };
    CHECK_THROWS_WITH(verify(models.a, models.b), "2 tensors would be lost");
}

TEST_CASE("progress counts to the total, and a request to stop cancels", "[pipeline]") {
    Models models;
    Progress last;
    verify(models.a, models.b, {.threads = 3, .progress = [&](const Progress& progress) { last = progress; }});
    CHECK(last.bytes == expected_model_bytes(small_header(), DType::f32));
    CHECK(last.total_bytes == last.bytes);
    CHECK(last.message == "output layer");
    std::stop_source stop;
    models.b.alter_layer = [&](TransformerLayer&) { stop.request_stop(); };
    CHECK_THROWS_AS(verify(models.a, models.b, {.stop = stop.get_token()}), Cancelled);
}
