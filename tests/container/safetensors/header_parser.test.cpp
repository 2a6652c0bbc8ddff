// SPDX-License-Identifier: Apache-2.0
#include "crossdock/container/safetensors/header_parser.hpp"

#include <cstdint>
#include <string>
#include <string_view>

#include "support/catch.hpp"

using namespace crossdock;
using namespace std::string_literals;
using Catch::Matchers::ContainsSubstring;
using safetensors::parse_header;

namespace {

/// Parses a header with one tensor 't' that has these fields, in front of 4 bytes of data.
safetensors::Header parse_fields(std::string_view fields) { return parse_header(to_text("{\"t\":{", fields, "}}"), 4); }

/// The same with a right dtype and offsets.
safetensors::Header parse_shape(std::string_view shape) {
    return parse_fields(to_text(R"("dtype":"F32","data_offsets":[0,4],"shape":)", shape));
}

safetensors::Header parse_offsets(std::string_view offsets) {
    return parse_fields(to_text(R"("dtype":"F32","shape":[],"data_offsets":)", offsets));
}

/// An entry of U8 elements that fills [begin, end).
std::string bytes_entry(std::string_view name, std::uint64_t begin, std::uint64_t end) {
    return safetensors::entry_text({std::string(name), DType::u8, Shape{end - begin}, begin, end});
}

}  // namespace

TEST_CASE("safetensors header tells dtype, shape, place and metadata", "[container][safetensors]") {
    const auto header = parse_header(R"({"b":{"data_offsets":[12,20],"dtype":"F32","shape":[2]},)"
                                     R"( "__metadata__": {"format":"pt","note":""},)"
                                     R"( "a" : {"dtype":"BF16","shape":[2,3],"data_offsets":[0,12]}}   )",
                                     20);
    REQUIRE(header.entries.size() == 2);
    CHECK(header.entries[0].name == "a");
    CHECK(header.entries[0].dtype == DType::bf16);
    CHECK(header.entries[0].shape == Shape{2, 3});
    CHECK(header.entries[0].end == 12);
    CHECK(header.entries[1].name == "b");
    CHECK(header.entries[1].begin == 12);
    CHECK(header.metadata == std::map<std::string, std::string>{{"format", "pt"}, {"note", ""}});
}

TEST_CASE("safetensors header may be empty, hold scalars and empty tensors", "[container][safetensors]") {
    CHECK(parse_header("{}", 0).entries.empty());
    const auto header = parse_header(R"({"z":{"dtype":"I64","shape":[0,5],"data_offsets":[1,1]},)"
                                     R"("s":{"dtype":"BOOL","shape":[],"data_offsets":[0,1]},)"
                                     R"("y":{"dtype":"F64","shape":[0],"data_offsets":[0,0]}})",
                                     1);
    REQUIRE(header.entries.size() == 3);
    CHECK(header.entries[0].name == "y");
    CHECK(header.entries[1].shape == Shape{});
    CHECK(header.entries[2].name == "z");
}

TEST_CASE("safetensors dtype names read back as what they were written from", "[container][safetensors]") {
    for (const DTypeInfo& line : dtype_infos)
        CHECK(safetensors::parse_header_name(safetensors::header_name(line.dtype)) == line.dtype);
    CHECK(safetensors::header_name(DType::f8_e4m3) == "F8_E4M3");
    CHECK_FALSE(safetensors::parse_header_name("bf16"));
}

TEST_CASE("safetensors header refuses what is no JSON object", "[container][safetensors]") {
    CHECK_THROWS_WITH(parse_header("", 0), "header does not begin with '{'; is it a safetensors file?");
    CHECK_THROWS_WITH(parse_header(" {}", 0), "header does not begin with '{'; is it a safetensors file?");
    CHECK_THROWS_WITH(parse_header("[]", 0), "header does not begin with '{'; is it a safetensors file?");
    CHECK_THROWS_WITH(parse_header("{", 0), "header does not end with '}' and spaces");
    CHECK_THROWS_WITH(parse_header("{}\n", 0), "header does not end with '}' and spaces");
    CHECK_THROWS_WITH(parse_header("{}\0}"s, 0),
                      "header: is not valid JSON at byte 2: expected nothing more, found the byte 0");
    CHECK_THROWS_WITH(parse_header("{}{}", 0), "header: is not valid JSON at byte 2: expected nothing more, found '{'");
    CHECK_THROWS_WITH(parse_header("{\"t\":}", 0), "header: is not valid JSON at byte 5: expected a value, found '}'");
}

TEST_CASE("safetensors header refuses what is not UTF-8", "[container][safetensors]") {
    CHECK_THROWS_WITH(parse_header("{\"\xC3\":{}}", 0), ContainsSubstring("a string that is not UTF-8"));
    CHECK_THROWS_WITH(parse_header("{\"\xED\xA0\x80\":{}}", 0), ContainsSubstring("a string that is not UTF-8"));
    CHECK_THROWS_WITH(parse_header(R"({"\ud800":{}})", 0), ContainsSubstring("surrogate"));
}

TEST_CASE("safetensors header refuses nesting at the first bracket too many", "[container][safetensors]") {
    CHECK_THROWS_WITH(parse_shape("[" + std::string(1'000'000, '[') + "}"),
                      ContainsSubstring("tensor 't': an extent of the shape is an array, expected an integer"));
    CHECK_THROWS_WITH(parse_header("{\"t\":[]}", 0), "header entry 't' is an array, expected an object");
}

TEST_CASE("safetensors header refuses duplicate names", "[container][safetensors]") {
    const std::string entry = bytes_entry("t", 0, 4);
    CHECK_THROWS_WITH(parse_header(to_text("{", entry, ",", entry, "}"), 4), "header names 't' twice");
    CHECK_THROWS_WITH(parse_header(R"({"__metadata__":{},"__metadata__":{}})", 0), "header names '__metadata__' twice");
    CHECK_THROWS_WITH(parse_header(R"({"__metadata__":{"a":"","a":""}})", 0), "header's metadata names 'a' twice");
    CHECK_THROWS_WITH(parse_fields(R"("dtype":"F32","dtype":"F32")"), "tensor 't': has the key 'dtype' twice");
    CHECK_THROWS_WITH(parse_fields(R"("shape":[],"shape":[])"), "tensor 't': has the key 'shape' twice");
}

TEST_CASE("safetensors header refuses names that hide", "[container][safetensors]") {
    CHECK_THROWS_WITH(parse_header(R"({"":{}})", 0), "header: a tensor has no name");
    CHECK_THROWS_WITH(parse_header(R"({"a\u001b[2J":{}})", 0), "header: a tensor's name has control characters");
    CHECK_THROWS_WITH(parse_header(R"({"a\u0000b":{}})", 0), "header: a tensor's name has control characters");
}

TEST_CASE("safetensors header refuses metadata that is not text", "[container][safetensors]") {
    CHECK_THROWS_WITH(parse_header(R"({"__metadata__":null})", 0),
                      "header entry '__metadata__' is null, expected an object");
    CHECK_THROWS_WITH(parse_header(R"({"__metadata__":{"a":1}})", 0), "metadata 'a' is a number, expected a string");
    CHECK_THROWS_WITH(parse_header(R"({"__metadata__":{"a":{}}})", 0), "metadata 'a' is an object, expected a string");
}

TEST_CASE("safetensors header refuses a tensor with missing or further keys", "[container][safetensors]") {
    CHECK_THROWS_WITH(parse_fields(""), "tensor 't': has no dtype");
    CHECK_THROWS_WITH(parse_fields(R"("dtype":"F32")"), "tensor 't': has no shape");
    CHECK_THROWS_WITH(parse_fields(R"("dtype":"F32","shape":[])"), "tensor 't': has no data_offsets");
    CHECK_THROWS_WITH(parse_fields(R"("strides":[1])"),
                      "tensor 't': has the key 'strides', expected dtype, shape and data_offsets only");
    CHECK_THROWS_WITH(parse_header(R"({"t":"F32"})", 0), "header entry 't' is a string, expected an object");
}

TEST_CASE("safetensors header refuses a dtype that is unknown or no text", "[container][safetensors]") {
    CHECK_THROWS_WITH(parse_fields(R"("dtype":"F4")"),
                      "tensor 't': dtype 'F4' is not read, expected one of F64, F32, F16, BF16, I64, I32, I16, I8, U8, "
                      "BOOL, F8_E4M3, F8_E5M2");
    CHECK_THROWS_WITH(parse_fields(R"("dtype":1)"), "tensor 't': dtype is a number, expected a string");
    CHECK_THROWS_WITH(parse_fields(R"("dtype":[])"), "tensor 't': dtype is an array, expected a string");
}

TEST_CASE("safetensors header refuses a shape that is no list of 64-bit integers", "[container][safetensors]") {
    const std::string expected = ", expected an integer from 0 to 2^64 - 1";
    CHECK_THROWS_WITH(parse_shape("1"), "tensor 't': shape is a number, expected an array of integers");
    CHECK_THROWS_WITH(parse_shape("{}"), "tensor 't': shape is an object, expected an array of integers");
    CHECK_THROWS_WITH(parse_shape("[-1]"), "tensor 't': an extent of the shape is a negative number" + expected);
    CHECK_THROWS_WITH(parse_shape("[1.0]"),
                      "tensor 't': an extent of the shape is a number that is no 64-bit integer" + expected);
    CHECK_THROWS_WITH(parse_shape("[18446744073709551616]"),
                      "tensor 't': an extent of the shape is a number that is no 64-bit integer" + expected);
    CHECK_THROWS_WITH(parse_shape("[true]"), "tensor 't': an extent of the shape is a boolean" + expected);
    CHECK_THROWS_WITH(parse_shape("[\"1\"]"), "tensor 't': an extent of the shape is a string" + expected);
}

TEST_CASE("safetensors header refuses a shape with too many axes", "[container][safetensors]") {
    std::string extents = "1";
    for (int axis = 1; axis < 64; ++axis) extents += ",1";
    CHECK_NOTHROW(parse_shape("[" + extents + "]"));
    CHECK_THROWS_WITH(parse_shape("[" + extents + ",1]"),
                      "tensor 't': shape has more than 64 axes, the most that is read");
}

TEST_CASE("safetensors header refuses sizes beyond 64 bits", "[container][safetensors]") {
    CHECK_THROWS_WITH(parse_shape("[4294967296,4294967296]"),
                      "tensor 't': shape: 4294967296 × 4294967296 overflows 64 bits");
    CHECK_THROWS_WITH(parse_shape("[9223372036854775808]"),
                      "tensor 't': size: 9223372036854775808 × 4 overflows 64 bits");
}

TEST_CASE("safetensors header refuses offsets that are no pair", "[container][safetensors]") {
    CHECK_THROWS_WITH(parse_offsets("[]"), "tensor 't': data_offsets has 0 numbers, expected [begin, end]");
    CHECK_THROWS_WITH(parse_offsets("[0]"), "tensor 't': data_offsets has 1 numbers, expected [begin, end]");
    CHECK_THROWS_WITH(parse_offsets("[0,4,4]"),
                      "tensor 't': data_offsets has more than 2 numbers, expected [begin, end]");
    CHECK_THROWS_WITH(parse_offsets("null"), "tensor 't': data_offsets is null, expected an array of integers");
    CHECK_THROWS_WITH(
        parse_offsets("[-4,0]"),
        "tensor 't': a number of data_offsets is a negative number, expected an integer from 0 to 2^64 - 1");
    CHECK_THROWS_WITH(parse_offsets("[4,0]"), "tensor 't': ends at byte 0 of the data, before its start at 4");
}

TEST_CASE("safetensors header refuses offsets that contradict dtype and shape", "[container][safetensors]") {
    CHECK_THROWS_WITH(parse_fields(R"("dtype":"BF16","shape":[2,3],"data_offsets":[0,4])"),
                      "tensor 't': shape [2, 3] of BF16 needs 12 bytes, data_offsets span 4");
}

TEST_CASE("safetensors header refuses holes between tensors", "[container][safetensors]") {
    CHECK_THROWS_WITH(
        parse_header(to_text("{", bytes_entry("a", 1, 4), "}"), 4),
        "tensor 'a': begins at byte 1 of the data, expected 0, the start of the data; holes are not allowed");
    CHECK_THROWS_WITH(
        parse_header(to_text("{", bytes_entry("b", 5, 8), ",", bytes_entry("a", 0, 4), "}"), 8),
        "tensor 'b': begins at byte 5 of the data, expected 4, the end of tensor 'a'; holes are not allowed");
}

TEST_CASE("safetensors header refuses overlapping tensors", "[container][safetensors]") {
    const std::string refusal = ", the end of tensor 'a'; tensors must not overlap";
    CHECK_THROWS_WITH(parse_header(to_text("{", bytes_entry("a", 0, 4), ",", bytes_entry("b", 3, 8), "}"), 8),
                      "tensor 'b': begins at byte 3 of the data, expected 4" + refusal);
    CHECK_THROWS_WITH(parse_header(to_text("{", bytes_entry("a", 0, 4), ",", bytes_entry("b", 0, 4), "}"), 4),
                      "tensor 'b': begins at byte 0 of the data, expected 4" + refusal);
}

TEST_CASE("safetensors header refuses a file of another size", "[container][safetensors]") {
    const std::string header = to_text("{", bytes_entry("a", 0, 4), "}");
    CHECK_THROWS_WITH(parse_header(header, 3),
                      "the tensors end at byte 4 of the data, the file holds 3 bytes of it; it is probably truncated");
    CHECK_THROWS_WITH(
        parse_header(header, 5),
        "the tensors end at byte 4 of the data, the file holds 5 bytes of it; nothing may follow the last tensor");
    CHECK_THROWS_WITH(
        parse_header("{}", 1),
        "the tensors end at byte 0 of the data, the file holds 1 bytes of it; nothing may follow the last tensor");
}

TEST_CASE("safetensors header capacity is never too small", "[container][safetensors]") {
    const std::uint64_t most = ~std::uint64_t{0};
    const safetensors::Entry entry{"name", DType::f8_e4m3, Shape{most}, most, most};
    CHECK(safetensors::entry_text(entry).size() + 1 <=
          safetensors::header_capacity(1, 4, 1) - safetensors::header_capacity(0, 0));
    CHECK(std::string_view(R"({"__metadata__":{"format":"pt"}})").size() <= safetensors::header_capacity(0, 0));
}
