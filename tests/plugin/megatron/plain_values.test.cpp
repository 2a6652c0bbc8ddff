// SPDX-License-Identifier: Apache-2.0
#include "crossdock/plugin/megatron/plain_values.hpp"

#include <string>

#include "crossdock/container/torch/reader.hpp"
#include "crossdock/plugin/megatron/args_in_pickle.hpp"
#include "support/catch.hpp"
#include "support/conversion.hpp"

using namespace crossdock;
using namespace crossdock::test;
using Catch::Matchers::ContainsSubstring;

namespace {

/// A file of tests/data/torch that Python wrote under this protocol of pickle.
pickle::Value arguments(int protocol) {
    return torch::read(golden("torch") / to_text("arguments_protocol", protocol, ".pt"));
}

}  // namespace

TEST_CASE("arguments are read from whatever has names for them", "[plugin][megatron]") {
    const int protocol = GENERATE(2, 5);
    const pickle::Value root = arguments(protocol);
    for (const char* kind : {"dict", "ordered", "simple", "data", "slots"}) {
        INFO(kind);
        const MegatronArgs args = read_args(root.find(kind));
        CHECK(args.stated);
        CHECK(args.values == Json{{"hidden_size", 32}, {"rotary_base", 500000}});
        CHECK(args.not_understood.empty());
    }
    CHECK_FALSE(read_args(nullptr).stated);
}

TEST_CASE("arguments without names are refused", "[plugin][megatron]") {
    const pickle::Value root = arguments(GENERATE(2, 5));
    for (const char* kind : {"frozen", "point", "number"}) {
        INFO(kind);
        CHECK_THAT(refusal([&] { read_args(root.find(kind)); }), ContainsSubstring("whose values have no names"));
    }
}

TEST_CASE("numpy's, PyTorch's and Python's values are read as what they hold", "[plugin][megatron]") {
    const MegatronArgs args = read_args(arguments(GENERATE(2, 5)).find("values"));
    const Json expected{{"int64", 32},
                        {"int32", -4},
                        {"uint8", 255},
                        {"float64", 5e5},
                        {"float32", 1e-3},
                        {"float16", 0.5},
                        {"true", true},
                        {"text", "rope"},
                        {"raw_text", "rope"},
                        {"big_endian", Json::array({1, 2})},
                        {"array", 7},
                        {"vector", Json::array({0, 1, 2})},
                        {"tensor", 32},
                        {"bf16", 0.5},
                        {"row", Json::array({1.5, 2.5})},
                        {"no", false},
                        {"count", 5},
                        {"path", "/a/b"},
                        {"device", "cuda:1"},
                        {"size", Json::array({2, 3})},
                        {"dtype", "torch.bfloat16"},
                        {"nested", {{"a", Json::array({1, Json::array({2})})}}},
                        {"none", nullptr}};
    for (const auto& [name, value] : expected.items()) {
        INFO(std::string(name));
        REQUIRE(args.values.contains(name));
        CHECK(args.values[name] == value);
    }
    // Python 3.11 names an enumeration's member, other releases give its value.
    const std::string norm = args.values["norm"].get<std::string>();
    CHECK((norm == "rms" || norm == "RMSNorm"));
    CHECK(args.not_understood.empty());
}

TEST_CASE("what is no plain value is told, and never left out", "[plugin][megatron]") {
    const MegatronArgs args = read_args(arguments(GENERATE(2, 5)).find("strange"));
    CHECK(args.values.empty());
    CHECK(args.not_understood.size() == 12);
    CHECK(args.not_understood.at("infinite") == "the number inf");
    CHECK(args.not_understood.at("thing") == "an object of private_code.Thing");
    CHECK(args.not_understood.at("list") == "a list");
    const ConfigTable table{config::entry({"hidden_size", "thing"}, field::hidden_size)};
    CHECK(refusal([&] { require_understood(table, args.not_understood, "args of X"); }) ==
          "args of X: 'thing' is an object of private_code.Thing, which is not understood; expected a plain number, "
          "text, list or None");
}

TEST_CASE("lists that share their parts are not walked as the tree that they spell", "[plugin][megatron]") {
    pickle::Value list = pickle::List{{pickle::Value(1), pickle::Value(1)}};
    for (int level = 0; level < 30; ++level) list = pickle::List{{list, list}};
    const pickle::Value args = pickle::Dict{{{pickle::Value("bomb"), list}}};
    CHECK_THAT(refusal([&] { read_args(&args); }), ContainsSubstring("hold more than any arguments"));
}

TEST_CASE("plain values become the Namespace that Megatron loads", "[plugin][megatron]") {
    const Json json{{"n", 1}, {"dtype", "torch.bfloat16"}, {"name", "torch.nn.init"}, {"map", {{"a", 1}}}};
    const pickle::Value made = namespace_of_json(json);
    CHECK(made.attribute("dtype")->get<pickle::Global>());
    CHECK(made.attribute("name")->as_string());
    CHECK(read_args(&made).values == json);
}
