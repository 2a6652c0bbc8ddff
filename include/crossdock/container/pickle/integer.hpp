// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace crossdock::pickle::detail {

// Pickle's integers of any length: two's complement, the lowest byte first, no bytes for zero.

inline char sign_extension(char byte) { return (static_cast<unsigned char>(byte) & 0x80U) != 0 ? '\xFF' : '\0'; }

/// The same integer in as few bytes as can be.
inline std::string_view shortest(std::string_view integer) {
    while (integer.size() > 1 && integer.back() == sign_extension(integer[integer.size() - 2]))
        integer.remove_suffix(1);
    return integer;
}

/// The value of an integer of at most 8 bytes.
inline std::int64_t to_int64(std::string_view integer) {
    std::uint64_t number = 0;
    for (std::size_t at = 0; at < 8; ++at) {
        const char beyond = integer.empty() ? '\0' : sign_extension(integer.back());
        const char byte = at < integer.size() ? integer[at] : beyond;
        number |= std::uint64_t{static_cast<unsigned char>(byte)} << (8 * at);
    }
    return static_cast<std::int64_t>(number);
}

/// Python's own bound for decimal digits, as their conversion takes time quadratic in it.
inline constexpr std::size_t decimal_digit_limit = 4300;

/// A decimal integer; empty when it is not one, or has too many digits.
inline std::optional<std::string> from_decimal(std::string_view digits) {
    const bool is_negative = digits.starts_with('-');
    if (is_negative) digits.remove_prefix(1);
    const bool is_decimal = !digits.empty() && digits.find_first_not_of("0123456789") == digits.npos;
    if (!is_decimal || digits.size() > decimal_digit_limit) return std::nullopt;
    std::string integer(digits.size() / 2 + 2, '\0');  // less than four bits a digit, and the sign
    const auto set_low_byte = [](char& byte, unsigned& carry) {
        byte = static_cast<char>(carry & 0xFFU);
        carry >>= 8;
    };
    for (const char digit : digits) {
        unsigned carry = static_cast<unsigned>(digit - '0');
        for (char& byte : integer) {
            carry += 10U * static_cast<unsigned char>(byte);
            set_low_byte(byte, carry);
        }
    }
    unsigned carry = 1;  // -x is ~x + 1
    for (char& byte : integer) {
        if (!is_negative) break;
        carry += static_cast<unsigned char>(~static_cast<unsigned char>(byte));
        set_low_byte(byte, carry);
    }
    return integer;
}

}  // namespace crossdock::pickle::detail
