// SPDX-License-Identifier: Apache-2.0
#include "crossdock/container/pickle/packed_reader.hpp"

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

#include "crossdock/container/pickle/writer.hpp"
#include "crossdock/core/error.hpp"
#include "support/catch.hpp"
#include "support/memory_source.hpp"

using namespace crossdock;
using namespace crossdock::test;
using namespace std::string_literals;
using Catch::Matchers::ContainsSubstring;
using pickle::PackedPickle;
using pickle::PackedValue;

namespace {

std::string refusal(const std::string& pickle) {
    try {
        PackedPickle read(*memory_source(pickle));
    } catch (const Error& error) {
        return error.what();
    }
    return "accepted";
}

}  // namespace

TEST_CASE("packed pickle reads what Python writes", "[pickle][packed]") {
    // pickle.dumps({"a": [1, -2, 300, 70000, 2**40], "b": (None, True, 1.5, b"x", {1}), "a b": "\u00e9"}, protocol=4)
    const PackedPickle read(
        *memory_source("\x80\x04\x95\x4b\0\0\0\0\0\0\0}\x94(\x8c\x01"
                       "a\x94]\x94(K\x01J\xfe\xff\xff\xffM\x2c\x01J\x70\x11\x01\0\x8a\x06\0\0\0\0\0\x01"
                       "e\x8c\x01"
                       "b\x94(N\x88G\x3f\xf8\0\0\0\0\0\0C\x01x\x94\x8f\x94(K\x01\x90t\x94\x8c\x03"
                       "a b\x94\x8c\x02\xc3\xa9\x94u."s));
    const PackedValue root = read.root();
    REQUIRE(root.entry_count() == 3);
    const PackedValue numbers = root.find("a").value();
    REQUIRE(numbers.size() == 5);
    CHECK(numbers.item(0).as_integer() == 1);
    CHECK(numbers.item(1).as_integer() == -2);
    CHECK(numbers.item(2).as_integer() == 300);
    CHECK(numbers.item(3).as_integer() == 70000);
    CHECK(numbers.item(4).as_integer() == std::int64_t{1} << 40);
    const PackedValue others = root.find("b").value();
    REQUIRE(others.size() == 5);
    CHECK(others.item(0).is_none());
    CHECK(others.item(1).describe() == "a bool");
    CHECK(others.item(2).describe() == "a value of another kind");
    CHECK(others.item(4).describe() == "a value of another kind");
    CHECK(root.entry(2).first.as_text() == "a b");
    CHECK(root.entry(2).second.as_text() == "\xc3\xa9");
    CHECK_FALSE(root.find("c"));
    CHECK_FALSE(root.as_integer());
    CHECK_FALSE(root.as_text());
    CHECK_FALSE(root.size());
    CHECK_FALSE(root.attribute("a"));
}

TEST_CASE("packed pickle keeps objects as what would be called", "[pickle][packed]") {
    pickle::Object object;
    object.module = "a.module";
    object.name = "Class";
    object.construction = pickle::Construction::new_instance;
    object.args = pickle::Tuple{{7}};
    object.state = pickle::Dict{{{"x", 1}, {"y", pickle::Global{"torch", "bfloat16"}}, {"x", 2}}};
    const PackedPickle read(*memory_source(pickle::write(object)));
    const PackedValue root = read.root();
    CHECK(root.describe() == "an object of a.module.Class");
    CHECK(root.arguments().item(0).as_integer() == 7);
    CHECK(root.attribute("x")->as_integer() == 2);
    CHECK(root.attribute("y")->global() == std::pair<std::string_view, std::string_view>("torch", "bfloat16"));
    CHECK_FALSE(root.attribute("z"));
}

TEST_CASE("packed pickle lets several refer to one value", "[pickle][packed]") {
    const pickle::Value shared = pickle::List{{"text"}};
    const pickle::Value root = pickle::Tuple{{shared, shared, shared}};
    const PackedPickle read(*memory_source(pickle::write(root)));
    for (std::size_t index = 0; index < 3; ++index) CHECK(read.root().item(index).item(0).as_text() == "text");
}

TEST_CASE("packed pickle keeps the attributes of many objects of a class", "[pickle][packed]") {
    // [A(x=1, y=(1, 2)), A(x=3, y="x")], whose second object recalls the names
    const PackedPickle read(
        *memory_source("\x80\2](cm\nA\nq\0)\x81}(X\1\0\0\0xq\1K\1X\1\0\0\0yq\2K\1K\2\x86ub"
                       "h\0)\x81}(h\1K\3h\2h\1ube."s));
    const PackedValue first = read.root().item(0), second = read.root().item(1);
    CHECK(first.attribute("x")->as_integer() == 1);
    CHECK(first.attribute("y")->describe() == "a tuple");
    REQUIRE(first.attribute("y")->size() == 2);
    CHECK(first.attribute("y")->item(1).as_integer() == 2);
    CHECK(second.attribute("x")->as_integer() == 3);
    CHECK(second.attribute("y")->as_text() == "x");
    CHECK(second.state().describe() == "a dict");
    CHECK(second.state().entry_count() == 2);
    CHECK(second.state().entry(1).first.as_text() == "y");
}

TEST_CASE("packed pickle keeps integers of up to 64 bits, alone and in tuples", "[pickle][packed]") {
    for (const std::int64_t number :
         {std::int64_t{0}, std::int64_t{-1}, std::int64_t{1} << 58, std::int64_t{1} << 59, -(std::int64_t{1} << 59),
          -(std::int64_t{1} << 59) - 1, std::numeric_limits<std::int64_t>::max(),
          std::numeric_limits<std::int64_t>::min()}) {
        const pickle::Value root = pickle::Tuple{{number, pickle::Tuple{{1, number, 2}}, "text"}};
        const PackedPickle read(*memory_source(pickle::write(root)));
        CHECK(read.root().item(0).as_integer() == number);
        CHECK(read.root().item(0).describe() == "an int");
        CHECK(read.root().item(1).item(0).as_integer() == 1);
        CHECK(read.root().item(1).item(1).as_integer() == number);
        CHECK(read.root().item(1).item(1).describe() == "an int");
        CHECK(read.root().item(1).item(2).as_integer() == 2);
    }
}

TEST_CASE("packed pickle tells objects of many classes and arguments apart", "[pickle][packed]") {
    pickle::List all;
    for (int number = 0; number < 40; ++number) {
        pickle::Object object;
        object.module = "a.module";
        object.name = "Class" + std::to_string(number % 20);
        object.construction = pickle::Construction::new_instance;
        object.args = number < 20 ? pickle::Tuple{} : pickle::Tuple{{number, "text"}};
        all.items.emplace_back(object);
    }
    const PackedPickle read(*memory_source(pickle::write(all)));
    for (int number = 0; number < 40; ++number) {
        const PackedValue object = read.root().item(static_cast<std::size_t>(number));
        CHECK(object.global().second == "Class" + std::to_string(number % 20));
        CHECK(object.arguments().size() == (number < 20 ? 0U : 2U));
        if (number >= 20) CHECK(object.arguments().item(0).as_integer() == number);
    }
}

TEST_CASE("packed pickle keeps a state that is mentioned again as it is", "[pickle][packed]") {
    // (A(x=1), A with the same dict), which gets another entry later
    const PackedPickle read(
        *memory_source("\x80\2(cm\nA\n)\x81}q\0(X\1\0\0\0xK\1ubcm\nA\n)\x81h\0b"
                       "h\0(X\1\0\0\0yK\2u0t."s));
    REQUIRE(read.root().size() == 2);
    for (std::size_t index = 0; index < 2; ++index) {
        CHECK(read.root().item(index).attribute("x")->as_integer() == 1);
        CHECK(read.root().item(index).attribute("y")->as_integer() == 2);
    }
}

TEST_CASE("packed pickle takes a torch.Size as its tuple", "[pickle][packed]") {
    const std::string size = "ctorch\nSize\nK\2K\3\x86\x85"s;
    for (const std::string& pickle :
         {"\x80\2(" + size + "RK\7X\1\0\0\0x\x86t."s, "\x80\2(" + size + "q\0RK\7X\1\0\0\0x\x86h\0t."s}) {
        INFO(pickle.size());
        const PackedPickle read(*memory_source(pickle));
        const PackedValue root = read.root();
        REQUIRE(root.size().value_or(0) >= 2);
        REQUIRE(root.item(0).size() == 2);
        CHECK(root.item(0).item(1).as_integer() == 3);
        REQUIRE(root.item(1).size() == 2);
        CHECK(root.item(1).item(1).as_text() == "x");
        if (root.size() == 3) CHECK(root.item(2).item(0).item(0).as_integer() == 2);
    }
}

TEST_CASE("packed pickle refuses what is not well-formed", "[pickle][packed]") {
    CHECK(refusal("") == "memory offset 0: the pickle goes on for 1 bytes, 0 are left; it is probably truncated");
    CHECK_THAT(refusal("\x80\x06."), ContainsSubstring("pickle protocol 6 is not known, expected 2 to 5"));
    CHECK_THAT(refusal("N"), ContainsSubstring("probably truncated"));
    CHECK_THAT(refusal("NN."), ContainsSubstring("values left over"));
    CHECK_THAT(refusal("."), ContainsSubstring("lacks its operand"));
    CHECK_THAT(refusal("N(0."), ContainsSubstring("lacks its operand"));  // below the mark
    CHECK_THAT(refusal("Nt."), ContainsSubstring("lacks its mark"));
    CHECK_THAT(refusal("}(Nu."), ContainsSubstring("a key of a dict lacks its value"));
    CHECK_THAT(refusal("]NNs."), ContainsSubstring("items are added to something else"));
    CHECK_THAT(refusal("NNR."), ContainsSubstring("nothing was run"));
    CHECK_THAT(refusal("NN\x93."), ContainsSubstring("a class is named by something else than texts"));
    CHECK_THAT(refusal("N}b."), ContainsSubstring("something else than an object is given a state"));
    CHECK_THAT(refusal("h\x05."), ContainsSubstring("memo entry 5 is used but was never made"));
    CHECK_THAT(refusal("Nr\xff\xff\xff\x7f."), ContainsSubstring("memo entry 2147483647 is made before"));
    CHECK_THAT(refusal("\x8c\x02\xc3("), ContainsSubstring("a text is not UTF-8"));
    CHECK_THAT(refusal("cos"), ContainsSubstring("a line does not end"));
    CHECK_THAT(refusal("X\xff\xff\xff\xff"), ContainsSubstring("the pickle goes on for 4294967295 bytes"));
    CHECK_THAT(refusal("I1\n."), ContainsSubstring("opcode 73 is none that protocols 2 to 5 use here"));
}
