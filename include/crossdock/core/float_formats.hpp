// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <cstdint>

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
// cast_elements.hpp casts arrays, with the processor's own instructions for f16 where it has them (f16_blocks.hpp).

namespace crossdock {

/// bf16 is the upper half of an f32.
inline float bf16_to_f32(std::uint16_t bits) { return std::bit_cast<float>(std::uint32_t{bits} << 16); }

/// Every NaN becomes `nan`.
inline std::uint16_t f32_to_bf16(float value, std::uint16_t nan = 0xFFFF) {
    const auto bits = std::bit_cast<std::uint32_t>(value);
    const std::uint32_t rounded = (bits + 0x7FFFU + (bits >> 16 & 1U)) >> 16;
    return static_cast<std::uint16_t>((bits & 0x7FFFFFFFU) > 0x7F800000U ? nan : rounded);
}

namespace detail {

/// condition ? a : b, for all three being computed: written with ?: GCC moves the arithmetic into a branch again.
constexpr std::int32_t select(bool condition, std::int32_t a, std::int32_t b) {
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

/// f8_e4m3 is torch's float8_e4m3fn: a sign, 4 bits of exponent with bias 7, 3 of mantissa, no infinities, and NaN where
/// all bits below the sign are set.
constexpr float f8_e4m3_to_f32(std::uint8_t bits) {
    using detail::select;
    const std::int32_t rest = bits & 0x7F;
    const std::int32_t normal = (rest << 20) + (120 << 23);
    const auto subnormal = std::bit_cast<std::int32_t>(static_cast<float>(rest) * 0x1p-9F);
    const std::int32_t finite = select(rest < 0x08, subnormal, normal);
    const std::uint32_t sign = std::uint32_t{bits & 0x80U} << 24;
    return std::bit_cast<float>(sign | static_cast<std::uint32_t>(select(rest < 0x7F, finite, 0x7FC00000)));
}

/// f8_e5m2 is the upper half of an f16.
inline float f8_e5m2_to_f32(std::uint8_t bits) { return f16_to_f32(static_cast<std::uint16_t>(bits << 8)); }

/// What every NaN of an f16 becomes in bf16.
inline constexpr std::uint16_t bf16_nan_of_f16 = 0x7FC0;

inline std::uint16_t f16_to_bf16(std::uint16_t bits) { return f32_to_bf16(f16_to_f32(bits), bf16_nan_of_f16); }

}  // namespace crossdock
