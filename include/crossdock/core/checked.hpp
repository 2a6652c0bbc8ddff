// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

#include "crossdock/core/error.hpp"
#include "crossdock/core/text.hpp"

namespace crossdock {

namespace detail {

/// Apart from the check, which is small and made everywhere.
[[noreturn, gnu::cold, gnu::noinline]] inline void refuse_overflow(std::string_view what, std::uint64_t a,
                                                                   std::string_view sign, std::uint64_t b) {
    throw Error(to_text(what, ": ", a, ' ', sign, ' ', b, " overflows 64 bits"));
}

}  // namespace detail

/// a × b; throws Error naming `what` when 64 bits do not hold it.
inline std::uint64_t checked_multiply(std::uint64_t a, std::uint64_t b, std::string_view what) {
    std::uint64_t result = 0;
    if (__builtin_mul_overflow(a, b, &result)) detail::refuse_overflow(what, a, "×", b);
    return result;
}

/// a + b; throws Error naming `what` when 64 bits do not hold it.
inline std::uint64_t checked_add(std::uint64_t a, std::uint64_t b, std::string_view what) {
    std::uint64_t result = 0;
    if (__builtin_add_overflow(a, b, &result)) detail::refuse_overflow(what, a, "+", b);
    return result;
}

/// a / b; throws Error naming `what` when b is 0 or does not divide a: parts that are said to be equal must be.
inline std::uint64_t checked_divide(std::uint64_t a, std::uint64_t b, std::string_view what) {
    if (b == 0 || a % b != 0) throw Error(to_text(what, ": ", a, " cannot be shared out equally among ", b));
    return a / b;
}

}  // namespace crossdock
