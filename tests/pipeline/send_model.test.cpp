// SPDX-License-Identifier: Apache-2.0
#include "crossdock/pipeline/send_model.hpp"

#include <string>
#include <variant>
#include <vector>

#include "support/altered_loader.hpp"
#include "support/catch.hpp"

using namespace crossdock;
using test::AlteredLoader;

namespace {

std::string name_of(const ModelHeader&) { return "header"; }
template <class M>
std::string name_of(const M& message) {
    return message_name(message);
}

/// The names of what is sent, at most `limit` of them.
std::vector<std::string> sent(AlteredLoader& loader, std::size_t limit = 100) {
    std::vector<std::string> names;
    send_model(loader, [&](const Message& message) {
        names.push_back(std::visit([](const auto& content) { return name_of(content); }, message));
        return names.size() < limit;
    });
    return names;
}

}  // namespace

TEST_CASE("a model is sent in protocol order", "[pipeline]") {
    AlteredLoader loader(test::small_header(), 1);
    CHECK(sent(loader) == std::vector<std::string>{"header", "embeddings", "transformer layer 0", "transformer layer 1",
                                                   "transformer layer 2", "final norm", "output layer"});
}

TEST_CASE("messages that the header excludes are not asked for", "[pipeline]") {
    ModelHeader header = test::small_header();
    header.tied_embeddings = true;
    header.final_norm = false;
    AlteredLoader loader(header, 1);
    CHECK(sent(loader).back() == "transformer layer 2");
}

TEST_CASE("a BERT ends with its heads", "[pipeline]") {
    ModelHeader header = test::small_header();
    header.num_layers = 0;
    header.tied_embeddings = header.bert.pooler = header.bert.lm_head = header.bert.binary_head = true;
    AlteredLoader loader(header, 1);
    CHECK(sent(loader) ==
          std::vector<std::string>{"header", "embeddings", "final norm", "pooler", "lm head", "binary head"});
}

TEST_CASE("sending stops when nobody listens", "[pipeline]") {
    AlteredLoader loader(test::small_header(), 1);
    for (std::size_t limit = 1; limit <= 7; ++limit) CHECK(sent(loader, limit).size() == limit);
}

TEST_CASE("a loader that refuses to begin has sent nothing", "[pipeline]") {
    AlteredLoader loader(test::small_header(), 1);
    loader.at_begin = [] { throw Error("2 tensors would be lost"); };
    CHECK_THROWS_WITH(send_model(loader, [](const Message&) -> bool { throw Error("sent"); }),
                      "2 tensors would be lost");
}
