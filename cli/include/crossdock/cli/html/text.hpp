// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "crossdock/cli/messages.hpp"
#include "crossdock/cli/units.hpp"
#include "crossdock/container/json.hpp"

namespace crossdock::cli::html {

// Texts as a page has them. What a checkpoint says may be anything: it is shown, and never obeyed.

/// Text between tags, or in an attribute in double quotes; what a terminal would obey is a space here, too.
inline std::string escaped(std::string_view text) {
    std::string out;
    for (const char letter : one_line(text)) switch (letter) {
            case '&': out += "&amp;"; break;
            case '<': out += "&lt;"; break;
            case '>': out += "&gt;"; break;
            case '"': out += "&quot;"; break;
            case '\'': out += "&#39;"; break;
            default: out += letter;
        }
    return out;
}

/// A text as JSON that stands within a script element: nothing in it ends the element or a line.
inline std::string script_text(std::string_view text) {
    std::string out = Json(one_line(text)).dump(-1, ' ', true);  // ASCII alone
    for (const auto& [letter, escape] :
         {std::pair('<', "\\u003c"), std::pair('>', "\\u003e"), std::pair('&', "\\u0026")})
        for (std::size_t at = out.find(letter); at != out.npos; at = out.find(letter, at)) out.replace(at, 1, escape);
    return out;
}

/// "1,234,567"
inline std::string count_text(std::uint64_t number) {
    std::string digits = std::to_string(number);
    for (std::size_t at = digits.size(); at > 3;) digits.insert(at -= 3, ",");
    return digits;
}

/// "8.03 billion"; below a million as it is.
inline std::string large_count_text(std::uint64_t number) {
    if (number < 1'000'000) return count_text(number);
    constexpr std::array names{"million", "billion", "trillion"};
    double scaled = static_cast<double>(number) / 1e6;
    std::size_t name = 0;
    while (scaled >= 999.5 && name + 1 < names.size()) scaled /= 1000, ++name;
    return fixed(scaled, scaled >= 99.95 ? 0 : scaled >= 9.995 ? 1 : 2) + " " + names[name];
}

/// "12.5 %"
inline std::string percentage(std::uint64_t part, std::uint64_t whole) {
    const double share = whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole) * 100;
    return (part > 0 && share < 0.1 ? "< 0.1" : fixed(share, part == whole ? 0 : 1)) + " %";
}

}  // namespace crossdock::cli::html
