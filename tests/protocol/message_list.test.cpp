// SPDX-License-Identifier: Apache-2.0
#include "crossdock/protocol/message_list.hpp"

#include <string>
#include <type_traits>
#include <variant>
#include <vector>

#include "crossdock/protocol/message_bytes.hpp"
#include "support/catch.hpp"
#include "support/synthetic_model.hpp"

using namespace crossdock;

namespace {

ModelHeader two_layers() { return test::llama_header(2, 4, 2, 8, 24, 40, 50, DType::bf16); }

std::vector<std::string> names_of(const ModelHeader& header) {
    std::vector<std::string> names;
    for_each_message(header, [&](auto key) { names.push_back(message_name(key)); });
    return names;
}

/// Has one message by a function of its name, one by load(), and no other.
struct Named {
    FinalNorm final_norm() { return {.weight = Tensor(DType::f32, Shape{3}, nullptr), .bias = {}}; }
};
struct Loading {
    std::vector<std::uint64_t> asked;

    template <class M>
    M load(std::uint64_t index) {
        asked.push_back(index);
        return {};
    }
    FinalNorm final_norm() { throw Error("load() is asked first"); }
};

}  // namespace

TEST_CASE("messages come in the order of their alternatives", "[protocol]") {
    std::size_t alternative = 0;
    for_each_message_type([&]<class M>() {
        ++alternative;
        CHECK(Message(M{}).index() == alternative);
    });
    CHECK(alternative + 1 == std::variant_size_v<Message>);
}

TEST_CASE("just the messages of the model are visited", "[protocol]") {
    ModelHeader header = two_layers();
    CHECK(names_of(header) == std::vector<std::string>{"embeddings", "transformer layer 0", "transformer layer 1",
                                                       "final norm", "output layer"});
    header.num_layers = 0;
    header.final_norm = false;
    header.tied_embeddings = true;
    header.bert.binary_head = true;
    CHECK(names_of(header) == std::vector<std::string>{"embeddings", "binary head"});
    CHECK(message_count<BertBinaryHead>(header) == 1);
    CHECK(message_count<TransformerLayer>(header) == 0);
}

TEST_CASE("a visit of messages ends where it says so", "[protocol]") {
    for (std::size_t limit = 1; limit <= 5; ++limit) {
        std::size_t count = 0;
        for_each_message(two_layers(), [&](auto) { return ++count < limit; });
        CHECK(count == limit);
    }
}

TEST_CASE("a message is pulled by load(), by its name, or is empty", "[protocol]") {
    Named named;
    CHECK(pull(Key<FinalNorm>{}, named).weight->shape() == Shape{3});
    CHECK_FALSE(pull(Key<OutputLayer>{}, named).weight);
    Loading loading;
    CHECK_NOTHROW(pull(Key<FinalNorm>{}, loading));
    CHECK_NOTHROW(pull(Key<TransformerLayer>{7}, loading));
    CHECK(loading.asked == std::vector<std::uint64_t>{0, 7});
}

TEST_CASE("layers of one model may have other tensors each", "[protocol]") {
    ModelHeader header = two_layers();
    Mlp mlp = header.mlp;
    mlp.ffn_hidden_size = 12;
    mlp.fc2_bias = true;
    Attention attention = header.attention;
    attention.num_query_groups = 4;
    header.other_layers[1] = {.attention = attention, .mlp = mlp};
    test::SyntheticLoader model(header, 1);
    const TransformerLayer plain = model.layer(0), other = model.layer(1);
    CHECK(plain.up_weight->shape() == Shape{40, 24});
    CHECK(other.up_weight->shape() == Shape{12, 24});
    CHECK_FALSE(plain.fc2_bias);
    CHECK(other.fc2_bias->shape() == Shape{24});
    CHECK(plain.qkv_weight->shape() == Shape{64, 24});
    CHECK(other.qkv_weight->shape() == Shape{96, 24});
    std::uint64_t bytes = byte_count(model.embeddings()) + byte_count(model.final_norm()) +
                          byte_count(model.output_layer()) + byte_count(plain) + byte_count(other);
    CHECK(expected_model_bytes(header, DType::bf16) == bytes);
}
