// SPDX-License-Identifier: Apache-2.0
#include "crossdock/core/tensor_view.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "crossdock/core/recipe.hpp"
#include "support/catch.hpp"

using namespace crossdock;

static_assert(dtype_of<double> == DType::f64 && dtype_of<float> == DType::f32 && dtype_of<bool> == DType::boolean);
static_assert(dtype_of<std::int64_t> == DType::i64 && dtype_of<std::int32_t> == DType::i32);
static_assert(dtype_of<long long> == DType::i64 && dtype_of<long> == DType::i64);
static_assert(dtype_of<std::int16_t> == DType::i16 && dtype_of<std::int8_t> == DType::i8);
static_assert(dtype_of<std::uint8_t> == DType::u8);

namespace {

Tensor tensor_of_bytes(std::vector<std::byte> bytes, DType dtype, Shape shape) {
    const auto owner = std::make_shared<const std::vector<std::byte>>(std::move(bytes));
    return region(std::make_shared<MemorySource>(*owner, owner), 0, dtype, std::move(shape));
}

}  // namespace

TEMPLATE_TEST_CASE("an xtensor array comes back as it went into a tensor", "[core][tensor_view]", double, float,
                   std::int64_t, std::int32_t, std::int16_t, std::int8_t, std::uint8_t, bool) {
    xt::xarray<TestType> array = xt::xarray<TestType>::from_shape({2, 3, 2});
    for (std::size_t i = 0; i < array.size(); ++i) array.data()[i] = static_cast<TestType>(i % 5 == 1);
    const Tensor tensor = from_xtensor(array);
    CHECK(tensor.dtype() == dtype_of<TestType>);
    CHECK(tensor.shape() == Shape{2, 3, 2});
    CHECK((to_xtensor<TestType>(tensor) == array));
}

TEST_CASE("an xtensor array that is moved into a tensor is not copied", "[core][tensor_view]") {
    xt::xarray<float> array{{1, 2, 3}, {4, 5, 6}};
    const float* elements = array.data();
    const Tensor tensor = from_xtensor(std::move(array));
    *const_cast<float*>(elements) = 7;  // the tensor sees it only if it holds this very memory
    CHECK(to_xtensor<float>(tensor)(0, 0) == 7);
}

TEST_CASE("a tensor keeps the array it was made of alive and apart from the caller's", "[core][tensor_view]") {
    Tensor tensor;
    {
        xt::xarray<std::int64_t> array{1, 2, 3};
        tensor = from_xtensor(array);
        array(0) = 9;
    }
    CHECK((to_xtensor<std::int64_t>(tensor) == xt::xarray<std::int64_t>{1, 2, 3}));
}

TEST_CASE("an xtensor expression or column-major array becomes a tensor in C order", "[core][tensor_view]") {
    const xt::xarray<float, xt::layout_type::column_major> columns{{1, 2, 3}, {4, 5, 6}};
    const xt::xarray<float> rows{{1, 2, 3}, {4, 5, 6}};
    CHECK(from_xtensor(columns).bytes() == from_xtensor(rows).bytes());
    CHECK((to_xtensor<float>(from_xtensor(rows + rows)) == xt::xarray<float>{{2, 4, 6}, {8, 10, 12}}));
}

TEST_CASE("a tensor's recipe is evaluated into an xtensor array", "[core][tensor_view]") {
    const Tensor tensor = from_xtensor(xt::xarray<float>{{1, 2, 3}, {4, 5, 6}});
    CHECK((to_xtensor<float>(transpose(tensor)) == xt::xarray<float>{{1, 4}, {2, 5}, {3, 6}}));
    CHECK((to_xtensor<double>(cast(slice(tensor, 1, 1, 3), DType::f64)) == xt::xarray<double>{{2, 3}, {5, 6}}));
}

TEST_CASE("bf16 is seen as numbers after a cast and as bits without one", "[core][tensor_view]") {
    const Tensor tensor = cast(from_xtensor(xt::xarray<float>{1.0F, -2.0F}), DType::bf16);
    CHECK((to_xtensor<std::uint16_t>(tensor) == xt::xarray<std::uint16_t>{0x3F80, 0xC000}));
    CHECK((to_xtensor<float>(cast(tensor, DType::f32)) == xt::xarray<float>{1.0F, -2.0F}));
    const Tensor again = from_xtensor(xt::xarray<std::uint16_t>{0x3F80, 0xC000}, DType::bf16);
    CHECK(again.dtype() == DType::bf16);
    CHECK(again.bytes() == tensor.bytes());
}

TEST_CASE("8-bit floats are seen as bits", "[core][tensor_view]") {
    const Tensor tensor = from_xtensor(xt::xarray<std::uint8_t>{1, 255}, DType::f8_e4m3);
    CHECK(tensor.dtype() == DType::f8_e4m3);
    CHECK((to_xtensor<std::uint8_t>(tensor) == xt::xarray<std::uint8_t>{1, 255}));
}

TEST_CASE("any byte but zero is true in an array of bool", "[core][tensor_view]") {
    const Tensor tensor = tensor_of_bytes({std::byte{0}, std::byte{1}, std::byte{7}}, DType::boolean, {3});
    CHECK((to_xtensor<bool>(tensor) == xt::xarray<bool>{false, true, true}));
}

TEST_CASE("scalars and empty tensors have their xtensor arrays", "[core][tensor_view]") {
    const Tensor scalar = from_xtensor(xt::xarray<float>(3.0F));
    CHECK(scalar.shape() == Shape{});
    CHECK(to_xtensor<float>(scalar)() == 3.0F);
    const Tensor empty = from_xtensor(xt::xarray<float>::from_shape({2, 0, 3}));
    CHECK(empty.shape() == Shape{2, 0, 3});
    CHECK(to_xtensor<float>(empty).size() == 0);
    CHECK(to_xtensor<float>(Tensor()).size() == 0);
}

TEST_CASE("a tensor is not taken as an array of another type", "[core][tensor_view]") {
    const Tensor half = from_xtensor(xt::xarray<std::uint16_t>{1, 2}, DType::bf16);
    CHECK_THROWS_WITH(to_xtensor<float>(half),
                      "a tensor of bf16 and an array of f32 differ in their elements; cast the tensor first, or take "
                      "its bits as std::uint16_t");
    const Tensor whole = from_xtensor(xt::xarray<std::int32_t>{1, 2});
    CHECK_THROWS_WITH(to_xtensor<std::int64_t>(whole),
                      "a tensor of i32 and an array of i64 differ in their elements; use the tensor's own type");
    CHECK_THROWS_WITH(to_xtensor<std::uint16_t>(whole),
                      "a tensor of i32 and an array of std::uint16_t (the bits of f16 or bf16) differ in their "
                      "elements; use the tensor's own type");
    CHECK_THROWS_WITH(from_xtensor(xt::xarray<float>{1.0F}, DType::f64),
                      "a tensor of f64 and an array of f32 differ in their elements; cast the tensor first");
}
