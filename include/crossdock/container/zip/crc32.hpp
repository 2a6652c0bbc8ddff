// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <libdeflate.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace crossdock::zip {

/// The checksum that zip files use: polynomial 0x04C11DB7, bits reflected. `before` is that of what comes before.
inline std::uint32_t crc32(std::span<const std::byte> bytes, std::uint32_t before = 0) {
    return libdeflate_crc32(before, bytes.data(), bytes.size());
}

namespace detail {

/// a · b modulo the polynomial. Bit 31 stands for x^0, so multiplying by x is a shift to the right.
constexpr std::uint32_t multiply_polynomials(std::uint32_t a, std::uint32_t b) {
    std::uint32_t product = 0;
    for (; a != 0; a <<= 1) {
        if (a & 0x80000000U) product ^= b;
        b = (b & 1U) != 0 ? b >> 1 ^ 0xEDB88320U : b >> 1;
    }
    return product;
}

/// x^8, x^16, x^32 … modulo the polynomial: what 1, 2, 4 … further bytes do to a checksum.
inline constexpr std::array<std::uint32_t, 64> shifts = [] {
    std::array<std::uint32_t, 64> powers{};
    std::uint32_t power = 0x00800000U;
    for (std::uint32_t& entry : powers) {
        entry = power;
        power = multiply_polynomials(power, power);
    }
    return powers;
}();

}  // namespace detail

/// What a piece adds to the checksum of the whole that it is cut from, of which `bytes_behind` bytes follow it. The
/// whole's checksum is the XOR of what its pieces add, in whichever order.
constexpr std::uint32_t crc32_share(std::uint32_t piece, std::uint64_t bytes_behind) {
    for (std::size_t bit = 0; bytes_behind != 0; ++bit, bytes_behind >>= 1)
        if (bytes_behind & 1U) piece = detail::multiply_polynomials(detail::shifts[bit], piece);
    return piece;
}

}  // namespace crossdock::zip
