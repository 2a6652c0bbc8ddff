// SPDX-License-Identifier: Apache-2.0
#include "crossdock/container/strict_json.hpp"

#include <string>

#include "support/catch.hpp"

using namespace crossdock;
using namespace std::string_literals;

TEST_CASE("strict JSON gives what nlohmann's parser gives", "[container][strict_json]") {
    const std::string json = R"({"a": [1, {"b": null}], "c": {"b": -1.5, "a": "ü"}, "d": [{"x": 1}, {"x": 2}]})";
    CHECK(parse_strict_json(json) == nlohmann::json::parse(json));
    CHECK(parse_strict_json("3") == 3);
}

TEST_CASE("strict JSON refuses a key that stands twice in one object", "[container][strict_json]") {
    CHECK_THROWS_WITH(parse_strict_json(R"({"a": 1, "a": 1})"), "names the key 'a' twice");
    CHECK_THROWS_WITH(parse_strict_json(R"([{"b": {"a": {"a": 1}, "a": 1}}])"), "names the key 'a' twice");
    CHECK_THROWS_WITH(parse_strict_json(R"({"a": 1, "\u0061": 1})"), "names the key 'a' twice");
}

TEST_CASE("strict JSON refuses a NUL byte, behind which nlohmann's parser would not look", "[container][strict_json]") {
    CHECK_THROWS_WITH(parse_strict_json("{}\0{}"s), "is not valid JSON at byte 2: a NUL byte");
}

TEST_CASE("strict JSON refuses deep nesting", "[container][strict_json]") {
    CHECK_NOTHROW(parse_strict_json(std::string(64, '[') + std::string(64, ']')));
    CHECK_THROWS_WITH(parse_strict_json(std::string(1'000'000, '[')), "nests deeper than 64 levels");
}

TEST_CASE("strict JSON says where a text is wrong", "[container][strict_json]") {
    CHECK_THROWS_WITH(parse_strict_json("{\"a\": \n tru}"),
                      "is not valid JSON at byte 12: syntax error while parsing value - invalid literal");
    CHECK_THROWS_WITH(parse_strict_json(""),
                      "is not valid JSON at byte 1: syntax error while parsing value - unexpected end of input; "
                      "expected '[', '{', or a literal");
    CHECK_THROWS_WITH(parse_strict_json("{} x"),
                      "is not valid JSON at byte 4: syntax error while parsing value - invalid literal");
    CHECK_THROWS_AS(parse_strict_json("[1e999]"), Error);
    CHECK_THROWS_AS(parse_strict_json("[\"\xFF\"]"), Error);
}
