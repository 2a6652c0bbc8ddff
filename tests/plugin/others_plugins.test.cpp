// SPDX-License-Identifier: Apache-2.0
#include <filesystem>
#include <functional>
#include <optional>

#include "crossdock/pipeline/convert.hpp"
#include "crossdock/pipeline/inspect.hpp"
#include "crossdock/pipeline/verify.hpp"
#include "support/altered_loader.hpp"
#include "support/catch.hpp"
#include "support/conversion.hpp"
#include "support/plugins.hpp"
#include "support/temporary_directory.hpp"

using namespace crossdock;
using namespace crossdock::test;
using Catch::Matchers::ContainsSubstring;

// Loaders and savers may be anybody's, and may be wrong. Whatever they do, with checks and without, a conversion ends
// in a model that is whole or in an Error that says what is wrong, and then leaves nothing behind.

namespace {

/// Converts to scratch/out, with a saver that is gone afterwards; what stops it.
template <Loader L>
std::string refused(L& loader, std::string_view saver, const TemporaryDirectory& scratch, bool no_checking) {
    const auto to = make_saver(saver, {{"save_dir", (scratch.path() / "out").string()}});
    return refusal([&] { convert(loader, *to, {.no_checking = no_checking}); });
}

/// Converts with and without checks to each of our savers; every refusal, which must be one.
std::vector<std::string> refusals(const std::function<void(AlteredLoader&)>& alter,
                                  ModelHeader header = small_header(DType::bf16)) {
    std::vector<std::string> lines;
    for (const bool no_checking : {false, true})
        for (const std::string saver : {"llama", "megatron", "mcore"}) {
            INFO(saver << (no_checking ? " without checks" : ""));
            const TemporaryDirectory scratch;
            AlteredLoader loader(header, 1);
            alter(loader);
            lines.push_back(refused(loader, saver, scratch, no_checking));
            CHECK(lines.back() != "");
            CHECK(lines.back().size() < 1500);
            CHECK(std::filesystem::is_empty(scratch.path()));
        }
    return lines;
}

void refuse_layers(const std::function<void(TransformerLayer&)>& alter) {
    refusals([&](AlteredLoader& loader) { loader.alter_layer = alter; });
}

/// A loader that says what it likes: whatever is set replaces what a sound one would send.
class FreeLoader {
public:
    explicit FreeLoader(ModelHeader header) : model_(std::move(header), 1) {}

    std::function<TransformerLayer(std::uint64_t)> make_layer;
    std::optional<Embeddings> embeddings_instead;

    ModelHeader header() { return model_.header(); }
    Embeddings embeddings() { return embeddings_instead ? *embeddings_instead : model_.embeddings(); }
    TransformerLayer layer(std::uint64_t index) { return make_layer ? make_layer(index) : model_.layer(index); }
    FinalNorm final_norm() { return model_.final_norm(); }
    OutputLayer output_layer() { return model_.output_layer(); }

private:
    AlteredLoader model_;
};

}  // namespace

TEST_CASE("a row that is half filled is never committed", "[plugin][others]") {
    refuse_layers([](TransformerLayer& layer) { layer.up_weight.reset(); });
    refuse_layers([](TransformerLayer& layer) { layer.gate_weight.reset(); });
    refuse_layers([](TransformerLayer& layer) {
        if (layer.index == 2) layer.up_weight.reset();
    });
}

TEST_CASE("a tensor without content is refused by name", "[plugin][others]") {
    refuse_layers([](TransformerLayer& layer) { layer.dense_weight = Tensor(); });
    for (const std::string& line : refusals([](AlteredLoader& loader) {
             loader.alter_layer = [](TransformerLayer& layer) {
                 layer.qkv_weight = Tensor(DType::bf16, layer.qkv_weight->shape(), nullptr);
             };
         }))
        CHECK(line == "message 'transformer layer 0': tensor 'qkv weight' of shape [64, 32] has no content");
    refusals([](AlteredLoader& loader) {
        loader.alter_embeddings = [](Embeddings& message) {
            message.word = Tensor(DType::bf16, message.word->shape(), nullptr);
        };
    });
}

TEST_CASE("sizes of a header that would be divided by are refused, checks or not", "[plugin][others]") {
    const std::vector<std::function<void(ModelHeader&)>> alterations{
        [](ModelHeader& h) { h.attention.num_query_groups = 0; },
        [](ModelHeader& h) { h.attention.num_query_groups = 3; },
        [](ModelHeader& h) { h.attention.num_attention_heads = 0; },
        [](ModelHeader& h) { h.attention.kv_channels = 0; },
        [](ModelHeader& h) { h.hidden_size = 0; },
        [](ModelHeader& h) { h.num_layers = 0; },
        [](ModelHeader& h) { h.attention.kv_channels = ~0ULL; },
        [](ModelHeader& h) { h.hidden_size = 1ULL << 62; },
        [](ModelHeader& h) { h.vocab_rows = 1ULL << 62; },
        [](ModelHeader& h) { h.mlp.ffn_hidden_size = 1ULL << 63; },
        [](ModelHeader& h) { h.attention.num_attention_heads = ~0ULL; }};
    for (const auto& alter : alterations) refusals([&](AlteredLoader& loader) { loader.alter_header = alter; });
}

TEST_CASE("layers out of order, twice or beyond the header are refused", "[plugin][others]") {
    refuse_layers([](TransformerLayer& layer) { layer.index += 1; });
    refuse_layers([](TransformerLayer& layer) { layer.index = 0; });
    refuse_layers([](TransformerLayer& layer) { layer.index = ~std::uint64_t{0}; });
}

TEST_CASE("rows that do not make heads are refused", "[plugin][others]") {
    refuse_layers([](TransformerLayer& layer) { layer.qkv_weight = slice(*layer.qkv_weight, 0, 0, 5); });
    refuse_layers([](TransformerLayer& layer) { layer.qkv_weight = slice(*layer.qkv_weight, 0, 0, 32); });
}

TEST_CASE("scalars and tensors of other ranks end in an Error or a model, never in a signal", "[plugin][others]") {
    const Shape shape = GENERATE(Shape{}, Shape{0}, Shape{1}, Shape{0, 0}, Shape{1, 1, 1}, Shape{7, 32});
    const TransformerLayer sound = AlteredLoader(small_header(DType::bf16), 1).layer(0);
    for (const std::string saver : {"llama", "megatron", "mcore"})
        for (const auto& field : tensor_fields<TransformerLayer>) {
            if (!(sound.*field.tensor)) continue;
            INFO(saver << " " << field.name << " " << to_string(shape));
            const TemporaryDirectory scratch;
            AlteredLoader loader(small_header(DType::bf16), 1);
            loader.alter_layer = [&](TransformerLayer& layer) {
                auto& tensor = layer.*field.tensor;
                tensor =
                    reshape(slice(reshape(*tensor, {tensor->element_count()}), 0, 0, shape.element_count()), shape);
            };
            const std::string line = refused(loader, saver, scratch, true);
            CHECK(std::filesystem::exists(scratch.path() / "out") == line.empty());
            CHECK(refused(loader, saver, scratch, false) != "");
        }
}

TEST_CASE("a tensor that the target has no place for is refused, not dropped", "[plugin][others]") {
    for (const std::string saver : {"llama"}) {
        const TemporaryDirectory scratch;
        AlteredLoader loader(small_header(DType::bf16), 1);
        loader.alter_embeddings = [](Embeddings& message) { message.token_type = message.word; };
        CHECK_THAT(refused(loader, saver, scratch, true), ContainsSubstring("tensor 'tokentype embeddings'"));
        CHECK(std::filesystem::is_empty(scratch.path()));
    }
}

TEST_CASE("a shape that claims more than the source holds is an Error", "[plugin][others]") {
    refuse_layers([](TransformerLayer& layer) {
        const Tensor few = slice(*layer.dense_weight, 0, 31, 32);
        layer.dense_weight = Tensor(few.dtype(), layer.dense_weight->shape(), few.recipe());
    });
}

TEST_CASE("a loader that ends early, or throws what is no Error, leaves nothing behind", "[plugin][others]") {
    for (const bool no_checking : {false, true}) {
        const TemporaryDirectory scratch;
        FreeLoader loader(small_header(DType::bf16));
        loader.make_layer = [](std::uint64_t) -> TransformerLayer {
            throw std::out_of_range("vector::_M_range_check");
        };
        CHECK_THROWS(refused(loader, "llama", scratch, no_checking));
        CHECK(std::filesystem::is_empty(scratch.path()));
    }
}

TEST_CASE("two loaders that disagree with their headers can be compared", "[plugin][others]") {
    AlteredLoader a(small_header(), 1), b(small_header(), 1);
    b.alter_layer = [](TransformerLayer& layer) { layer.qkv_weight = slice(*layer.qkv_weight, 0, 0, 5); };
    const VerifyReport report = verify(a, b);
    CHECK(report.differences.size() == 3);
    b.alter_layer = [](TransformerLayer& layer) {
        layer.qkv_weight = Tensor(DType::f32, layer.qkv_weight->shape(), nullptr);
    };
    CHECK_THROWS_AS(verify(a, b), Error);
    CHECK_NOTHROW(inspect(b));
}

TEST_CASE("a layer that is not there is asked of our loaders", "[plugin][others]") {
    const auto loader = load("llama", golden("hf/llama2-gqa"));
    CHECK_THAT(refusal([&] { loader->load<TransformerLayer>(1000); }), ContainsSubstring("there is no layer 1000"));
}

TEST_CASE("a saver is used without convert(), and wrongly", "[plugin][others]") {
    const TemporaryDirectory scratch;
    AlteredLoader loader(small_header(DType::bf16), 1);
    const auto to = make_saver("llama", {{"save_dir", (scratch.path() / "out").string()}});
    SECTION("a layer beyond the header") {
        to->write(loader.header());
        TransformerLayer layer = loader.layer(0);
        layer.index = 99;
        CHECK_THROWS_WITH(to->write(layer), "message 'transformer layer 99': there is no layer 99 of 3");
    }
    SECTION("no header") {
        CHECK_THROWS_AS(to->write(loader.layer(0)), Error);
        CHECK_THROWS_AS(to->write(loader.embeddings()), Error);
        CHECK_THROWS_AS(to->write(loader.final_norm()), Error);
        CHECK_THROWS_AS(to->finish(), Error);
    }
    CHECK_FALSE(std::filesystem::exists(scratch.path() / "out"));
}
