// SPDX-License-Identifier: Apache-2.0
#include "crossdock/core/from_memory.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "support/catch.hpp"

using namespace crossdock;

TEST_CASE("a vector becomes a tensor of its elements without being copied", "[core][from_memory]") {
    std::vector<float> values{1, 2, 3, 4, 5, 6};
    const float* const elements = values.data();
    const Tensor tensor = from_vector(std::move(values), {2, 3});
    CHECK(tensor.dtype() == DType::f32);
    CHECK(tensor.shape() == Shape{2, 3});
    *const_cast<float*>(elements) = 7;  // the tensor sees it only if it holds this very memory
    std::array<float, 6> out{};
    tensor.evaluate(0, std::as_writable_bytes(std::span(out)));
    CHECK(out == std::array<float, 6>{7, 2, 3, 4, 5, 6});
}

TEST_CASE("what is derived from a vector's tensor keeps the vector alive", "[core][from_memory]") {
    const Tensor row = slice(from_vector(std::vector<std::int64_t>{1, 2, 3, 4}, {2, 2}), 0, 1, 2);
    std::array<std::int64_t, 2> out{};
    row.evaluate(0, std::as_writable_bytes(std::span(out)));
    CHECK(out == std::array<std::int64_t, 2>{3, 4});
}

TEST_CASE("unsigned integers are taken for the bits of small floats", "[core][from_memory]") {
    const Tensor ones = from_vector(std::vector<std::uint16_t>{0x3F80, 0x3F80}, {2}, DType::bf16);
    CHECK(cast(ones, DType::f32).bytes() == from_vector(std::vector<float>{1, 1}, {2}).bytes());
    CHECK(from_vector(std::vector<std::uint8_t>{0x38}, {1}, DType::f8_e4m3).dtype() == DType::f8_e4m3);
    CHECK(from_vector(std::vector<std::uint8_t>{0x38}, {1}).dtype() == DType::u8);
}

TEST_CASE("a vector is refused where shape or type do not fit it", "[core][from_memory]") {
    CHECK_THROWS_WITH(from_vector(std::vector<float>{1, 2, 3}, {2, 2}),
                      "a tensor [2, 2] has 4 elements, the vector for it 3");
    CHECK_THROWS_WITH(from_vector(std::vector<float>{1, 2, 3, 4, 5}, {2, 2}),
                      "a tensor [2, 2] has 4 elements, the vector for it 5");
    CHECK_THROWS_WITH(from_vector(std::vector<float>{1}, {1}, DType::i32),
                      "a tensor of i32 and an array of f32 differ in their elements; use the tensor's own type");
}

TEST_CASE("bytes become a tensor that shares their owner", "[core][from_memory]") {
    const auto owner = std::make_shared<const std::array<double, 2>>(std::array<double, 2>{0.5, 2});
    {
        const Tensor tensor = from_bytes(std::as_bytes(std::span(*owner)), owner, DType::f64, {2});
        CHECK(owner.use_count() == 2);
        CHECK(tensor.bytes() ==
              std::vector<std::byte>(std::as_bytes(std::span(*owner)).begin(), std::as_bytes(std::span(*owner)).end()));
    }
    CHECK(owner.use_count() == 1);
}

TEST_CASE("bytes are refused where the tensor has more or fewer", "[core][from_memory]") {
    const std::vector<std::byte> bytes(10);
    CHECK_THROWS_WITH(from_bytes(bytes, nullptr, DType::f32, {2}),
                      "a tensor [2] of f32 has 8 bytes, the memory for it 10");
    CHECK_THROWS_WITH(from_bytes(bytes, nullptr, DType::f32, {3}),
                      "a tensor [3] of f32 has 12 bytes, the memory for it 10");
    CHECK(from_bytes({}, nullptr, DType::f32, {0, 7}).bytes().empty());
}
