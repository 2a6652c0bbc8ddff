// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <limits>

#include "crossdock/core/recipe.hpp"
#include "support/catch.hpp"
#include "support/memory_source.hpp"
#include "support/numbered_tensor.hpp"

using namespace crossdock;
using test::elements;
using test::numbered;

// What these operations are given comes from files and from other people's plugins; that it fits is checked in every
// build, and what does not is an Error.

namespace {

constexpr std::uint64_t huge = std::uint64_t{1} << 62;

Tensor typed(DType dtype, Shape shape) {
    const std::uint64_t bytes = shape.element_count() * item_size(dtype);
    return region(test::memory_source(std::string(bytes, '\0')), 0, dtype, std::move(shape));
}

Tensor blank(Shape shape, DType dtype = DType::f32) { return {dtype, std::move(shape), nullptr}; }

}  // namespace

TEST_CASE("slice refuses an axis and a range that are not there", "[core][recipe]") {
    const Tensor tensor = numbered({4, 3});
    CHECK_THROWS_WITH(slice(tensor, 0, 2, 5), "a tensor [4, 3] does not have the elements 2 to 5 along axis 0");
    CHECK_THROWS_WITH(slice(tensor, 0, 3, 2), "a tensor [4, 3] does not have the elements 3 to 2 along axis 0");
    CHECK_THROWS_WITH(slice(tensor, 2, 0, 1), "a tensor of 2 axes has no axis 2, counted from 0");
    CHECK_THROWS_AS(slice(numbered(Shape{}), 0, 0, 1), Error);
    CHECK(elements(slice(tensor, 0, 4, 4)).empty());
}

TEST_CASE("reshape refuses another number of elements", "[core][recipe]") {
    CHECK_THROWS_WITH(reshape(numbered({4, 3}), {5, 2}),
                      "a tensor [4, 3] cannot be seen as [5, 2], which has 10 elements");
    CHECK_THROWS_WITH(reshape(numbered({4, 3}), {4, 4}),
                      "a tensor [4, 3] cannot be seen as [4, 4], which has 16 elements");
}

TEST_CASE("swap_axes and transpose refuse axes that are not there", "[core][recipe]") {
    CHECK_THROWS_WITH(transpose(numbered({4})), "a tensor of 1 axes has no axis 1, counted from 0");
    CHECK_THROWS_WITH(swap_axes(numbered({2, 2}), 1), "a tensor of 2 axes has no axis 2, counted from 0");
    CHECK_THROWS_AS(swap_axes(numbered({2, 2}), std::numeric_limits<std::size_t>::max()), Error);
}

TEST_CASE("concatenate refuses parts that do not fit each other", "[core][recipe]") {
    const auto refusal = [](std::vector<Tensor> parts, std::size_t axis = 0) {
        try {
            concatenate(parts, axis);
        } catch (const Error& error) {
            return std::string(error.what());
        }
        return std::string();
    };
    CHECK(refusal({}) == "no tensors are to be put together, expected at least one");
    CHECK(refusal({typed(DType::f32, {2, 3}), typed(DType::bf16, {2, 3})}) ==
          "a tensor [2, 3] of f32 and one [2, 3] of bf16 cannot be put together along axis 0");
    CHECK(refusal({typed(DType::f16, {2, 3}), typed(DType::bf16, {2, 3})}) != "");
    CHECK(refusal({numbered({2, 3}), numbered({2, 4})}) ==
          "a tensor [2, 3] of i32 and one [2, 4] of i32 cannot be put together along axis 0");
    CHECK(refusal({numbered({2, 3}), numbered({2})}) != "");
    CHECK(refusal({numbered({2}), numbered({2})}, 1) == "a tensor of 1 axes has no axis 1, counted from 0");
    CHECK(refusal(std::vector<Tensor>(4, blank({huge}, DType::i8))) != "");
}

TEST_CASE("repeat_last_row refuses a tensor without rows, and fewer rows than there are", "[core][recipe]") {
    CHECK_THROWS_WITH(repeat_last_row(numbered({0, 3}), 2),
                      "the last row of a tensor [0, 3] cannot be repeated to make 2 rows");
    CHECK_THROWS_WITH(repeat_last_row(numbered({4, 3}), 2),
                      "the last row of a tensor [4, 3] cannot be repeated to make 2 rows");
    CHECK_THROWS_AS(repeat_last_row(numbered(Shape{}), 2), Error);
    CHECK_THROWS_AS(repeat_last_row(blank({1, huge}, DType::i8), huge), Error);
}

TEST_CASE("strided_region refuses a number of strides that is not the rank's", "[core][recipe]") {
    CHECK_THROWS_WITH(strided_region(test::memory_source(std::string(16, '\0')), 0, DType::f32, {2, 2}, {2}),
                      "a tensor [2, 2] has 1 strides, expected one for each axis");
    CHECK_THROWS_AS(strided_region(nullptr, 0, DType::f32, {2, 2}, {2, 1}), Error);
    CHECK_THROWS_AS(region(nullptr, 0, DType::f32, {2, 2}), Error);
}

TEST_CASE("a tensor has an element type, and a size that 64 bits hold", "[core][tensor]") {
    CHECK_THROWS_WITH(Tensor(static_cast<DType>(99), {1}, nullptr), "there is no element type number 99");
    CHECK_THROWS_AS(Tensor(DType::f64, {huge}, nullptr), Error);
    CHECK_THROWS_WITH(Tensor(DType::bf16, {4}, typed(DType::f32, {4}).recipe()),
                      "a recipe of elements of 4 bytes makes no tensor of bf16");
    CHECK_THROWS_AS(Tensor(DType::bf16, {4}, cast(typed(DType::bf16, {4}), DType::f32).recipe()), Error);
    CHECK_NOTHROW(Tensor(DType::bf16, {4}, typed(DType::f16, {4}).recipe()));
}

TEST_CASE("a tensor is evaluated within its elements, and only when it has content", "[core][tensor]") {
    std::array<std::byte, 64> out{};
    CHECK_THROWS_WITH(numbered({4}).evaluate(2, std::span(out).first(12)),
                      "a tensor [4] does not have 3 elements from 2 on");
    CHECK_THROWS_AS(numbered({4}).evaluate(5, std::span(out).first(0)), Error);
    CHECK_THROWS_WITH(blank({4}).bytes(), "a tensor [4] without content cannot be evaluated");
    CHECK(blank({0, 4}).bytes().empty());
    CHECK(Tensor().bytes().empty());
}

TEST_CASE("a shape that claims more than the recipe has does not read behind its source", "[core][tensor]") {
    const Tensor claimed(DType::i32, {400}, numbered({4}).recipe());
    CHECK_THROWS_WITH(claimed.bytes(), "memory: bytes up to 1600 are asked for, it holds 16");
    const Tensor of_nothing(DType::i32, {4}, concatenate(std::vector{numbered({0}), numbered({0})}, 0).recipe());
    CHECK_THROWS_WITH(of_nothing.bytes(), "elements are asked of rows without elements");
}

TEST_CASE("what is made of a tensor without content has none either", "[core][recipe]") {
    const Tensor empty = blank({4, 6});
    for (const Tensor& made :
         {slice(empty, 1, 1, 3), reshape(empty, {3, 8}), transpose(empty), swap_axes(reshape(empty, {2, 2, 6}), 0),
          concatenate(std::vector{empty, typed(DType::f32, {1, 6})}, 0), repeat_last_row(empty, 8),
          cast(empty, DType::bf16), swap_bytes(empty)}) {
        CHECK_FALSE(made.has_content());
        CHECK_THROWS_AS(made.bytes(), Error);
    }
    CHECK(concatenate(std::vector{blank({0, 6}), typed(DType::f32, {1, 6})}, 0).has_content());
}

TEST_CASE("elements are cast between floats only", "[core][float_formats]") {
    std::array<std::byte, 8> in{}, out{};
    CHECK_THROWS_WITH(cast_elements(DType::i32, in.data(), DType::f32, out.data(), 1),
                      "elements of i32 are not cast; only those of f64, f32, f16 and bf16");
    CHECK_THROWS_AS(cast_elements(DType::f32, in.data(), DType::f8_e4m3, out.data(), 1), Error);
}

TEST_CASE("tensors of several float types are cast to one that holds them all", "[core][recipe]") {
    const auto common = [](std::vector<DType> types) {
        std::vector<Tensor> tensors;
        for (const DType dtype : types) tensors.push_back(typed(dtype, {2}));
        cast_to_common(tensors);
        for (const Tensor& tensor : tensors) CHECK(tensor.dtype() == tensors.front().dtype());
        return tensors.front().dtype();
    };
    CHECK(common({DType::bf16, DType::f32}) == DType::f32);
    CHECK(common({DType::bf16, DType::f16}) == DType::f32);
    CHECK(common({DType::f16, DType::f64, DType::bf16}) == DType::f64);
    CHECK(common({DType::i8, DType::i8}) == DType::i8);
    CHECK_THROWS_WITH(common({DType::f32, DType::i8}), "no type holds both f32 and i8");
}

TEST_CASE("checked_divide shares out equally or not at all", "[core][checked]") {
    CHECK(checked_divide(12, 4, "rows") == 3);
    CHECK(checked_divide(0, 4, "rows") == 0);
    CHECK_THROWS_WITH(checked_divide(12, 0, "rows"), "rows: 12 cannot be shared out equally among 0");
    CHECK_THROWS_WITH(checked_divide(12, 5, "rows"), "rows: 12 cannot be shared out equally among 5");
}
