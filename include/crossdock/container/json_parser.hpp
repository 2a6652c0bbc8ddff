// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <charconv>
#include <clocale>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>

#include "crossdock/core/error.hpp"
#include "crossdock/core/text.hpp"

namespace crossdock {

namespace detail {

/// What is not JSON at all, as against what a handler refuses.
class NotJson : public Error {
public:
    NotJson(std::size_t byte, std::string_view reason)
        : Error(to_text("is not valid JSON at byte ", byte, ": ", reason)) {}
};

/// The bytes of the UTF-8 character that `rest` begins with; 0 when it begins with none.
inline std::size_t utf8_length(std::string_view rest) {
    const auto byte = [&](std::size_t i) { return i < rest.size() ? static_cast<unsigned char>(rest[i]) : 0U; };
    const auto follows = [&](std::size_t i) { return byte(i) >= 0x80 && byte(i) <= 0xBF; };
    const unsigned first = byte(0), second = byte(1);
    if (first < 0x80) return 1;
    if (first < 0xC2 || first > 0xF4 || !follows(1)) return 0;
    if (first < 0xE0) return 2;
    if ((first == 0xE0 && second < 0xA0) || (first == 0xED && second > 0x9F) || !follows(2)) return 0;
    if (first < 0xF0) return 3;
    if ((first == 0xF0 && second < 0x90) || (first == 0xF4 && second > 0x8F) || !follows(3)) return 0;
    return 4;
}

inline void append_utf8(std::string& out, std::uint32_t code) {
    const auto add = [&](std::uint32_t byte) { out += static_cast<char>(static_cast<unsigned char>(byte)); };
    if (code < 0x80) return add(code);
    if (code < 0x800) {
        add(0xC0 | code >> 6);
    } else if (code < 0x10000) {
        add(0xE0 | code >> 12);
        add(0x80 | (code >> 6 & 0x3F));
    } else {
        add(0xF0 | code >> 18);
        add(0x80 | (code >> 12 & 0x3F));
        add(0x80 | (code >> 6 & 0x3F));
    }
    add(0x80 | (code & 0x3F));
}

}  // namespace detail

/// Reads a JSON text from start to end and tells a handler what is there, through the functions of
/// nlohmann::json_sax. Python's NaN, Infinity and -Infinity are numbers, as Python's own reader takes them. What is not
/// JSON, and what nests deeper than 64 levels, is an Error.
template <class Handler>
class JsonParser {
public:
    JsonParser(std::string_view json, Handler& handler) : json_(json), handler_(handler) {}

    void parse() {
        constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";
        if (json_.starts_with(byte_order_mark)) at_ = byte_order_mark.size();
        element(0);
        if (at_ != json_.size()) fail("expected nothing more", true);
    }

private:
    static constexpr int max_depth = 64;

    [[noreturn]] void fail(std::string_view reason, bool say_found = false) const {
        throw detail::NotJson(at_, say_found ? to_text(reason, ", found ", found()) : std::string(reason));
    }

    std::string found() const {
        if (at_ == json_.size()) return "the end";
        const auto byte = static_cast<unsigned char>(json_[at_]);
        if (byte > 0x20 && byte < 0x7F) return to_text('\'', json_[at_], '\'');
        return to_text("the byte ", int{byte});
    }

    bool next_is(char c) const { return at_ < json_.size() && json_[at_] == c; }
    bool next_is_digit() const { return at_ < json_.size() && json_[at_] >= '0' && json_[at_] <= '9'; }

    bool take(char c) {
        const bool there = next_is(c);
        at_ += there;
        return there;
    }

    bool take(std::string_view word) {
        const bool there = json_.substr(at_).starts_with(word);
        if (there) at_ += word.size();
        return there;
    }

    void skip_space() { at_ = std::min(json_.find_first_not_of(" \t\r\n", at_), json_.size()); }

    void value(int depth) {
        if (next_is('{')) return object(depth + 1);
        if (next_is('[')) return array(depth + 1);
        if (next_is('"')) {
            string();
            handler_.string(string_);
            return;
        }
        if (take("null")) return void(handler_.null());
        if (take("true")) return void(handler_.boolean(true));
        if (take("false")) return void(handler_.boolean(false));
        number();
    }

    void enter(int depth) {
        if (depth > max_depth) throw Error(to_text("nests deeper than ", max_depth, " levels"));
        ++at_;
        skip_space();
    }

    void object(int depth) {
        enter(depth);
        handler_.start_object(static_cast<std::size_t>(-1));
        if (!take('}')) {
            do member(depth);
            while (goes_on('}'));
        }
        handler_.end_object();
    }

    void array(int depth) {
        enter(depth);
        handler_.start_array(static_cast<std::size_t>(-1));
        if (!take(']')) {
            do element(depth);
            while (goes_on(']'));
        }
        handler_.end_array();
    }

    void member(int depth) {
        skip_space();
        if (!next_is('"')) fail("expected a key in quotes", true);
        string();
        handler_.key(string_);
        skip_space();
        if (!take(':')) fail("expected ':'", true);
        element(depth);
    }

    void element(int depth) {
        skip_space();
        value(depth);
        skip_space();
    }

    bool goes_on(char end) {
        if (take(',')) return true;
        if (!take(end)) fail(to_text("expected ',' or '", end, '\''), true);
        return false;
    }

    /// Reads a string into string_.
    void string() {
        string_.clear();
        ++at_;
        while (plain_characters(), !take('"')) {
            if (at_ == json_.size()) fail("a string without end");
            const auto byte = static_cast<unsigned char>(json_[at_]);
            if (byte < 0x20) fail(byte == 0 ? "a NUL byte" : "a control character in a string");
            if (byte == '\\') {
                escape();
                continue;
            }
            const std::size_t length = detail::utf8_length(json_.substr(at_));
            if (length == 0) fail("a string that is not UTF-8");
            string_ += json_.substr(at_, length);
            at_ += length;
        }
    }

    /// Takes what stands for itself: ASCII without quotes, backslashes and control characters.
    void plain_characters() {
        const auto is_plain = [](char c) {
            return static_cast<unsigned char>(c - 0x20) < 0x60 && c != '"' && c != '\\';
        };
        const std::size_t begin = at_;
        while (at_ < json_.size() && is_plain(json_[at_])) ++at_;
        string_ += json_.substr(begin, at_ - begin);
    }

    void escape() {
        constexpr std::string_view letters = "\"\\/bfnrt", meanings = "\"\\/\b\f\n\r\t";
        const char letter = at_ + 1 < json_.size() ? json_[at_ + 1] : '\0';
        if (letter == 'u') return detail::append_utf8(string_, code_point());
        const std::size_t which = letters.find(letter);
        if (which == letters.npos) fail("a backslash that begins no escape");
        string_ += meanings[which];
        at_ += 2;
    }

    std::uint32_t code_point() {
        const std::uint32_t high = code_unit();
        if (high < 0xD800 || high > 0xDFFF) return high;
        const std::uint32_t low = high <= 0xDBFF && json_.substr(at_).starts_with("\\u") ? code_unit() : 0;
        if (low < 0xDC00 || low > 0xDFFF) fail("half of a surrogate pair, which is no character");
        return 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
    }

    /// The number of \uXXXX.
    std::uint32_t code_unit() {
        std::uint32_t unit = 0;
        const std::string_view digits = json_.substr(std::min(at_ + 2, json_.size()), 4);
        const auto [end, failure] = std::from_chars(digits.data(), digits.data() + digits.size(), unit, 16);
        if (failure != std::errc() || end != digits.data() + 4) fail("\\u without four hexadecimal digits");
        at_ += 6;
        return unit;
    }

    void number() {
        using Limits = std::numeric_limits<double>;
        if (take("NaN")) return void(handler_.number_float(Limits::quiet_NaN(), "NaN"));
        if (take("Infinity")) return void(handler_.number_float(Limits::infinity(), "Infinity"));
        if (take("-Infinity")) return void(handler_.number_float(-Limits::infinity(), "-Infinity"));
        const std::size_t begin = at_;
        const bool negative = take('-');
        if (!next_is_digit()) fail(negative ? "expected a digit" : "expected a value", true);
        bool whole = true;
        if (!take('0')) digits();
        if (take('.')) whole = false, digits();
        if (take('e') || take('E')) {
            whole = false;
            if (!take('+')) take('-');
            digits();
        }
        const std::string_view token = json_.substr(begin, at_ - begin);
        if (whole && (negative ? integer<std::int64_t>(token) : integer<std::uint64_t>(token))) return;
        handler_.number_float(floating(begin, token), std::string(token));
    }

    void digits() {
        if (!next_is_digit()) fail("expected a digit", true);
        while (next_is_digit()) ++at_;
    }

    template <class T>
    bool integer(std::string_view token) {
        T value{};
        if (std::from_chars(token.data(), token.data() + token.size(), value).ec != std::errc()) return false;
        if constexpr (std::is_signed_v<T>)
            handler_.number_integer(value);
        else
            handler_.number_unsigned(value);
        return true;
    }

    /// By std::strtod, which goes by the locale: std::from_chars has no double in every standard library that we meet.
    double floating(std::size_t begin, std::string_view token) {
        std::string number(token);
        std::replace(number.begin(), number.end(), '.', *std::localeconv()->decimal_point);
        const double value = std::strtod(number.c_str(), nullptr);
        if (!std::isfinite(value)) throw detail::NotJson(begin, "a number that no double holds");
        return value;
    }

    std::string_view json_;
    Handler& handler_;
    std::size_t at_ = 0;
    std::string string_;
};

}  // namespace crossdock
