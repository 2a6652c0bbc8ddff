// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <numeric>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace crossdock {

inline void append_text(std::string& out, std::string_view part) { out += part; }
inline void append_text(std::string& out, char part) { out += part; }
inline void append_text(std::string& out, std::integral auto part) { out += std::to_string(part); }

/// The parts as one string; integers in decimal, other types by an append_text() of their own.
template <class... Parts>
std::string to_text(const Parts&... parts) {
    std::string out;
    (append_text(out, parts), ...);
    return out;
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
