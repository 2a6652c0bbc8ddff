// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>

namespace crossdock::cli {

/// With so many decimals: fixed("%.2f").
inline std::string fixed(double value, int decimals) {
    std::array<char, 64> text{};
    std::snprintf(text.data(), text.size(), "%.*f", decimals, value);
    return text.data();
}

/// "13.5 GB": decimal units, three digits.
inline std::string bytes_text(double bytes) {
    constexpr std::array units{"B", "kB", "MB", "GB", "TB", "PB"};
    std::size_t unit = 0;
    // From here on three digits are a unit more: 999.6 kB is 1.00 MB.
    while (bytes >= 999.5 && unit + 1 < units.size()) bytes /= 1000, ++unit;
    const int decimals = unit == 0 || bytes >= 99.95 ? 0 : bytes >= 9.995 ? 1 : 2;
    return fixed(bytes, decimals) + " " + units[unit];
}
inline std::string bytes_text(std::uint64_t bytes) { return bytes_text(static_cast<double>(bytes)); }

/// "0:07", "12:34", "1:02:03"
inline std::string duration_text(double seconds) {
    const auto total = static_cast<std::uint64_t>(std::lround(seconds));
    const auto two_digits = [](std::uint64_t number) { return (number < 10 ? "0" : "") + std::to_string(number); };
    const std::uint64_t hours = total / 3600, minutes = total / 60 % 60;
    const std::string begin = hours > 0 ? std::to_string(hours) + ":" + two_digits(minutes) : std::to_string(minutes);
    return begin + ":" + two_digits(total % 60);
}

/// "in 8.13 s (1.66 GB/s)"
inline std::string speed_text(std::uint64_t bytes, double seconds) {
    const double rate = seconds > 0 ? static_cast<double>(bytes) / seconds : 0;
    return "in " + fixed(seconds, 2) + " s (" + fixed(rate / 1e9, 2) + " GB/s)";
}

}  // namespace crossdock::cli
