// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <numeric>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace crossdock {

namespace detail {

/// A part of a text, held by reference: what it is, and how it is appended. A call of to_text() is then a few stores
/// and one call, whatever its parts are; there are hundreds of them, nearly all in errors.
class TextPart {
public:
    constexpr TextPart(std::string_view part) : data_(part.data()), number_(part.size()), append_(append_characters) {}
    constexpr TextPart(const char& part) : data_(&part), number_(1), append_(append_characters) {}

    template <std::integral T>
    constexpr TextPart(T part)
        : number_(static_cast<std::uint64_t>(part)),
          append_(std::is_signed_v<T> ? append_signed : append_unsigned) {}

    template <class T>
    requires(!std::integral<T> && !std::convertible_to<const T&, std::string_view>) constexpr TextPart(const T& part)
        : data_(&part),
          append_(
              [](std::string& out, const TextPart& self) { append_text(out, *static_cast<const T*>(self.data_)); }) {}

    void append_to(std::string& out) const { append_(out, *this); }

    /// About how many bytes that takes.
    std::size_t bytes() const { return append_ == append_characters ? static_cast<std::size_t>(number_) : 4; }

private:
    static void append_characters(std::string& out, const TextPart& self) {
        out.append(static_cast<const char*>(self.data_), self.number_);
    }
    static void append_unsigned(std::string& out, const TextPart& self) { out += std::to_string(self.number_); }
    static void append_signed(std::string& out, const TextPart& self) {
        out += std::to_string(static_cast<std::int64_t>(self.number_));
    }

    const void* data_ = nullptr;
    std::uint64_t number_ = 0;
    void (*append_)(std::string&, const TextPart&);
};

[[gnu::noinline]] inline std::string text_of(std::initializer_list<TextPart> parts) {
    std::size_t bytes = 0;
    for (const TextPart& part : parts) bytes += part.bytes();
    std::string out;
    out.reserve(bytes);
    for (const TextPart& part : parts) part.append_to(out);
    return out;
}

}  // namespace detail

/// The parts as one string: texts and characters as they are, integers in decimal, other types by an
/// append_text(std::string&, const T&) of their own.
template <class... Parts>
std::string to_text(const Parts&... parts) {
    return detail::text_of({detail::TextPart(parts)...});
}

/// "a, b, c"
inline std::string joined_list(const auto& names, std::string_view separator = ", ") {
    std::string out;
    for (const auto& name : names) {
        if (!out.empty()) out += separator;
        out += name;
    }
    return out;
}

/// The text, cut to about `limit` bytes between two UTF-8 characters where it is longer: errors show what was found,
/// and a file can hold a megabyte of it.
inline std::string shortened(std::string_view whole, std::size_t limit = 120) {
    if (whole.size() <= limit) return std::string(whole);
    std::size_t end = limit;
    while (end > 0 && (static_cast<unsigned char>(whole[end]) & 0xC0) == 0x80) --end;
    return to_text(whole.substr(0, end), "… (", whole.size(), " bytes)");
}

/// The least number of inserted, removed or replaced characters that turns `a` into `b`.
inline std::size_t edit_distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> row(b.size() + 1);
    std::iota(row.begin(), row.end(), std::size_t{0});
    for (std::size_t i = 0; i < a.size(); ++i) {
        std::size_t diagonal = row[0];
        row[0] = i + 1;
        for (std::size_t j = 0; j < b.size(); ++j) {
            const std::size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
            diagonal = row[j + 1];
            row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
        }
    }
    return row.back();
}

/// ASCII letters made small.
inline std::string lower_case(std::string_view text) {
    std::string out(text);
    for (char& letter : out)
        if (letter >= 'A' && letter <= 'Z') letter = static_cast<char>(letter - 'A' + 'a');
    return out;
}

/// The known name nearest to what was asked for, whatever the case; empty when none is near, or when what was asked
/// for is how several begin.
inline std::string_view nearest_name(std::string_view asked, std::span<const std::string> known) {
    std::string_view best;
    std::size_t best_distance = std::max<std::size_t>(1, asked.size() / 3) + 1;
    const auto begins = [&](const std::string& name) { return name.size() > asked.size() && name.starts_with(asked); };
    if (std::count_if(known.begin(), known.end(), begins) > 1) return best;
    for (const std::string& name : known) {
        const std::size_t distance = edit_distance(lower_case(asked), lower_case(name));
        if (distance < best_distance) best = name, best_distance = distance;
    }
    return best;
}

/// "; did you mean 'llama'? Known: falcon, llama", for the end of an error about a name.
inline std::string known_names(std::string_view asked, std::span<const std::string> known) {
    const std::string_view nearest = nearest_name(asked, known);
    const std::string hint = nearest.empty() ? std::string(";") : to_text("; did you mean '", nearest, "'?");
    return to_text(hint, " Known: ", joined_list(known));
}

}  // namespace crossdock
