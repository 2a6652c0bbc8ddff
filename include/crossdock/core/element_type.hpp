// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <cstdint>
#include <string_view>

#include "crossdock/core/dtype.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/text.hpp"

namespace crossdock {

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

/// Whether an array of T can hold elements of `dtype`: as values, or as the bits of those that have no C++ type.
template <class T>
constexpr bool can_hold(DType dtype) {
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

/// Throws Error when an array of T cannot hold elements of `dtype`.
template <class T>
void require_can_hold(DType dtype) {
    if (can_hold<T>(dtype)) return;
    const std::string_view bits = bits_type(dtype);
    throw Error(to_text("a tensor of ", dtype_name(dtype), " and an array of ", array_name<T>(),
                        " differ in their elements; ",
                        is_castable(dtype) ? "cast the tensor first" : "use the tensor's own type",
                        bits.empty() ? "" : to_text(", or take its bits as ", bits)));
}

}  // namespace detail

/// The dtype whose elements are T's: dtype_of<float> == DType::f32. There is none for f16, bf16 and the 8-bit floats,
/// which have no type in C++20.
template <class T>
inline constexpr DType dtype_of = detail::find_dtype<T>();

}  // namespace crossdock
