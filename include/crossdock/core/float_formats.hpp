// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "crossdock/core/dtype.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/text.hpp"

// The casts give the bits of PyTorch 2.13's Tensor.to() on x86 CPUs: round to nearest even, overflow to infinity,
// subnormals kept, and a NaN stays a NaN. Which NaN is where PyTorch does not agree with itself: it differs between its
// vectorised and its scalar loops, so with the tensor's length, its strides and the CPU. What holds here is what a
// contiguous tensor of many elements gives with AVX2 and AVX-512 alike (tests/data/casts/make.py records it):
//
//     f32, f64 → bf16         0xFFFF for every NaN; PyTorch's scalar loops give 0x7FC0
//     f16 → bf16              0x7FC0 for every NaN
//     f32, f64, bf16 → f16    quiet, with the sign and the upper bits of the payload; without F16C 0x7E00 with the sign
//     f16 → f32               quiet, with sign and payload; tensors of a few elements give 0x7FFFFFFF
//     bf16 → f32              the same bits and 16 zeros: the one cast that keeps a signalling NaN signalling
//     f32 ↔ f64               quiet, with the sign and the upper bits of the payload, as the hardware does
//
// All are written as selections between values that are computed anyway: without branches, compilers vectorise them.

namespace crossdock {

/// bf16 is the upper half of an f32.
inline float bf16_to_f32(std::uint16_t bits) { return std::bit_cast<float>(std::uint32_t{bits} << 16); }

/// Every NaN becomes 0xFFFF.
inline std::uint16_t f32_to_bf16(float value) {
    const auto bits = std::bit_cast<std::uint32_t>(value);
    const std::uint32_t rounded = (bits + 0x7FFFU + (bits >> 16 & 1U)) >> 16;
    return static_cast<std::uint16_t>((bits & 0x7FFFFFFFU) > 0x7F800000U ? 0xFFFFU : rounded);
}

namespace detail {

/// condition ? a : b, for all three being computed: written with ?: GCC moves the arithmetic into a branch again.
inline std::int32_t select(bool condition, std::int32_t a, std::int32_t b) {
    return b ^ ((a ^ b) & -std::int32_t{condition});
}

}  // namespace detail

// The two below keep what lies under the sign in an int32_t: SSE2 compares signed numbers only.

inline float f16_to_f32(std::uint16_t bits) {
    using detail::select;
    const std::int32_t rest = bits & 0x7FFF;
    const std::int32_t normal = (rest << 13) + (112 << 23);
    const std::int32_t infinite_or_nan = rest << 13 | 0x7F800000 | select(rest > 0x7C00, 0x400000, 0);
    const auto subnormal = std::bit_cast<std::int32_t>(static_cast<float>(rest) * 0x1p-24F);
    const std::int32_t finite = select(rest < 0x400, subnormal, normal);
    const std::uint32_t sign = std::uint32_t{bits & 0x8000U} << 16;
    return std::bit_cast<float>(sign | static_cast<std::uint32_t>(select(rest < 0x7C00, finite, infinite_or_nan)));
}

/// A NaN keeps its sign and the upper bits of its payload.
inline std::uint16_t f32_to_f16(float value) {
    using detail::select;
    const auto bits = std::bit_cast<std::uint32_t>(value);
    const auto rest = static_cast<std::int32_t>(bits & 0x7FFFFFFFU);
    const std::int32_t normal = (rest - (112 << 23) + 0xFFF + (rest >> 13 & 1)) >> 13;
    // An f16 subnormal counts in units of 2^-24, which are 0.5F's last bit: adding 0.5 lets the hardware round there.
    const std::int32_t subnormal = std::bit_cast<std::int32_t>(std::bit_cast<float>(rest) + 0.5F) - 0x3F000000;
    const std::int32_t nan = 0x7E00 | (rest >> 13 & 0x3FF);
    const std::int32_t small = select(rest < 0x38800000, subnormal, normal);
    const std::int32_t finite = select(rest < 0x477FF000, small, 0x7C00);
    const std::uint32_t sign = bits >> 16 & 0x8000U;
    return static_cast<std::uint16_t>(sign | static_cast<std::uint32_t>(select(rest > 0x7F800000, nan, finite)));
}

/// Every NaN becomes 0x7FC0.
inline std::uint16_t f16_to_bf16(std::uint16_t bits) {
    const std::uint16_t rounded = f32_to_bf16(f16_to_f32(bits));
    return (bits & 0x7FFFU) > 0x7C00U ? std::uint16_t{0x7FC0} : rounded;
}

namespace detail {

/// What an element is held in: the value itself, or the bits of a 16-bit float.
template <DType dtype>
using FloatItem =
    std::conditional_t<dtype == DType::f64, double, std::conditional_t<dtype == DType::f32, float, std::uint16_t>>;

/// f64 goes to the 16-bit types by way of f32, rounding twice, as in PyTorch.
template <DType from, DType to>
FloatItem<to> cast_one(FloatItem<from> value) {
    if constexpr (from == to)
        return value;
    else if constexpr (from == DType::f16 && to == DType::bf16)
        return f16_to_bf16(value);
    else if constexpr (from == DType::f16)
        return cast_one<DType::f32, to>(f16_to_f32(value));
    else if constexpr (from == DType::bf16)
        return cast_one<DType::f32, to>(bf16_to_f32(value));
    else if constexpr (to == DType::f16)
        return f32_to_f16(static_cast<float>(value));
    else if constexpr (to == DType::bf16)
        return f32_to_bf16(static_cast<float>(value));
    else
        return static_cast<FloatItem<to>>(value);
}

/// Casts by way of local arrays of a fixed length: a loop of known length over arrays that cannot overlap is one that
/// GCC vectorises at -O2 already. `in` and `out` need no alignment.
template <DType from, DType to>
void cast_all(const std::byte* in, std::byte* out, std::uint64_t count) {
    constexpr std::size_t block = 256;
    FloatItem<from> values[block] = {};
    FloatItem<to> results[block];
    for (std::uint64_t done = 0; done < count; done += block) {
        const auto part = static_cast<std::size_t>(std::min<std::uint64_t>(block, count - done));
        std::memcpy(values, in + done * sizeof(values[0]), part * sizeof(values[0]));
        for (std::size_t i = 0; i < block; ++i) results[i] = cast_one<from, to>(values[i]);
        std::memcpy(out + done * sizeof(results[0]), results, part * sizeof(results[0]));
    }
}

/// Calls use.operator()<dtype>() for a castable dtype.
template <class Use>
void with_float_type(DType dtype, Use&& use) {
    switch (dtype) {
        case DType::f64: return use.template operator()<DType::f64>();
        case DType::f32: return use.template operator()<DType::f32>();
        case DType::f16: return use.template operator()<DType::f16>();
        case DType::bf16: return use.template operator()<DType::bf16>();
        default:
            throw Error(
                to_text("elements of ", dtype_name(dtype), " are not cast; only those of f64, f32, f16 and bf16"));
    }
}

}  // namespace detail

/// Casts `count` elements between castable float types; throws Error for other types. The ranges do not overlap and
/// need no alignment.
inline void cast_elements(DType from, const std::byte* in, DType to, std::byte* out, std::uint64_t count) {
    detail::with_float_type(from, [&]<DType f>() {
        detail::with_float_type(to, [&]<DType t>() { detail::cast_all<f, t>(in, out, count); });
    });
}

}  // namespace crossdock
