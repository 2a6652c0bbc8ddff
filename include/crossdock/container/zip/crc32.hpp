// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <libdeflate.h>

#include <cstddef>
#include <cstdint>
#include <span>

namespace crossdock::zip {

/// The checksum that zip files use: polynomial 0x04C11DB7, bits reflected.
inline std::uint32_t crc32(std::span<const std::byte> bytes) { return libdeflate_crc32(0, bytes.data(), bytes.size()); }

namespace detail {

/// a · b modulo the polynomial. Bit 31 stands for x^0, so multiplying by x is a shift to the right.
constexpr std::uint32_t multiply_polynomials(std::uint32_t a, std::uint32_t b) {
    std::uint32_t product = 0;
    for (std::uint32_t bit = 0x80000000U; bit != 0; bit >>= 1) {
        if (a & bit) product ^= b;
        b = (b & 1U) != 0 ? b >> 1 ^ 0xEDB88320U : b >> 1;
    }
    return product;
}

/// x^(8 · bytes) modulo the polynomial: what `bytes` further bytes do to a checksum.
constexpr std::uint32_t shift_by_bytes(std::uint64_t bytes) {
    std::uint32_t result = 0x80000000U, square = 0x00800000U;
    for (; bytes > 0; bytes >>= 1) {
        if (bytes & 1U) result = multiply_polynomials(square, result);
        square = multiply_polynomials(square, square);
    }
    return result;
}

}  // namespace detail

/// The checksum of two pieces one after the other, from the checksum of each and the second one's length.
constexpr std::uint32_t combine_crc32(std::uint32_t first, std::uint32_t second, std::uint64_t second_bytes) {
    return detail::multiply_polynomials(detail::shift_by_bytes(second_bytes), first) ^ second;
}

}  // namespace crossdock::zip
