// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace crossdock::pickle::detail {

inline void append_utf8(std::string& out, std::uint32_t point) {
    const auto tail = [&](int shift) { out += static_cast<char>(0x80 | (point >> shift & 0x3F)); };
    if (point < 0x80) {
        out += static_cast<char>(point);
    } else if (point < 0x800) {
        out += static_cast<char>(0xC0 | point >> 6), tail(0);
    } else if (point < 0x10000) {
        out += static_cast<char>(0xE0 | point >> 12), tail(6), tail(0);
    } else {
        out += static_cast<char>(0xF0 | point >> 18), tail(12), tail(6), tail(0);
    }
}

/// Takes one code point off the front of `text`; empty when the bytes there are not UTF-8 (RFC 3629).
inline std::optional<std::uint32_t> take_utf8(std::string_view& text) {
    const auto byte = [&](std::size_t at) { return static_cast<std::uint32_t>(static_cast<unsigned char>(text[at])); };
    const std::uint32_t first = byte(0);
    const std::size_t length = first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    if ((first >= 0x80 && first < 0xC2) || first > 0xF4 || length > text.size()) return std::nullopt;
    std::uint32_t point = length == 1 ? first : first & (0xFFU >> (length + 1));
    for (std::size_t at = 1; at < length; ++at) {
        if ((byte(at) & 0xC0U) != 0x80U) return std::nullopt;
        point = point << 6 | (byte(at) & 0x3FU);
    }
    const bool too_long = (length == 3 && point < 0x800) || (length == 4 && point < 0x10000);
    if (too_long || point > 0x10FFFF || (point >= 0xD800 && point < 0xE000)) return std::nullopt;
    text.remove_prefix(length);
    return point;
}

inline bool is_utf8(std::string_view text) {
    while (!text.empty())
        if (!take_utf8(text)) return false;
    return true;
}

/// UTF-8 text whose code points are all below 256 as those bytes; empty when some is not.
inline std::optional<std::string> utf8_to_latin1(std::string_view text) {
    std::string out;
    while (!text.empty()) {
        const auto point = take_utf8(text);
        if (!point || *point > 0xFF) return std::nullopt;
        out += static_cast<char>(*point);
    }
    return out;
}

inline std::string latin1_to_utf8(std::string_view bytes) {
    std::string out;
    for (const char byte : bytes) append_utf8(out, static_cast<unsigned char>(byte));
    return out;
}

/// Takes `digits` hexadecimal digits off the front of `text`; empty when they are not there.
inline std::optional<std::uint32_t> take_hex(std::string_view& text, std::size_t digits) {
    std::uint32_t value = 0;
    if (text.size() < digits) return std::nullopt;
    const auto [end, error] = std::from_chars(text.data(), text.data() + digits, value, 16);
    if (error != std::errc() || end != text.data() + digits) return std::nullopt;
    text.remove_prefix(digits);
    return value;
}

/// Python's "raw-unicode-escape": latin-1, but \uXXXX and \UXXXXXXXX. Empty when an escape is broken.
inline std::optional<std::string> decode_raw_unicode_escape(std::string_view text) {
    std::string out;
    while (!text.empty()) {
        const bool escaped = text.size() > 1 && text[0] == '\\' && (text[1] == 'u' || text[1] == 'U');
        if (!escaped) {
            append_utf8(out, static_cast<unsigned char>(text.front()));
            text.remove_prefix(1);
            continue;
        }
        const std::size_t digits = text[1] == 'u' ? 4 : 8;
        text.remove_prefix(2);
        const auto point = take_hex(text, digits);
        if (!point || *point > 0x10FFFF) return std::nullopt;
        append_utf8(out, *point);
    }
    return out;
}

/// The byte that a backslash and `letter` stand for in Python's string literals; empty when it is not one of the simple
/// ones.
inline std::optional<char> simple_escape(char letter) {
    switch (letter) {
        case 'n': return '\n';
        case 't': return '\t';
        case 'r': return '\r';
        case '\\':
        case '\'':
        case '"': return letter;
        default: return std::nullopt;
    }
}

/// The content of a Python 2 string literal as repr() writes it, quotes included. Empty when it is not one.
inline std::optional<std::string> decode_quoted(std::string_view text) {
    if (text.size() < 2 || (text.front() != '\'' && text.front() != '"') || text.front() != text.back())
        return std::nullopt;
    text = text.substr(1, text.size() - 2);
    std::string out;
    while (!text.empty()) {
        const char first = text.front();
        text.remove_prefix(1);
        if (first != '\\') {
            out += first;
            continue;
        }
        if (text.empty()) return std::nullopt;
        const char letter = text.front();
        text.remove_prefix(1);
        const auto hex = letter == 'x' ? take_hex(text, 2) : std::nullopt;
        const auto byte = hex ? std::optional(static_cast<char>(*hex)) : simple_escape(letter);
        if (!byte) return std::nullopt;
        out += *byte;
    }
    return out;
}

}  // namespace crossdock::pickle::detail
