// SPDX-License-Identifier: Apache-2.0
#include "crossdock/container/pickle/reader.hpp"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "crossdock/core/error.hpp"
#include "support/catch.hpp"
#include "support/memory_source.hpp"

using namespace crossdock;
using namespace crossdock::pickle;
using crossdock::test::memory_source;

namespace {

Value read(const std::string& bytes, Limits limits = {}) {
    Cursor cursor(memory_source(bytes), 0, bytes.size());
    return Reader(cursor, "x.pt: data.pkl", limits).read();
}

template <std::size_t size>
Value read(const char (&bytes)[size]) {
    return read(std::string(bytes, size - 1));
}

template <std::size_t size>
std::string error_of(const char (&bytes)[size], Limits limits = {}) {
    try {
        read(std::string(bytes, size - 1), limits);
    } catch (const Error& error) {
        return error.what();
    }
    return "none";
}

}  // namespace

TEST_CASE("pickle reader reads integers of every width", "[container][pickle]") {
    CHECK(read("K\xFF.").as_integer() == 255);
    CHECK(read("M\xFF\xFF.").as_integer() == 65535);
    CHECK(read("J\xFF\xFF\xFF\xFF.").as_integer() == -1);
    CHECK(read("\x8A\x00.").as_integer() == 0);
    CHECK(read("\x8A\x01\x80.").as_integer() == -128);
    CHECK(read("\x8A\x05\0\0\0\0\x01.").as_integer() == std::int64_t{1} << 32);
    CHECK(read("\x8A\x08\0\0\0\0\0\0\0\x80.").as_integer() == INT64_MIN);
    CHECK(read("\x8B\x09\0\0\0\x01\0\0\0\0\0\0\0\0.").as_integer() == 1);
    CHECK(read("\x8A\x09\0\0\0\0\0\0\0\x80\0.").get<BigInteger>()->bytes == std::string("\0\0\0\0\0\0\0\x80\0", 9));
    CHECK(read("I-12\n.").as_integer() == -12);
    CHECK(read("L-12L\n.").as_integer() == -12);
    CHECK(read("L-9223372036854775808L\n.").as_integer() == INT64_MIN);
    CHECK(read("L18446744073709551616L\n.").get<BigInteger>()->bytes == std::string("\0\0\0\0\0\0\0\0\x01", 9));
    CHECK(read("L-18446744073709551616L\n.").get<BigInteger>()->bytes == std::string("\0\0\0\0\0\0\0\0\xFF", 9));
}

TEST_CASE("pickle reader reads booleans, None and floats", "[container][pickle]") {
    CHECK(read("N.").is_none());
    CHECK(read("\x88.").as_bool() == true);
    CHECK(read("\x89.").as_bool() == false);
    CHECK(read("I01\n.").as_bool() == true);
    CHECK(read("I00\n.").as_bool() == false);
    CHECK(read("G\x3F\xF8\0\0\0\0\0\0.").as_float() == 1.5);
    CHECK(read("F-2.5e3\n.").as_float() == -2500.0);
    CHECK(std::isinf(*read("Finf\n.").as_float()));
}

TEST_CASE("pickle reader reads texts and bytes of all protocols", "[container][pickle]") {
    CHECK(*read("\x8C\x01x.").as_string() == "x");
    CHECK(*read("X\x02\0\0\0\xC3\xA9.").as_string() == "é");
    CHECK(*read("\x8D\x01\0\0\0\0\0\0\0x.").as_string() == "x");
    CHECK(*read("V\\u00e9\\U0001f600\xE9\n.").as_string() == "é\U0001f600é");
    CHECK(*read("S'a\\n\\x41\\''\n.").as_string() == "a\nA'");
    CHECK(*read("U\x01x.").as_string() == "x");
    CHECK(read("U\x01\xFF.").get<Bytes>()->data == "\xFF");
    CHECK(read("S'\\xff'\n.").get<Bytes>()->data == "\xFF");
    CHECK(read("T\x01\0\0\0\xFF.").get<Bytes>()->data == "\xFF");
    CHECK(read("C\x01\xFF.").get<Bytes>()->data == "\xFF");
    CHECK(read("B\x01\0\0\0\xFF.").get<Bytes>()->data == "\xFF");
    CHECK(read("\x8E\x01\0\0\0\0\0\0\0\xFF.").get<Bytes>()->data == "\xFF");
    CHECK(read("\x96\x01\0\0\0\0\0\0\0\xFF.").get<Bytes>()->data == "\xFF");
    CHECK(read("c_codecs\nencode\nX\x02\0\0\0\xC3\xBFX\x06\0\0\0latin1\x86R.").get<Bytes>()->data == "\xFF");
    CHECK(read("c__builtin__\nbytes\n)R.").get<Bytes>()->data.empty());
}

TEST_CASE("pickle reader reads texts longer than its block", "[container][pickle]") {
    std::string content;
    for (unsigned i = 0; i < 200000; ++i) content += static_cast<char>('a' + i % 23);
    std::string bytes =
        "K\x01"
        "X";
    append_little(bytes, static_cast<std::uint32_t>(content.size()));
    bytes += content + "\x86.";
    CHECK(*(*read(bytes).items())[1].as_string() == content);
}

TEST_CASE("pickle reader reads containers", "[container][pickle]") {
    CHECK(read("(K\x01K\x02l.").items()->size() == 2);
    CHECK(read("](K\x01K\x02"
               "eK\x03"
               "a.")
              .items()
              ->size() == 3);
    CHECK(read("K\x01K\x02K\x03\x87.").get<Tuple>()->items[2].as_integer() == 3);
    CHECK(read("(K\x01K\x02K\x03K\x04t.").get<Tuple>()->items.size() == 4);
    CHECK(read("}(U\x01"
               "aK\x01U\x01"
               "bK\x02u.")
              .find("b")
              ->as_integer() == 2);
    CHECK(read("(U\x01"
               "aK\x01"
               "d.")
              .find("a")
              ->as_integer() == 1);
    CHECK(read("}K\x01\x88s.").entries()->front().key.as_integer() == 1);
    CHECK(read("\x8F(K\x01\x90.").get<Set>()->items.size() == 1);
    CHECK(read("(K\x01\x91.").get<Set>()->frozen);
    CHECK(read("c__builtin__\nset\n]K\x01"
               "a\x85R.")
              .get<Set>()
              ->items.size() == 1);
}

TEST_CASE("pickle reader keeps what is shared", "[container][pickle]") {
    const Value pair = read("]q\0h\0\x86.");
    const auto& items = *pair.items();
    CHECK(items[0].node() == items[1].node());
    CHECK(read("K\x07p5\n0g5\n.").as_integer() == 7);
    CHECK(read("K\x07r\0\0\1\0000j\0\0\1\0.").as_integer() == 7);
    CHECK(read("\x80\4\x95\6\0\0\0\0\0\0\0K\x07\x94"
               "0h\0.")
              .as_integer() == 7);
    CHECK(read("K\x07"
               "2\x86.")
              .items()
              ->size() == 2);
}

TEST_CASE("pickle reader turns a list inside itself into a back reference", "[container][pickle]") {
    const Value ring = read("]q\0(K\x01h\0e.");
    const Value& inner = (*ring.items())[1];
    CHECK(inner.items() == nullptr);
    CHECK(inner.back_reference() == ring.node());
    CHECK(inner.describe() == "a reference to what contains it");
}

TEST_CASE("pickle reader makes inert objects of unknown classes", "[container][pickle]") {
    const Value called = read("cos\nsystem\nX\x04\0\0\0true\x85R.");
    CHECK(called.get<Object>()->module == "os");
    CHECK(called.get<Object>()->name == "system");
    CHECK(*called.get<Object>()->args.items()->front().as_string() == "true");
    const Value made = read("ca\nB\n)\x81}X\1\0\0\0xK\1sb.");
    CHECK(made.get<Object>()->construction == Construction::new_instance);
    CHECK(made.attribute("x")->as_integer() == 1);
    CHECK(read("\x8C\1a\x8C\3B.C\x93)}\x92.").get<Object>()->name == "B.C");
    CHECK(read("(ca\nB\nK\1o.").get<Object>()->args.items()->size() == 1);
    CHECK(read("(K\1ia\nB\n.").get<Object>()->args.items()->size() == 1);
    CHECK(read("ccopy_reg\n_reconstructor\n(ca\nB\nc__builtin__\nobject\nNtR.").get<Object>()->name == "B");
    CHECK(read("ca\nB\n.").get<Global>()->name == "B");
}

TEST_CASE("pickle reader lets getattr name an enum's member and a nested class", "[container][pickle]") {
    const Value member = read("c__builtin__\ngetattr\nca\nMode\nX\5\0\0\0exact\x86R.");
    CHECK(member.get<Object>()->construction == Construction::member);
    CHECK(member.get<Object>()->name == "Mode");
    CHECK(*member.get<Object>()->args.items()->front().as_string() == "exact");
    const Value nested = read("c__builtin__\ngetattr\nca\nOuter\nX\5\0\0\0Inner\x86R)\x81.");
    CHECK(nested.get<Object>()->name == "Outer.Inner");
}

TEST_CASE("pickle reader refuses getattr on anything but a class", "[container][pickle]") {
    CHECK(error_of("c__builtin__\ngetattr\n}X\1\0\0\0x\x86R.") ==
          "x.pt: data.pkl offset 29: a dict is called, expected the name of a class or function; nothing was run");
    CHECK(error_of("c__builtin__\ngetattr\n)R.") ==
          "x.pt: data.pkl offset 22: getattr is called with something else than a class and a name; nothing was run");
}

TEST_CASE("pickle reader takes the calls of OBJ and INST as it takes those of REDUCE", "[container][pickle]") {
    constexpr std::string_view refused =
        "getattr is called with something else than a class and a name; nothing was run";
    CHECK(read("(c__builtin__\nset\n](K\1K\2eo.").get<Set>()->items.size() == 2);
    CHECK(read("(](K\1K\2ei__builtin__\nset\n.").get<Set>()->items.size() == 2);
    CHECK(error_of("(c__builtin__\ngetattr\nca\nB\n}o.").ends_with(refused));
    CHECK(error_of("(ca\nB\n}i__builtin__\ngetattr\n.").ends_with(refused));
}

TEST_CASE("pickle reader refuses unknown opcodes and those of a registry", "[container][pickle]") {
    CHECK(error_of("N\xFF.") ==
          "x.pt: data.pkl offset 1: opcode 0xFF is not one of pickle's; the file is damaged or not a pickle");
    CHECK(error_of("\x82\1.") ==
          "x.pt: data.pkl offset 0: opcode 0x82 (EXT) stands for a class by a number of the writing program's "
          "registry, which the file does not hold");
    CHECK(error_of("\x97.") ==
          "x.pt: data.pkl offset 0: opcode 0x97 asks for a buffer outside the pickle, which the "
          "file does not hold");
    CHECK(error_of("\x80\6.") == "x.pt: data.pkl offset 0: pickle protocol 6 is not known, expected 0 to 5");
}

TEST_CASE("pickle reader refuses lengths beyond its end without allocating them", "[container][pickle]") {
    CHECK(error_of("X\xFF\xFF\xFF\x7F") ==
          "x.pt: data.pkl offset 0: the pickle goes on for 2147483647 bytes, 0 are "
          "left; it is probably truncated");
    CHECK(error_of("\x8E\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF") ==
          "x.pt: data.pkl offset 0: the pickle goes on for 18446744073709551615 bytes, 0 are left; it is probably "
          "truncated");
    CHECK(error_of("\x95\x09\0\0\0\0\0\0\0N.") ==
          "x.pt: data.pkl offset 0: the pickle goes on for 9 bytes, 2 are left; "
          "it is probably truncated");
    CHECK(error_of("\x8B\xFF\xFF\xFF\xFF.") ==
          "x.pt: data.pkl offset 0: an integer claims -1 bytes; the file is damaged");
    CHECK(error_of("ca") == "x.pt: data.pkl offset 0: a line does not end; the file is damaged or truncated");
    CHECK(error_of("") ==
          "x.pt: data.pkl offset 0: the pickle goes on for 1 bytes, 0 are left; it is probably truncated");
}

TEST_CASE("pickle reader refuses instructions without operands", "[container][pickle]") {
    const std::string operand = "an instruction lacks its operand; the file is damaged";
    CHECK(error_of(".") == "x.pt: data.pkl offset 0: " + operand);
    CHECK(error_of("N\x86.") == "x.pt: data.pkl offset 1: " + operand);
    CHECK(error_of("]("
                   "a.") == "x.pt: data.pkl offset 2: " + operand);
    CHECK(error_of("(e.") == "x.pt: data.pkl offset 1: " + operand);
    CHECK(error_of("t.") == "x.pt: data.pkl offset 0: an instruction lacks its mark; the file is damaged");
    CHECK(error_of("NN.") == "x.pt: data.pkl offset 2: the pickle ends with values left over; the file is damaged");
    CHECK(error_of("h\7.") == "x.pt: data.pkl offset 0: memo entry 7 is used but was never made; the file is damaged");
}

TEST_CASE("pickle reader refuses operands of the wrong type", "[container][pickle]") {
    CHECK(error_of("NNa.") ==
          "x.pt: data.pkl offset 2: items are appended to None, expected a list; the file is damaged");
    CHECK(error_of("]NNs.") ==
          "x.pt: data.pkl offset 3: entries are added to a list, expected a dict; the file is damaged");
    CHECK(error_of("}(Nu.") == "x.pt: data.pkl offset 3: a key of a dict lacks its value; the file is damaged");
    CHECK(error_of("](N\x90.") ==
          "x.pt: data.pkl offset 3: items are added to a list, expected a set; the file is damaged");
    CHECK(error_of("N)R.") ==
          "x.pt: data.pkl offset 2: None is called, expected the name of a class or function; "
          "nothing was run");
    CHECK(error_of("ca\nb\nNR.") ==
          "x.pt: data.pkl offset 6: a.b is called with None, expected a tuple; the file is "
          "damaged");
    CHECK(error_of("ca\nb\nN\x81.") ==
          "x.pt: data.pkl offset 6: a.b is made of None, expected a tuple and perhaps a "
          "dict; the file is damaged");
    CHECK(error_of("NNb.") ==
          "x.pt: data.pkl offset 2: None is given a state, expected an object; the file is damaged");
    CHECK(error_of("ca\nb\n)\x81K\1bK\1b.") == "x.pt: data.pkl offset 12: an object of a.b is given two states");
    CHECK(error_of("NN\x93.") ==
          "x.pt: data.pkl offset 2: a class is named by something else than texts; the file is damaged");
}

TEST_CASE("pickle reader refuses broken texts and numbers", "[container][pickle]") {
    CHECK(error_of("X\1\0\0\0\xFF.") == "x.pt: data.pkl offset 0: a text is not UTF-8; the file is damaged");
    CHECK(error_of("X\3\0\0\0\xED\xA0\x80.") == "x.pt: data.pkl offset 0: a text is not UTF-8; the file is damaged");
    CHECK(error_of("V\\u00\n.") == "x.pt: data.pkl offset 0: a text has a broken escape; the file is damaged");
    CHECK(error_of("S'a\n.") ==
          "x.pt: data.pkl offset 0: a text is not quoted as Python quotes it; the file is damaged");
    CHECK(error_of("Ix\n.") ==
          "x.pt: data.pkl offset 0: a line does not hold the number that is expected there; the file is damaged");
    CHECK(error_of("F1.5x\n.") ==
          "x.pt: data.pkl offset 0: a line does not hold the number that is expected there; the file is damaged");
    CHECK(error_of("LxL\n.") ==
          "x.pt: data.pkl offset 0: a line does not hold an integer of at most 4300 digits; the file is damaged");
    CHECK(error_of("c_codecs\nencode\nX\3\0\0\0\xE2\x82\xACX\6\0\0\0latin1\x86R.") ==
          "x.pt: data.pkl offset 36: bytes are spelled by characters beyond latin-1; the file is damaged");
}

TEST_CASE("pickle reader refuses deep nests and survives them", "[container][pickle]") {
    const auto nested = [](std::size_t depth) { return std::string(depth, ']') + std::string(depth - 1, 'a') + '.'; };
    CHECK_NOTHROW(read(nested(1000)));
    CHECK_THROWS_WITH(read(nested(1001)),
                      "x.pt: data.pkl offset 2001: the pickle nests containers more than 1000 deep");
    CHECK_THROWS_AS(read(nested(100000)), Error);
    CHECK_THROWS_AS(read(nested(100000).substr(0, 199990)), Error);
    // Deep, but thrown away before the end.
    CHECK_NOTHROW(read(nested(100000).substr(0, 199999) + "0N."));
    CHECK_THROWS_AS(read(std::string(100000, '(')), Error);
}

TEST_CASE("pickle reader refuses what needs more memory than allowed", "[container][pickle]") {
    const Limits limits{1000, 10000};
    CHECK_THROWS_WITH(read(std::string(1000, ']'), limits),
                      Catch::Matchers::ContainsSubstring(": the pickle's values need more than 10000 bytes of memory"));
    // A tuple doubled again and again is small in memory, however much it spells.
    std::string doubled = "N";
    for (int i = 0; i < 60; ++i) doubled += "2\x86";
    CHECK_NOTHROW(read(doubled + '.'));
    // One long text that is decoded often.
    std::string often = "X\xE8\x03" + std::string(2, '\0') + std::string(1000, 'x') + "q";
    often += std::string(1, '\0') + "0";
    for (int i = 0; i < 20; ++i) often += std::string("c_codecs\nencode\nh\0X\6\0\0\0latin1\x86R0", 32);
    CHECK_THROWS_AS(read(often + "N.", limits), Error);
}

TEST_CASE("pickle reader drops the source that early PyTorch saved with a class", "[container][pickle]") {
    const Value id = read("X\7\0\0\0storageK\1\x86Q.");
    CHECK(id.get<PersistentId>()->id.items()->size() == 2);
    const Value object = read("(X\6\0\0\0moduleca\nB\nNNtQ)\x81.");
    CHECK(object.get<Object>()->name == "B");
}

TEST_CASE("pickle reader stops behind the pickle", "[container][pickle]") {
    Cursor cursor(memory_source("N.rest"), 0, 6);
    Reader(cursor, "x").read();
    CHECK(cursor.offset() == 2);
}

TEST_CASE("pickle reader lets a shortcut say what a call stands for", "[container][pickle]") {
    const std::string bytes(
        "cm\nf\n(K\x01(K\x02tK\x03tRq\x05"
        "h\x05\x86.",
        22);
    Cursor cursor(memory_source(bytes), 0, bytes.size());
    std::string seen;
    const auto shortcut = [&](const Object& call) -> std::optional<Tensor> {
        seen += call.module + "." + call.name + " " + std::to_string(call.args.items()->size());
        return Tensor(DType::u8, Shape{7}, nullptr);
    };
    const Value root = Reader(cursor, "x.pt: data.pkl", {}, shortcut).read();
    CHECK(seen == "m.f 3");
    REQUIRE(root.items()->size() == 2);
    REQUIRE((*root.items())[0].get<Tensor>());
    CHECK((*root.items())[0].get<Tensor>()->shape() == Shape{7});
    CHECK((*root.items())[1].node() == (*root.items())[0].node());
}

TEST_CASE("pickle reader numbers memo entries that nothing recalls", "[container][pickle]") {
    const Value list = read("(X\1\0\0\0a\x94X\1\0\0\0b\x94X\1\0\0\0c\x94h\1l.");
    REQUIRE(list.items()->size() == 4);
    CHECK(*(*list.items())[3].as_string() == "b");
    // An instruction's number inside a text recalls nothing; one in a line does.
    const Value lines = read("(X\2\0\0\0h\0\x94X\1\0\0\0b\x94g1\nl.");
    CHECK(*lines.items()->back().as_string() == "b");
    CHECK(error_of("N\x94h\1.") ==
          "x.pt: data.pkl offset 2: memo entry 1 is used but was never made; the file is damaged");
}

TEST_CASE("pickle reader keeps memo entries that are numbered anyhow", "[container][pickle]") {
    const Value root = read("(K\x01q\x07K\x02q\x00K\x03q\x01K\x04q\x00h\x07h\x00h\x01t.");
    std::string numbers;
    for (const Value& item : *root.items()) numbers += std::to_string(*item.as_integer());
    CHECK(numbers == "1234143");
    CHECK(error_of("(K\x01q\x00h\x02t.") ==
          "x.pt: data.pkl offset 5: memo entry 2 is used but was never made; the file is damaged");
}
