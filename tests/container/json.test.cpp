// SPDX-License-Identifier: Apache-2.0
#include "crossdock/container/json.hpp"

#include <cmath>
#include <limits>

#include "crossdock/container/json_text.hpp"
#include "support/catch.hpp"

using namespace crossdock;
using namespace std::string_literals;

namespace {

std::string refusal(std::string_view json) {
    try {
        parse_json(json);
    } catch (const Error& error) {
        return error.what();
    }
    return "";
}

}  // namespace

TEST_CASE("JSON is read as nlohmann's parser reads it", "[container][json]") {
    for (
        const std::string& json :
        {R"( {"a": [1, -2, 3.5, -0, 1e3, true, false, null, "é\n\u00e9\ud83d\ude00\"\\\/\b\f\r\t", {}], "b": {"a": []}} )"s,
         "3"s, "\"\""s, "[]"s, "\xEF\xBB\xBF{}"s, "18446744073709551615"s, "18446744073709551616"s,
         "-9223372036854775808"s, "-9223372036854775809"s, "[1E-7, 0.1, 123456789012345678901234567890]"s,
         "\t[\r\n1 , 2 ] "s, "\"\x7F\xF4\x8F\xBF\xBF\""s}) {
        INFO(json);
        const Json parsed = parse_json(json), expected = Json::parse(json);
        CHECK(parsed == expected);
        CHECK(parsed.type() == expected.type());
        CHECK(json_text(parsed) == expected.dump(2));
        CHECK(json_text(parsed, 0) == expected.dump());
    }
}

TEST_CASE("JSON keeps the order of its keys", "[container][json]") {
    CHECK(json_text(parse_json(R"({"b": 1, "a": {"d": 2, "c": 3}})"), 0) == R"({"b":1,"a":{"d":2,"c":3}})");
}

TEST_CASE("JSON: what Python writes for floats that are not finite comes and goes", "[container][json]") {
    const Json read = parse_json(R"({"limit": [0.0, Infinity, -Infinity], "x": NaN})");
    CHECK(read["limit"][1] == std::numeric_limits<double>::infinity());
    CHECK(read["limit"][2] == -std::numeric_limits<double>::infinity());
    CHECK(std::isnan(read["x"].get<double>()));
    CHECK(json_text(read, 0) == R"({"limit":[0.0,Infinity,-Infinity],"x":NaN})");
    CHECK(refusal("[Inf]") == "is not valid JSON at byte 1: expected a value, found 'I'");
    CHECK(refusal("[-NaN]") == "is not valid JSON at byte 2: expected a digit, found 'N'");
    CHECK(refusal("[nan]") == "is not valid JSON at byte 1: expected a value, found 'n'");
}

TEST_CASE("JSON refuses a key that stands twice in one object", "[container][json]") {
    CHECK(refusal(R"({"a": 1, "b": 2, "a": 1})") == "names the key 'a' twice");
    CHECK(refusal(R"([{"b": {"c": 1, "a": {"a": 1}, "a": 1}}])") == "names the key 'a' twice");
    CHECK(refusal(R"({"a": 1, "\u0061": 1})") == "names the key 'a' twice");
}

TEST_CASE("JSON refuses deep nesting, long before a stack overflows", "[container][json]") {
    CHECK(refusal(std::string(64, '[') + std::string(64, ']')) == "");
    CHECK(refusal(std::string(65, '[') + std::string(65, ']')) == "nests deeper than 64 levels");
    CHECK(refusal(std::string(1'000'000, '[')) == "nests deeper than 64 levels");
}

TEST_CASE("JSON with many keys takes no time that grows with their square", "[container][json]") {
    std::string json = "{";
    for (int i = 0; i < 200'000; ++i) json += (i ? ",\"" : "\"") + std::to_string(i) + "\":[]";
    CHECK(parse_json(json + "}").size() == 200'000);
    CHECK(refusal(json + ",\"777\":1}") == "names the key '777' twice");
}

TEST_CASE("JSON says where a text is wrong, and what was found there", "[container][json]") {
    CHECK(refusal("") == "is not valid JSON at byte 0: expected a value, found the end");
    CHECK(refusal("{\"a\": \n tru}") == "is not valid JSON at byte 8: expected a value, found 't'");
    CHECK(refusal("{} x") == "is not valid JSON at byte 3: expected nothing more, found 'x'");
    CHECK(refusal("{}\0{}"s) == "is not valid JSON at byte 2: expected nothing more, found the byte 0");
    CHECK(refusal("[1 2]") == "is not valid JSON at byte 3: expected ',' or ']', found '2'");
    CHECK(refusal("[1,]") == "is not valid JSON at byte 3: expected a value, found ']'");
    CHECK(refusal("{a:1}") == "is not valid JSON at byte 1: expected a key in quotes, found 'a'");
    CHECK(refusal("{\"a\" 1}") == "is not valid JSON at byte 5: expected ':', found '1'");
    CHECK(refusal("[01]") == "is not valid JSON at byte 2: expected ',' or ']', found '1'");
    CHECK(refusal("[1.]") == "is not valid JSON at byte 3: expected a digit, found ']'");
    CHECK(refusal("[1e999]") == "is not valid JSON at byte 1: a number that no double holds");
    CHECK(refusal("[+1]") == "is not valid JSON at byte 1: expected a value, found '+'");
    CHECK(refusal("// x\n1") == "is not valid JSON at byte 0: expected a value, found '/'");
}

TEST_CASE("JSON refuses texts that are none", "[container][json]") {
    CHECK(refusal("\"a") == "is not valid JSON at byte 2: a string without end");
    CHECK(refusal("\"\0\""s) == "is not valid JSON at byte 1: a NUL byte");
    CHECK(refusal("\"\n\"") == "is not valid JSON at byte 1: a control character in a string");
    CHECK(refusal("\"\\x\"") == "is not valid JSON at byte 1: a backslash that begins no escape");
    CHECK(refusal("\"\\") == "is not valid JSON at byte 1: a backslash that begins no escape");
    CHECK(refusal("\"\\u12\"") == "is not valid JSON at byte 1: \\u without four hexadecimal digits");
    CHECK(refusal("\"\\u+123\"") == "is not valid JSON at byte 1: \\u without four hexadecimal digits");
    CHECK(refusal(R"("\ud800x")") == "is not valid JSON at byte 7: half of a surrogate pair, which is no character");
    CHECK(refusal(R"("\udc00")") == "is not valid JSON at byte 7: half of a surrogate pair, which is no character");
    for (const std::string bytes : {"\x80", "\xC3", "\xC0\xAF", "\xE0\x9F\xBF", "\xED\xA0\x80", "\xF0\x8F\xBF\xBF",
                                    "\xF4\x90\x80\x80", "\xF8\x88\x80\x80\x80", "\xE2\x82"})
        CHECK(refusal("\"" + bytes + "\"") == "is not valid JSON at byte 1: a string that is not UTF-8");
}

TEST_CASE("JSON errors name the text and stay on a screen", "[container][json]") {
    CHECK_THROWS_WITH(parse_json("", "config.json"),
                      "config.json: is empty; the download did not finish, get it again");
    CHECK_THROWS_WITH(parse_json("{", "config.json"),
                      Catch::Matchers::StartsWith("config.json: is not valid JSON at byte 1: "));
    const std::string key(100'000, 'k');
    CHECK(refusal("{\"" + key + "\":1,\"" + key + "\":1}").size() < 200);
    CHECK(json_shown(Json(key)).size() < 200);
}

TEST_CASE("JSON is not written from a text that is not UTF-8", "[container][json]") {
    CHECK_THROWS_WITH(json_text(Json("\xFF")), "a text that is not UTF-8 cannot be written as JSON");
    CHECK(json_shown(Json("\xFF")) == "a text that is not UTF-8");
}

TEST_CASE("JSON that nests deeply is indented for some levels only", "[container][json]") {
    Json nested = Json::array({1, 2});
    for (int level = 0; level < 60; ++level) nested = Json::array({std::move(nested), 1, 2});
    CHECK(json_text(nested).size() < 10'000);
    CHECK(parse_json(json_text(nested)) == nested);
    CHECK(json_text(Json{{"a", {1, 2}}}) == Json{{"a", {1, 2}}}.dump(2));
}
