// SPDX-License-Identifier: Apache-2.0
#include "crossdock/core/name_table.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support/catch.hpp"

using namespace crossdock;

TEST_CASE("name table numbers names in the order in which they come", "[core][name_table]") {
    NameTable table;
    CHECK(table.find("a") == std::nullopt);
    CHECK(table.add("a") == std::pair<std::size_t, bool>(0, true));
    CHECK(table.add("") == std::pair<std::size_t, bool>(1, true));
    CHECK(table.add("a") == std::pair<std::size_t, bool>(0, false));
    CHECK(table.find("") == std::optional<std::size_t>(1));
    CHECK(table.find("b") == std::nullopt);
    CHECK(table[0] == "a");
    CHECK(table.size() == 2);
}

TEST_CASE("name table finds every name of many, long ones too", "[core][name_table]") {
    NameTable table;
    std::vector<std::string> names;
    for (std::size_t i = 0; i < 20000; ++i)
        names.push_back(std::to_string(i) + std::string(i % 977 == 0 ? 70000 : i % 60, 'x'));
    for (std::size_t i = 0; i < names.size(); ++i)
        REQUIRE(table.add(names[i]) == std::pair<std::size_t, bool>(i, true));
    for (std::size_t i = 0; i < names.size(); ++i) {
        REQUIRE(table.find(names[i]) == std::optional<std::size_t>(i));
        REQUIRE(table[i] == names[i]);
    }
}

TEST_CASE("a name stays where it is when others come and when the table is moved", "[core][name_table]") {
    NameTable table;
    table.add("first");
    const std::string_view first = table[0];
    for (int i = 0; i < 1000; ++i) table.add(std::to_string(i));
    const NameTable moved = std::move(table);
    CHECK(moved[0].data() == first.data());
    CHECK(first == "first");
}
