// SPDX-License-Identifier: Apache-2.0
#include "crossdock/protocol/sequence.hpp"

#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/synthetic_model.hpp"

using namespace crossdock;
using namespace crossdock::test;
using Catch::Matchers::ContainsSubstring;

namespace {

ModelHeader two_layers() { return llama_header(2, 4, 2, 8, 24, 40, 50, DType::bf16); }

std::vector<Message> all_messages(const ModelHeader& header) {
    SyntheticLoader model(header, 1);
    return {header, model.embeddings(), model.layer(0), model.layer(1), model.final_norm(), model.output_layer()};
}

/// The text of the error that the messages end with.
std::string error_of(const std::vector<Message>& messages) {
    try {
        SequenceChecker checker;
        for (const Message& message : messages) checker.accept(message);
        checker.finish();
    } catch (const Error& error) {
        return error.what();
    }
    return {};
}

}  // namespace

TEST_CASE("sequence accepts a whole model and nothing less", "[protocol][sequence]") {
    const std::vector<Message> messages = all_messages(two_layers());
    CHECK(error_of(messages).empty());
    for (std::size_t count = 0; count < messages.size(); ++count)
        CHECK_THAT(error_of({messages.begin(), messages.begin() + static_cast<std::ptrdiff_t>(count)}),
                   ContainsSubstring("the loader ended"));
}

TEST_CASE("sequence names the message that came and the one that was due", "[protocol][sequence]") {
    std::vector<Message> messages = all_messages(two_layers());
    std::swap(messages[2], messages[3]);
    CHECK(error_of(messages) == "protocol: message 'transformer layer 1' came, expected 'transformer layer 0'");
    messages = all_messages(two_layers());
    messages.erase(messages.begin());
    CHECK(error_of(messages) == "protocol: the first message must be the header");
    messages = all_messages(two_layers());
    messages.push_back(messages[5]);
    CHECK(error_of(messages) == "protocol: message 'output layer' came, expected the end");
    messages = all_messages(two_layers());
    messages.insert(messages.begin() + 3, messages[2]);
    CHECK(error_of(messages) == "protocol: message 'transformer layer 0' came, expected 'transformer layer 1'");
}

TEST_CASE("sequence leaves out the output layer of a tied model", "[protocol][sequence]") {
    ModelHeader header = two_layers();
    header.tied_embeddings = true;
    std::vector<Message> messages = all_messages(header);
    CHECK(error_of(messages) == "protocol: message 'output layer' came, expected the end");
    messages.pop_back();
    CHECK(error_of(messages).empty());
}

TEST_CASE("a message is held against the header", "[protocol][sequence]") {
    const ModelHeader header = two_layers();
    SyntheticLoader model(header, 1);
    TransformerLayer layer = model.layer(1);
    CHECK_NOTHROW(check_message(layer, header));

    layer.up_weight.reset();
    CHECK_THROWS_WITH(
        check_message(layer, header),
        "message 'transformer layer 1': tensor 'mlp l0 weight V' is missing; the header asks for [40, 24]");
    layer = model.layer(1);
    layer.qkv_bias = layer.input_norm_weight;
    CHECK_THROWS_WITH(check_message(layer, header),
                      "message 'transformer layer 1': tensor 'qkv bias' of shape [24] is "
                      "unexpected; the header says that there is none");
    layer = model.layer(1);
    layer.dense_weight = transpose(*layer.dense_weight);
    CHECK_THROWS_WITH(check_message(layer, header),
                      "message 'transformer layer 1': tensor 'dense weight' has shape [32, 24], the header asks for "
                      "[24, 32]");
}

TEST_CASE("a layer that differs is held against what the header says of it", "[protocol][sequence]") {
    ModelHeader header = two_layers();
    SyntheticLoader plain(header, 1);
    header.other_layers[1].mlp = header.mlp;
    header.other_layers[1].mlp->ffn_hidden_size = 12;
    SyntheticLoader model(header, 1);
    CHECK_NOTHROW(check_message(model.layer(0), header));
    CHECK_NOTHROW(check_message(model.layer(1), header));
    CHECK_THROWS_WITH(check_message(plain.layer(1), header),
                      "message 'transformer layer 1': tensor 'mlp l0 weight W' has shape [40, 24], the header asks for "
                      "[12, 24]");
}
