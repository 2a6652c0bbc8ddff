// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace crossdock {

/// A sum of floating-point numbers without any rounding, and so the same in whatever order they are added: a fixed-point
/// number wide enough for every bit that a double can have.
class ExactSum {
public:
    /// Adds mantissa · 2^(position - 1074); 2^-1074 is the smallest double. `position` is at most 2046.
    void add(std::int64_t mantissa, unsigned position) {
        const bool is_negative = mantissa < 0;
        std::uint64_t rest =
            is_negative ? 0 - static_cast<std::uint64_t>(mantissa) : static_cast<std::uint64_t>(mantissa);
        const unsigned shift = position % digit_bits;
        std::size_t at = position / digit_bits;
        const auto put = [&](std::uint64_t digit) {
            const auto value = static_cast<std::int64_t>(digit);
            digits_[at++] += is_negative ? -value : value;
        };
        put((rest << shift) & digit_mask);
        rest >>= digit_bits - shift;
        put(rest & digit_mask);
        put(rest >> digit_bits);
        if (++since_carried_ == most_between) carry();
    }

    void add(const ExactSum& other) {
        ExactSum addend = other;
        addend.carry();
        carry();
        for (std::size_t i = 0; i < digits_.size(); ++i) digits_[i] += addend.digits_[i];
        carry();
    }

    /// The double next to it, an even one where two are as near; infinite beyond all doubles.
    double value() const {
        ExactSum sum = *this;
        sum.carry();
        const bool is_negative = sum.digits_.back() < 0;
        if (is_negative) {
            for (std::int64_t& digit : sum.digits_) digit = -digit;
            sum.carry();
        }
        std::size_t top = sum.digits_.size();
        while (top > 0 && sum.digits_[top - 1] == 0) --top;
        const double magnitude = sum.rounded(top);
        return is_negative ? -magnitude : magnitude;
    }

private:
    static constexpr unsigned digit_bits = 32;
    static constexpr std::uint64_t digit_mask = 0xFFFFFFFF;
    static constexpr std::uint32_t most_between = std::uint32_t{1} << 30;

    /// Brings all digits but the last, which has the sign, into [0, 2^32).
    void carry() {
        std::int64_t over = 0;
        for (std::size_t i = 0; i + 1 < digits_.size(); ++i) {
            const std::int64_t digit = digits_[i] + over;
            digits_[i] = static_cast<std::int64_t>(static_cast<std::uint64_t>(digit) & digit_mask);
            over = digit >> digit_bits;  // rounds down
        }
        digits_.back() += over;
        since_carried_ = 0;
    }

    /// The digits below `top`, of which the last is none of the zeros in front. The 64 bits from the first one that is
    /// set are rounded at once: the last of them stands for all that follow, which only tell which side of the middle
    /// the number lies on.
    double rounded(std::size_t top) const {
        if (top == 0) return 0;
        const auto digit = [&](std::size_t below) {
            return top > below ? static_cast<std::uint64_t>(digits_[top - 1 - below]) : 0;
        };
        std::uint64_t bits = digit(0) << digit_bits | digit(1), rest = digit(2);
        int exponent = static_cast<int>((static_cast<std::int64_t>(top) - 2) * digit_bits) - 1074;
        for (; bits >> 63 == 0; --exponent) {
            bits = bits << 1 | (rest >> (digit_bits - 1) & 1);
            rest = rest << 1 & digit_mask;
        }
        bool is_more = rest != 0;
        for (std::size_t below = 3; below < top; ++below) is_more = is_more || digit(below) != 0;
        return std::ldexp(static_cast<double>(bits | std::uint64_t{is_more}), exponent);
    }

    // 2098 bits of doubles, and as many more as a count has
    std::array<std::int64_t, 70> digits_{};
    std::uint32_t since_carried_ = 0;
};

}  // namespace crossdock
