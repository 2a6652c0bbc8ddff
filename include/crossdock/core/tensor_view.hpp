// SPDX-License-Identifier: Apache-2.0
#pragma once

// xtensor moved its headers into folders in version 0.26.
#if __has_include(<xtensor/containers/xarray.hpp>)
#include <xtensor/containers/xarray.hpp>
#else
#include <xtensor/xarray.hpp>
#endif

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "crossdock/core/error.hpp"
#include "crossdock/core/recipe.hpp"
#include "crossdock/core/tensor.hpp"
#include "crossdock/core/text.hpp"

namespace crossdock {

/// An xtensor array whose elements lie in C order, as a tensor's do; xt::xarray<T>, unless xtensor was told otherwise.
template <class T>
using Array = xt::xarray<T, xt::layout_type::row_major>;

namespace detail {

template <class T>
constexpr DType find_dtype() {
    if constexpr (std::same_as<T, double>)
        return DType::f64;
    else if constexpr (std::same_as<T, float>)
        return DType::f32;
    else if constexpr (std::same_as<T, bool>)
        return DType::boolean;
    else if constexpr (std::same_as<T, std::uint8_t>)
        return DType::u8;
    else {
        static_assert(std::signed_integral<T>, "checkpoints hold no elements of this type");
        return sizeof(T) == 8 ? DType::i64 : sizeof(T) == 4 ? DType::i32 : sizeof(T) == 2 ? DType::i16 : DType::i8;
    }
}

/// The unsigned integer that can hold the bits of a float which C++20 has no type for; empty for other types.
constexpr std::string_view bits_type(DType dtype) {
    switch (dtype) {
        case DType::f16:
        case DType::bf16: return "std::uint16_t";
        case DType::f8_e4m3:
        case DType::f8_e5m2: return "std::uint8_t";
        default: return "";
    }
}

/// Whether an array of T holds elements of `dtype`: as values, or the bits of those that have no C++ type.
template <class T>
constexpr bool holds(DType dtype) {
    if constexpr (std::same_as<T, std::uint16_t>)
        return dtype == DType::f16 || dtype == DType::bf16;
    else
        return dtype == find_dtype<T>() || (std::same_as<T, std::uint8_t> && bits_type(dtype) == "std::uint8_t");
}

template <class T>
constexpr std::string_view array_name() {
    if constexpr (std::same_as<T, std::uint16_t>)
        return "std::uint16_t (the bits of f16 or bf16)";
    else
        return dtype_name(find_dtype<T>());
}

template <class T>
void check_holds(DType dtype) {
    if (holds<T>(dtype)) return;
    const std::string_view bits = bits_type(dtype);
    throw Error(to_text("a tensor of ", dtype_name(dtype), " and an array of ", array_name<T>(),
                        " differ in their elements; ",
                        is_castable(dtype) ? "cast the tensor first" : "use the tensor's own type",
                        bits.empty() ? "" : to_text(", or take its bits as ", bits)));
}

}  // namespace detail

/// The dtype whose elements are T's: dtype_of<float> == DType::f32. There is none for f16, bf16 and the 8-bit floats.
template <class T>
inline constexpr DType dtype_of = detail::find_dtype<T>();

/// Evaluates the tensor. T must be the tensor's own type, or else Error is thrown: to see bf16 and f16 as numbers, cast
/// to f32 first; to see their bits, ask for std::uint16_t (for 8-bit floats, std::uint8_t).
template <class T>
Array<T> to_xtensor(const Tensor& tensor) {
    detail::check_holds<T>(tensor.dtype());
    auto array = Array<T>::from_shape(std::vector<std::size_t>(tensor.shape().begin(), tensor.shape().end()));
    if constexpr (std::same_as<T, bool>) {
        // A file may hold other bytes than 0 and 1, which a bool must not.
        const std::vector<std::byte> bytes = tensor.bytes();
        for (std::size_t i = 0; i < bytes.size(); ++i) array.data()[i] = bytes[i] != std::byte{0};
    } else {
        tensor.evaluate(0, std::as_writable_bytes(std::span(array.data(), array.size())));
    }
    return array;
}

/// A tensor of the elements of an xtensor array or expression; an Array that is moved in is not copied. Arrays of
/// std::uint16_t hold the bits of f16 or bf16, so say which.
template <class E>
Tensor from_xtensor(E&& expression, DType dtype) {
    using T = typename std::remove_cvref_t<E>::value_type;
    detail::check_holds<T>(dtype);
    const auto array = std::make_shared<const Array<T>>(std::forward<E>(expression));
    Shape shape(std::vector<std::uint64_t>(array->shape().begin(), array->shape().end()));
    const auto bytes = std::as_bytes(std::span(array->data(), array->size()));
    return region(std::make_shared<MemorySource>(bytes, array), 0, dtype, std::move(shape));
}

template <class E>
Tensor from_xtensor(E&& expression) {
    return from_xtensor(std::forward<E>(expression), dtype_of<typename std::remove_cvref_t<E>::value_type>);
}

}  // namespace crossdock
