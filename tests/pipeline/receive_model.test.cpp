// SPDX-License-Identifier: Apache-2.0
#include "crossdock/pipeline/receive_model.hpp"

#include <optional>
#include <string>
#include <vector>

#include "support/altered_loader.hpp"
#include "support/catch.hpp"
#include "support/recording_saver.hpp"

using namespace crossdock;
using test::AlteredLoader;
using test::RecordingSaver;

namespace {

/// A receiver and what it needs.
struct Receiving {
    RecordingSaver saver;
    detail::ProgressReporter reporter;
    AlteredLoader loader{test::small_header(), 1};
    detail::ErasedSaver<RecordingSaver&> any_saver{std::in_place, saver};
    ModelReceiver receiver;

    explicit Receiving(bool checking = true, std::optional<DType> dtype = std::nullopt)
        : receiver(any_saver, reporter, checking, dtype) {}
};

}  // namespace

TEST_CASE("the first message is the header", "[pipeline]") {
    Receiving r;
    CHECK_THROWS_WITH(r.receiver.accept(r.loader.embeddings()), "protocol: the first message must be the header");
    CHECK(r.saver.messages.empty());
}

TEST_CASE("a message out of order is refused", "[pipeline]") {
    Receiving r;
    r.receiver.accept(r.loader.header());
    CHECK_THROWS_WITH(r.receiver.accept(r.loader.layer(0)),
                      "protocol: message 'transformer layer 0' came, expected 'embeddings'");
    r.receiver.accept(r.loader.embeddings());
    r.receiver.accept(r.loader.layer(0));
    CHECK_THROWS_WITH(r.receiver.accept(r.loader.layer(0)),
                      "protocol: message 'transformer layer 0' came, expected 'transformer layer 1'");
    CHECK_THROWS_WITH(r.receiver.finish(), "protocol: the loader ended, expected 'transformer layer 1'");
    CHECK_FALSE(r.saver.is_finished);
}

TEST_CASE("without checks no tensor is compared with the header, and all else is as ever", "[pipeline]") {
    Receiving r(false);
    CHECK_THROWS_WITH(r.receiver.accept(r.loader.layer(2)), "protocol: the first message must be the header");
    r.receiver.accept(r.loader.header());
    Embeddings other = r.loader.embeddings();
    other.word = slice(*other.word, 0, 0, 7);
    other.norm_bias = slice(*other.word, 0, 0, 1);
    r.receiver.accept(other);
    CHECK(r.saver.tensors.size() == 2);
    CHECK_THROWS_WITH(r.receiver.accept(r.loader.layer(1)),
                      "protocol: message 'transformer layer 1' came, expected 'transformer layer 0'");
    CHECK_THROWS_WITH(r.receiver.finish(), "protocol: the loader ended, expected 'transformer layer 0'");
    CHECK_FALSE(r.saver.is_finished);
}

TEST_CASE("a message that is not sound is refused, with checks and without", "[pipeline]") {
    const bool checking = GENERATE(true, false);
    Receiving r(checking);
    r.receiver.accept(r.loader.header());
    r.receiver.accept(r.loader.embeddings());
    TransformerLayer layer = r.loader.layer(0);
    SECTION("a tensor without content") {
        layer.dense_weight = Tensor(DType::f32, layer.dense_weight->shape(), nullptr);
        CHECK_THROWS_WITH(r.receiver.accept(layer),
                          "message 'transformer layer 0': tensor 'dense weight' of shape [32, 32] has no content");
    }
    SECTION("a gate without what it multiplies") {
        layer.up_weight.reset();
        if (!checking)
            CHECK_THROWS_WITH(r.receiver.accept(layer),
                              "message 'transformer layer 0': has the weights of the MLP's gate but not of its up "
                              "projection");
        else
            CHECK_THROWS_AS(r.receiver.accept(layer), Error);
    }
    CHECK(r.saver.messages == std::vector<std::string>{"header", "embeddings"});
}

TEST_CASE("tensors are counted, and cast where that is asked", "[pipeline]") {
    Receiving r(true, DType::bf16);
    r.receiver.accept(r.loader.header());
    r.receiver.accept(r.loader.embeddings());
    r.receiver.accept(r.loader.layer(0));
    CHECK(r.saver.header.params_dtype == DType::bf16);
    CHECK(r.receiver.tensors() == 8);
    for (const auto& [name, tensor] : r.saver.tensors) CHECK(tensor.dtype() == DType::bf16);
}

TEST_CASE("a header whose sizes cannot be is refused before the saver sees it", "[pipeline]") {
    Receiving r;
    r.loader.alter_header = [](ModelHeader& header) { header.attention.kv_channels = 7; };
    CHECK_THROWS_WITH(r.receiver.accept(r.loader.header()),
                      "message 'header': the head size is 7, expected an even one: rotary positions turn elements in "
                      "pairs");
    CHECK(r.saver.messages.empty());
}
