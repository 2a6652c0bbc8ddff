// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <string>
#include <vector>

#include "crossdock/container/torch/reader.hpp"
#include "support/catch.hpp"
#include "support/memory_source.hpp"
#include "support/zip_bytes.hpp"

using namespace crossdock;
using namespace crossdock::test;
using Catch::Matchers::ContainsSubstring;
using pickle::TensorPlace;
using pickle::Value;

// A dict's parameters that a reader sets apart, so that a million of them are no values.

namespace apart_test {

const std::string call = "ctorch._utils\n_rebuild_tensor_v2\n";

std::string text(const std::string& content) {
    return std::string("X") + static_cast<char>(content.size()) + std::string(3, '\0') + content;
}

/// A tensor of one float, whose last argument is `hooks`.
std::string tensor(const std::string& hooks = "N") {
    const std::string storage = "(" + text("storage") + "ctorch\nFloatStorage\n" + text("0") + text("cpu") + "K\x01tQ";
    return call + "(" + storage + std::string("K\0", 2) + "K\x01\x85K\x01\x85\x89" + hooks + "tR";
}

Value read(const std::string& content, TensorPlace place, pickle::Limits limits = {}) {
    return torch::read(
        memory_source(zip_bytes(
            {{"p/data.pkl", "\x80\x02" + content + "."}, {"p/version", "3\n"}, {"p/data/0", std::string(4, '\0')}})),
        limits, place);
}

std::string refusal(const std::string& content, TensorPlace place, pickle::Limits limits = {}) {
    try {
        read(content, place, limits);
    } catch (const Error& error) {
        return error.what();
    }
    return "accepted";
}

std::vector<std::string> names_of(const Value& root) {
    std::vector<std::string> names;
    const TensorDict taken = torch::take_tensors(root, "x.pt");
    for (const NamedTensor& entry : taken.entries()) {
        CHECK(entry.tensor.bytes().size() == 4);
        CHECK(entry.file == "x.pt");
        names.push_back(entry.name);
    }
    return names;
}

/// Entries of a dict, one text or value after the other.
std::string dict(const std::string& entries) { return "}(" + entries + "u"; }

const std::string model = dict(text("a.weight") + tensor() + text("none.of") + "N" + text("note") + "K\x05" +
                               text("b.weight") + tensor() + text("plain") + tensor() + text("c.bias") + tensor());
const std::string file = dict(text("model") + model + text("iteration") + "K\x07");

}  // namespace apart_test

using namespace apart_test;

TEST_CASE("torch reader sets parameters of dicts apart where it is asked to", "[container][torch]") {
    const Value root = read(file, TensorPlace::apart);
    CHECK(root.find("iteration")->as_integer() == 7);
    const Value* found = root.find("model");
    REQUIRE(found);
    REQUIRE(found->tensors_apart());
    CHECK(found->tensors_apart()->size() == 3);
    CHECK(found->tensors_apart()->at(1).name == "b.weight");
    REQUIRE(found->entries()->size() == 2);
    CHECK(found->find("note")->as_integer() == 5);
    CHECK(found->find("plain")->get<Tensor>());
    CHECK(names_of(root) ==
          std::vector<std::string>{"model.a.weight", "model.b.weight", "model.c.bias", "model.plain"});
    CHECK(names_of(*found).empty());  // they were taken
}

TEST_CASE("torch reader leaves tensors in their entries unless it is asked", "[container][torch]") {
    const Value root = read(file, TensorPlace::entries);
    CHECK(root.find("model")->find("a.weight")->get<Tensor>());
    CHECK(root.find("model")->tensors_apart()->empty());
    CHECK(names_of(root) ==
          std::vector<std::string>{"model.a.weight", "model.b.weight", "model.plain", "model.c.bias"});
}

TEST_CASE("torch reader keeps a parameter that is mentioned twice where it is", "[container][torch]") {
    const std::string twice = dict(text("a.weight") + tensor() + "q\x01" + text("b.weight") + "h\x01");
    const Value root = read(twice, TensorPlace::apart);
    CHECK(root.tensors_apart()->empty());
    CHECK(root.find("b.weight")->get<Tensor>());
    CHECK(names_of(root) == std::vector<std::string>{"a.weight", "b.weight"});
}

TEST_CASE("torch reader sets parameters apart however a pickle fills its dict", "[container][torch]") {
    const std::string pair = text("a.weight") + tensor(), other = text("b.weight") + tensor();
    for (const std::string& filled :
         {"}" + pair + "s" + other + "s", "}(" + pair + "u(" + other + "u", "(" + pair + other + "d",
          "ccollections\nOrderedDict\n)R(" + pair + other + "u"}) {
        const Value root = read(filled, TensorPlace::apart);
        CHECK(root.tensors_apart()->size() == 2);
        CHECK(names_of(root) == std::vector<std::string>{"a.weight", "b.weight"});
    }
}

TEST_CASE("torch reader finds parameters of dicts in lists, and of shared ones", "[container][torch]") {
    const std::string inner = dict(text("a.weight") + tensor());
    CHECK(names_of(read("](" + inner + "e", TensorPlace::apart)) == std::vector<std::string>{"0.a.weight"});
    const Value shared = read(dict(text("x") + inner + "q\x01" + text("y") + "h\x01"), TensorPlace::apart);
    CHECK(names_of(shared) == std::vector<std::string>{"x.a.weight", "y.a.weight"});
    CHECK(names_of(shared).size() == 2);  // nothing was taken of what both refer to
    CHECK_THROWS_WITH(
        torch::take_tensors(read("}(" + text("a.w") + tensor() + text("a.w") + tensor() + "u", TensorPlace::apart),
                            "x.pt"),
        "x.pt: tensor 'a.w' stands twice, first in x.pt");
}

TEST_CASE("torch reader refuses names and tensors in turn behind a dict that does not get them", "[container][torch]") {
    const std::string turns = text("a.b") + tensor() + text("c.d") + tensor();
    CHECK(refusal("(}(" + turns + "tt", TensorPlace::entries) == "accepted");
    CHECK_THAT(refusal("(}(" + turns + "tt", TensorPlace::apart), ContainsSubstring("names and tensors in turn"));
    CHECK_THAT(refusal("(}(" + turns + "1t", TensorPlace::apart), ContainsSubstring("names and tensors in turn"));
    CHECK_THAT(refusal("}(" + text("a.b") + tensor() + text("c.d") + "00", TensorPlace::apart),
               ContainsSubstring("names and tensors in turn"));
}

TEST_CASE("a parameter that is set apart costs no more than itself", "[container][torch]") {
    std::string many;
    for (int i = 0; i < 300; ++i) many += text("w." + std::to_string(i)) + tensor();
    CHECK(names_of(read(dict(many), TensorPlace::apart, {1000, 150'000})).size() == 300);
}

TEST_CASE("what a tensor's call holds counts where it stays", "[container][torch]") {
    constexpr pickle::Limits limits{1000, 500'000};
    const std::string nones(1000, 'N');
    std::string dropped, recalled,
        added =
            "]q\x01"
            "0";
    for (char i = 2; i < 60; ++i) {
        const std::string name = text("w." + std::to_string(static_cast<int>(i)));
        dropped += name + tensor("(" + nones + "t");
        recalled += name + tensor("(" + nones + "tq" + i);
        added += name + tensor("h\x01(" + nones + "e");
    }
    std::string again;
    for (char i = 2; i < 60; ++i) again += std::string("h") + i + "0";
    CHECK(refusal(dict(dropped), TensorPlace::apart, limits) == "accepted");
    CHECK_THAT(refusal(dict(recalled) + again, TensorPlace::apart, limits), ContainsSubstring("need more than 500000"));
    CHECK_THAT(refusal("]q\x01"
                       "0" +
                           dict(added.substr(4)),
                       TensorPlace::apart, limits),
               ContainsSubstring("need more than 500000"));
}
