// SPDX-License-Identifier: Apache-2.0
#include "crossdock/core/float_formats.hpp"

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <ios>
#include <iterator>
#include <limits>
#include <string>
#include <vector>

#include "crossdock/core/cast_elements.hpp"
#include "crossdock/core/dtype.hpp"
#include "support/catch.hpp"

using namespace crossdock;

namespace {

/// A file of tests/data/casts, which make.py there wrote with PyTorch.
std::vector<char> file(const std::string& name) {
    std::ifstream in(std::string(CROSSDOCK_TEST_DATA) + "/casts/" + name, std::ios::binary);
    INFO(name);
    REQUIRE(in.good());
    return {std::istreambuf_iterator<char>(in), {}};
}

/// The field of type Item at byte `offset` of each record of `record_bytes` bytes.
template <class Item>
std::vector<Item> column(const std::vector<char>& records, std::size_t record_bytes, std::size_t offset) {
    std::vector<Item> out(records.size() / record_bytes);
    for (std::size_t i = 0; i < out.size(); ++i)
        std::memcpy(&out[i], records.data() + i * record_bytes + offset, sizeof(Item));
    return out;
}

template <class Item>
std::vector<Item> table(const std::string& name) {
    auto out = column<Item>(file(name), sizeof(Item), 0);
    REQUIRE(out.size() == 65536);
    return out;
}

std::vector<std::uint16_t> every_16_bits() {
    std::vector<std::uint16_t> out(65536);
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<std::uint16_t>(i);
    return out;
}

template <class To, class From>
std::vector<To> cast_bits(DType from, const std::vector<From>& in, DType to) {
    std::vector<To> out(in.size());
    cast_elements(from, reinterpret_cast<const std::byte*>(in.data()), to, reinterpret_cast<std::byte*>(out.data()),
                  in.size());
    return out;
}

/// Compares bit by bit and names the first difference.
template <class To, class From>
void check_cast(DType from, const std::vector<From>& in, DType to, const std::vector<To>& expected) {
    const auto got = cast_bits<To>(from, in, to);
    REQUIRE(got.size() == expected.size());
    std::size_t differences = 0, first = 0;
    for (std::size_t i = got.size(); i-- > 0;)
        if (got[i] != expected[i]) ++differences, first = i;
    INFO(dtype_name(from) << " → " << dtype_name(to) << ", first difference: " << std::hex << +in[first] << " became "
                          << +got[first] << ", expected " << +expected[first]);
    CHECK(differences == 0);
}

std::vector<std::uint64_t> shifted_up(const std::vector<std::uint32_t>& upper) {
    std::vector<std::uint64_t> out;
    for (const std::uint32_t half : upper) out.push_back(std::uint64_t{half} << 32);
    return out;
}

bool is_nan(DType dtype, std::uint64_t bits) {
    switch (dtype) {
        case DType::bf16: return (bits & 0x7FFF) > 0x7F80;
        case DType::f16: return (bits & 0x7FFF) > 0x7C00;
        case DType::f32: return (bits & 0x7FFFFFFF) > 0x7F800000;
        default: return (bits & 0x7FFFFFFFFFFFFFFF) > 0x7FF0000000000000;
    }
}

}  // namespace

TEST_CASE("every bf16 becomes what PyTorch makes of it", "[core][float_formats]") {
    check_cast(DType::bf16, every_16_bits(), DType::f32, table<std::uint32_t>("bf16_to_f32.bin"));
    check_cast(DType::bf16, every_16_bits(), DType::f64, shifted_up(table<std::uint32_t>("bf16_to_f64_upper.bin")));
    check_cast(DType::bf16, every_16_bits(), DType::f16, table<std::uint16_t>("bf16_to_f16.bin"));
}

TEST_CASE("every f16 becomes what PyTorch makes of it", "[core][float_formats]") {
    check_cast(DType::f16, every_16_bits(), DType::f32, table<std::uint32_t>("f16_to_f32.bin"));
    check_cast(DType::f16, every_16_bits(), DType::f64, shifted_up(table<std::uint32_t>("f16_to_f64_upper.bin")));
    check_cast(DType::f16, every_16_bits(), DType::bf16, table<std::uint16_t>("f16_to_bf16.bin"));
}

TEST_CASE("f32 rounds as in PyTorch at halfway, overflow, subnormals and NaN", "[core][float_formats]") {
    const auto cases = file("f32_cases.bin");
    const auto in = column<std::uint32_t>(cases, 16, 0);
    REQUIRE(in.size() > 4000);
    check_cast(DType::f32, in, DType::bf16, column<std::uint16_t>(cases, 16, 4));
    check_cast(DType::f32, in, DType::f16, column<std::uint16_t>(cases, 16, 6));
    check_cast(DType::f32, in, DType::f64, column<std::uint64_t>(cases, 16, 8));
}

TEST_CASE("single elements of f16 have the bits that whole arrays have", "[core][float_formats]") {
    // Arrays are converted by the processor's own instructions where it has them, single elements never.
    const auto from_f16 = table<std::uint32_t>("f16_to_f32.bin");
    const auto f16_as_bf16 = table<std::uint16_t>("f16_to_bf16.bin"),
               from_bf16 = table<std::uint16_t>("bf16_to_f16.bin");
    std::size_t wrong = 0;
    for (const std::uint16_t bits : every_16_bits()) {
        wrong += std::bit_cast<std::uint32_t>(f16_to_f32(bits)) != from_f16[bits];
        wrong += f16_to_bf16(bits) != f16_as_bf16[bits];
        wrong += f32_to_f16(bf16_to_f32(bits)) != from_bf16[bits];
    }
    const auto cases = file("f32_cases.bin");
    const auto in = column<float>(cases, 16, 0);
    const auto expected = column<std::uint16_t>(cases, 16, 6);
    for (std::size_t i = 0; i < in.size(); ++i) wrong += f32_to_f16(in[i]) != expected[i];
    CHECK(wrong == 0);
}

TEST_CASE("f64 rounds as in PyTorch, twice on its way to 16 bits", "[core][float_formats]") {
    const auto cases = file("f64_cases.bin");
    const auto in = column<std::uint64_t>(cases, 16, 0);
    REQUIRE(in.size() > 4000);
    check_cast(DType::f64, in, DType::f32, column<std::uint32_t>(cases, 16, 8));
    check_cast(DType::f64, in, DType::bf16, column<std::uint16_t>(cases, 16, 12));
    check_cast(DType::f64, in, DType::f16, column<std::uint16_t>(cases, 16, 14));
}

TEST_CASE("a cast up and down again changes no number", "[core][float_formats]") {
    const DType narrow = GENERATE(DType::bf16, DType::f16);
    const auto in = every_16_bits();
    const auto by_f32 = cast_bits<std::uint16_t>(DType::f32, cast_bits<float>(narrow, in, DType::f32), narrow);
    const auto by_f64 = cast_bits<std::uint16_t>(DType::f64, cast_bits<double>(narrow, in, DType::f64), narrow);
    std::size_t changed = 0, lost_nans = 0;
    for (std::size_t i = 0; i < in.size(); ++i) {
        if (is_nan(narrow, i))
            lost_nans += !is_nan(narrow, by_f32[i]) || !is_nan(narrow, by_f64[i]);
        else
            changed += by_f32[i] != i || by_f64[i] != i;
    }
    CHECK(changed == 0);
    CHECK(lost_nans == 0);
}

TEST_CASE("a NaN of any payload stays a NaN and a number never becomes one", "[core][float_formats]") {
    const auto singles = column<std::uint32_t>(file("f32_cases.bin"), 16, 0);
    const auto doubles = column<std::uint64_t>(file("f64_cases.bin"), 16, 0);
    const DType narrow = GENERATE(DType::bf16, DType::f16);
    const auto from_singles = cast_bits<std::uint16_t>(DType::f32, singles, narrow);
    const auto from_doubles = cast_bits<std::uint16_t>(DType::f64, doubles, narrow);
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < singles.size(); ++i)
        wrong += is_nan(DType::f32, singles[i]) != is_nan(narrow, from_singles[i]);
    for (std::size_t i = 0; i < doubles.size(); ++i)
        wrong += is_nan(DType::f64, doubles[i]) != is_nan(narrow, from_doubles[i]);
    CHECK(wrong == 0);
}

TEST_CASE("a cast writes exactly its elements, at any length and alignment", "[core][float_formats]") {
    const DType from = GENERATE(DType::f64, DType::f32, DType::f16, DType::bf16);
    const DType to = GENERATE(DType::f64, DType::f32, DType::f16, DType::bf16);
    const std::size_t count = GENERATE(0U, 1U, 7U, 255U, 256U, 257U, 1000U);
    std::vector<std::byte> in(1 + count * item_size(from)), whole(count * item_size(to));
    for (std::size_t i = 0; i < in.size(); ++i) in[i] = static_cast<std::byte>(i * 151 >> 2);
    std::vector<std::byte> out(1 + whole.size() + 1, std::byte{0xAB});
    cast_elements(from, in.data() + 1, to, out.data() + 1, count);
    for (std::size_t i = 0; i < count; ++i)
        cast_elements(from, in.data() + 1 + i * item_size(from), to, whole.data() + i * item_size(to), 1);
    CHECK(std::vector<std::byte>(out.begin() + 1, out.end() - 1) == whole);
    CHECK(out.front() == std::byte{0xAB});
    CHECK(out.back() == std::byte{0xAB});
}

TEST_CASE("a cast to the same type copies every bit, signalling NaNs as well", "[core][float_formats]") {
    const std::vector<std::uint32_t> in{0x7F800001, 0xFFC01234, 0x3F800000, 1};
    CHECK(cast_bits<std::uint32_t>(DType::f32, in, DType::f32) == in);
    CHECK(cast_bits<std::uint16_t>(DType::bf16, every_16_bits(), DType::bf16) == every_16_bits());
    CHECK(cast_bits<std::uint16_t>(DType::f16, every_16_bits(), DType::f16) == every_16_bits());
}

TEST_CASE("single values convert as the format says", "[core][float_formats]") {
    CHECK(bf16_to_f32(0x3F80) == 1.0F);
    CHECK(f16_to_f32(0x3C00) == 1.0F);
    CHECK(f16_to_f32(0x0001) == std::ldexp(1.0F, -24));
    CHECK(f16_to_f32(0xFC00) == -std::numeric_limits<float>::infinity());
    CHECK(f32_to_f16(65504.0F) == 0x7BFF);
    CHECK(f32_to_f16(65520.0F) == 0x7C00);
    CHECK(f32_to_f16(-0.0F) == 0x8000);
    CHECK(f32_to_bf16(std::numeric_limits<float>::max()) == 0x7F80);
    CHECK(f16_to_bf16(0x3C01) == 0x3F80);
    CHECK(std::isnan(bf16_to_f32(f32_to_bf16(std::numeric_limits<float>::signaling_NaN()))));
}
