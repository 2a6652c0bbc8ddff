// SPDX-License-Identifier: Apache-2.0
#include "crossdock/container/pickle/writer.hpp"

#include <cstddef>
#include <cstdint>
#include <string>

#include "crossdock/container/pickle/reader.hpp"
#include "support/catch.hpp"
#include "support/memory_source.hpp"

using namespace crossdock;
using namespace crossdock::pickle;

namespace {

Value read_back(const Value& value) {
    const std::string bytes = write(value);
    Cursor cursor(test::memory_source(bytes), 0, bytes.size());
    return Reader(cursor, "written").read();
}

template <std::size_t size>
std::string literal(const char (&bytes)[size]) {
    return std::string(bytes, size - 1);
}

Object object_of(const char* module, const char* name, Construction construction) {
    Object object;
    object.module = module;
    object.name = name;
    object.construction = construction;
    return object;
}

}  // namespace

TEST_CASE("pickle writer writes these bytes", "[container][pickle]") {
    CHECK(write(Value()) == "\x80\x02N.");
    CHECK(write(true) == "\x80\x02\x88.");
    CHECK(write(255) == literal("\x80\x02K\xFF."));
    CHECK(write(256) == literal("\x80\x02M\0\1."));
    CHECK(write(-1) == literal("\x80\x02J\xFF\xFF\xFF\xFF."));
    CHECK(write(std::int64_t{1} << 31) == literal("\x80\x02\x8A\x08\0\0\0\x80\0\0\0\0."));
    CHECK(write(1.5) == literal("\x80\x02G\x3F\xF8\0\0\0\0\0\0."));
    CHECK(write("é") == literal("\x80\x02X\2\0\0\0\xC3\xA9."));
    const Value dict = Dict{{{"a", List{{1, 2}}}}};  // a name, as temporaries in the call would count as sharing "a"
    CHECK(write(dict) == literal("\x80\x02}q\0(X\1\0\0\0a]q\1(K\1K\2eu."));
    CHECK(write(Tuple{{1, 2, 3, 4}}) == literal("\x80\x02(K\1K\2K\3K\4t."));
    Object args = object_of("argparse", "Namespace", Construction::new_instance);
    args.state = Dict{{{"x", Value()}}};
    CHECK(write(args) == literal("\x80\x02"
                                 "cargparse\nNamespace\nq\0)\x81q\1}q\2(X\1\0\0\0xNub."));
}

TEST_CASE("pickle writer's values are read back", "[container][pickle]") {
    CHECK(read_back(-0.0).as_float() == -0.0);
    for (const std::int64_t number : {INT64_MIN, INT64_MAX, std::int64_t{-1}, std::int64_t{65536}})
        CHECK(read_back(number).as_integer() == number);
    CHECK(read_back(Bytes{std::string("\0\xFF\x80", 3)}).get<Bytes>()->data == std::string("\0\xFF\x80", 3));
    CHECK(read_back(Bytes{}).get<Bytes>()->data.empty());
    CHECK(read_back(BigInteger{std::string(9, 1)}).get<BigInteger>()->bytes == std::string(9, 1));
    CHECK(read_back(Set{{1}, true}).get<Set>()->frozen);
    CHECK(read_back(Global{"builtins", "int"}).get<Global>()->module == "builtins");
    CHECK(read_back(PersistentId{Tuple{{"storage"}}}).get<PersistentId>()->id.items()->size() == 1);
    Object member = object_of("private_code", "Mode", Construction::member);
    member.args = Tuple{{"exact"}};
    CHECK(read_back(member).get<Object>()->construction == Construction::member);
    Object list = object_of("private_code", "Names", Construction::call);
    list.items = {"a"};
    list.entries = {{"k", 1}};
    CHECK(read_back(list).get<Object>()->items.size() == 1);
    CHECK(read_back(list).find("k")->as_integer() == 1);
}

TEST_CASE("pickle writer keeps what is shared, and cycles", "[container][pickle]") {
    const Value inner = List{{1}};
    const Value pair = read_back(Tuple{{inner, inner}});
    CHECK((*pair.items())[0].node() == (*pair.items())[1].node());

    const Value ring = List{};
    ring.edit<List>()->items.push_back(Value::back_reference_to(ring.node()));
    const Value again = read_back(ring);
    CHECK(again.items()->front().back_reference() == again.node());
}

TEST_CASE("pickle writer numbers more than 256 shared values", "[container][pickle]") {
    List list;
    for (int i = 0; i < 300; ++i) list.items.push_back(List{{i}});
    for (int i = 0; i < 300; ++i) list.items.push_back(list.items[static_cast<std::size_t>(i)]);
    const Value again = read_back(list);
    CHECK((*again.items())[299].node() == (*again.items())[599].node());
}

TEST_CASE("pickle writer refuses what protocol 2 or a file cannot say", "[container][pickle]") {
    CHECK_THROWS_WITH(write(Tensor()),
                      "a tensor cannot stand inside a value that is written; add it to the file by its own name");
    CHECK_THROWS_WITH(write(BigInteger{std::string(256, 1)}),
                      "an integer of 256 bytes cannot be written, at most 255 can");
    CHECK_THROWS_WITH(write(Global{"a\nb", "c"}), "the name of a class holds a line feed, so it cannot be written");
    Object object = object_of("a", "B", Construction::new_instance);
    object.keywords = Dict{};
    CHECK_THROWS_WITH(write(object), "an object of a.B is made with keywords, which pickle protocol 2 cannot say");
    const Value tuple = Tuple{{List{}}};
    tuple.items()->front().edit<List>()->items.push_back(Value::back_reference_to(tuple.node()));
    CHECK_THROWS_WITH(write(tuple),
                      "a tuple or call that contains itself cannot be written; only lists, dicts and objects can");
}
