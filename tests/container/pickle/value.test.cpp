// SPDX-License-Identifier: Apache-2.0
#include "crossdock/container/pickle/value.hpp"

#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>

#include "support/catch.hpp"

using namespace crossdock;
using namespace crossdock::pickle;

static_assert(std::is_same_v<decltype(Value(true).get<bool>()), const bool*>);

TEST_CASE("pickle value tells its type apart", "[container][pickle]") {
    CHECK(Value().is_none());
    CHECK(Value(true).as_bool() == true);
    CHECK(Value(7).as_integer() == 7);
    CHECK(Value(0.5).as_float() == 0.5);
    CHECK(*Value("text").as_string() == "text");
    CHECK(Value(std::numeric_limits<std::int64_t>::min()).as_integer() == std::numeric_limits<std::int64_t>::min());
}

TEST_CASE("pickle value reads an int as a float, but no bool as an int", "[container][pickle]") {
    CHECK(Value(3).as_float() == 3.0);
    CHECK_FALSE(Value(true).as_integer());
    CHECK_FALSE(Value(1).as_bool());
    CHECK_FALSE(Value("1").as_integer());
    CHECK(Value(1).as_string() == nullptr);
}

TEST_CASE("pickle value finds entries by text, the last one of equal keys", "[container][pickle]") {
    const Value dict = Dict{{{1, "one"}, {"a", 2}, {"a", 3}}};
    CHECK(dict.find("a")->as_integer() == 3);
    CHECK(dict.find("b") == nullptr);
    CHECK(Value(1).find("a") == nullptr);
}

TEST_CASE("pickle value sees mapping classes as mappings", "[container][pickle]") {
    Object ordered;
    ordered.module = "collections";
    ordered.name = "OrderedDict";
    CHECK(Value(ordered).entries()->empty());
    Object other;
    other.module = "private_code";
    other.name = "Settings";
    CHECK(Value(other).entries() == nullptr);
    other.entries = {{"a", 1}};
    CHECK(Value(other).find("a")->as_integer() == 1);
}

TEST_CASE("pickle value finds attributes in dicts and in slots", "[container][pickle]") {
    Object object;
    object.state = Dict{{{"depth", 2}}};
    CHECK(Value(object).attribute("depth")->as_integer() == 2);
    object.state = Tuple{{Value(), Dict{{{"left", 1}}}}};
    CHECK(Value(object).attribute("left")->as_integer() == 1);
    CHECK(Value(object).attribute("right") == nullptr);
    CHECK(Value(Dict{{{"depth", 2}}}).attribute("depth") == nullptr);
}

TEST_CASE("pickle value shares its content with its copies", "[container][pickle]") {
    const Value list = List{};
    const Value copy = list;
    copy.edit<List>()->items.push_back(1);
    CHECK(list.items()->size() == 1);
}

TEST_CASE("pickle value describes itself", "[container][pickle]") {
    CHECK(Value().describe() == "None");
    CHECK(Value(1).describe() == "an int");
    CHECK(Value(Dict{}).describe() == "a dict");
    Object object;
    object.module = "argparse";
    object.name = "Namespace";
    CHECK(Value(object).describe() == "an object of argparse.Namespace");
}
