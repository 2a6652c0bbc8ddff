// SPDX-License-Identifier: Apache-2.0
#include "crossdock/protocol/carried_text.hpp"

#include <stdexcept>
#include <string>

#include "support/catch.hpp"

using namespace crossdock;

TEST_CASE("a carried text is parsed once, for all of its copies", "[protocol]") {
    int parsed = 0;
    const auto length = [&parsed](const std::string& text) {
        ++parsed;
        return text.size();
    };
    const CarriedText text(std::string("four"));
    const CarriedText copy = text;
    CHECK(copy.as<std::size_t>(length) == 4);
    CHECK(&text.as<std::size_t>(length) == &copy.as<std::size_t>(length));
    CHECK(parsed == 1);
    CHECK(text.text() == "four");
}

TEST_CASE("a carried text whose value is known is not parsed, and one that cannot be parsed is tried again",
          "[protocol]") {
    const auto fail = [](const std::string&) -> int { throw std::runtime_error("no number"); };
    CHECK(CarriedText("1", 1).as<int>(fail) == 1);
    const CarriedText text(std::string("1"));
    CHECK_THROWS_AS(text.as<int>(fail), std::runtime_error);
    CHECK(text.as<int>([](const std::string&) { return 2; }) == 2);
}
