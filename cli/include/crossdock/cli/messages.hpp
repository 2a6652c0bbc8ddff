// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <signal.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <iostream>
#include <optional>
#include <string>
#include <string_view>

#include "crossdock/core/error.hpp"
#include "crossdock/core/text.hpp"

namespace crossdock::cli {

/// The exit codes; a signal that ended the program gives 128 and its number, as in a shell. Commands that compare tell
/// what differs from what could not be compared, as diff and cmp do.
enum ExitCode : int { success = 0, failure = 1, different = 1, wrong_usage = 2, trouble = 2, signal_base = 128 };

namespace detail {

/// Takes the first character off a text of UTF-8. Empty where it is none; then that is a byte.
inline std::optional<char32_t> take_character(std::string_view& text) {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const unsigned char first = byte(0);
    const std::size_t length = first < 0x80 ? 1 : first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
    constexpr std::array<char32_t, 5> least{0, 0, 0x80, 0x800, 0x10000};
    char32_t character = length == 1 ? first : first & (0x7FU >> length);
    bool is_character = length <= text.size() && (length == 1 || (first >= 0xC2 && first <= 0xF4));
    for (std::size_t i = 1; is_character && i < length; ++i) {
        is_character = (byte(i) & 0xC0U) == 0x80;
        character = character << 6 | (byte(i) & 0x3FU);
    }
    const bool is_surrogate = character >= 0xD800 && character <= 0xDFFF;
    is_character = is_character && character >= least[length] && character <= 0x10FFFF && !is_surrogate;
    text.remove_prefix(is_character ? length : 1);
    return is_character ? std::optional(character) : std::nullopt;
}

/// What a terminal obeys instead of showing it: control characters of one byte and of two, ends of lines and of
/// paragraphs, changes of the direction of writing, and what is not seen at all.
inline bool is_obeyed(char32_t character) {
    struct Range {
        char32_t first, last;
    };
    constexpr std::array<Range, 9> ranges{{{0x00, 0x1F},
                                           {0x7F, 0x9F},
                                           {0x061C, 0x061C},
                                           {0x200E, 0x200F},
                                           {0x2028, 0x202E},
                                           {0x2066, 0x2069},
                                           {0xFEFF, 0xFEFF},
                                           {0xFFF9, 0xFFFB},
                                           {0xE0000, 0xE007F}}};
    return std::any_of(ranges.begin(), ranges.end(),
                       [&](const Range& range) { return character >= range.first && character <= range.last; });
}

}  // namespace detail

/// Without line breaks and whatever else a terminal obeys, which become spaces; what is no UTF-8 becomes a question
/// mark. Names in checkpoints may hold any bytes.
inline std::string one_line(std::string_view text) {
    std::string line;
    while (!text.empty()) {
        const std::string_view before = text;
        const auto character = detail::take_character(text);
        if (!character)
            line += '?';
        else if (detail::is_obeyed(*character))
            line += ' ';
        else
            line += before.substr(0, before.size() - text.size());
    }
    return line;
}

/// Throws Error when something that was printed did not reach the standard output: half of it must not pass for all.
inline void require_printed() {
    if (!std::cout.rdbuf()) return;  // of a rank that does not speak
    errno = 0;
    if (std::cout.flush()) return;
    const std::string reason = errno == 0 ? std::string() : to_text(": ", std::string_view(std::strerror(errno)));
    throw Error(to_text("the standard output cannot be written", reason));
}

/// A line that fits on a screen: one that a hostile file makes longer loses its middle, so that both what is wrong and
/// what to do remain.
inline std::string for_a_screen(std::string_view line) {
    constexpr std::size_t most = 1500, end = 500;
    if (line.size() <= most) return std::string(line);
    std::string_view last = line.substr(line.size() - end);
    while (!last.empty() && (static_cast<unsigned char>(last.front()) & 0xC0) == 0x80) last.remove_prefix(1);
    return to_text(shortened(line.substr(0, line.size() - end), most - end - 100), " … ", last);
}

/// The library names an option as C++ has it, "the option dtype"; here it is what the user types, "--dtype".
inline std::string as_typed(std::string text) {
    constexpr std::string_view words = "the option ";
    for (std::size_t at = text.find(words); at != std::string::npos; at = text.find(words, at + 2))
        text.replace(at, words.size(), "--");
    return text;
}

namespace detail {

inline std::string& named_program() {
    static std::string name = "crossdock";
    return name;
}

/// Called once, before any thread is there.
inline void set_program_name(std::string_view path) {
    const std::string_view name = path.substr(path.rfind('/') + 1);
    if (!name.empty()) named_program() = name;
}

}  // namespace detail

/// What the program was called as, for help and errors: a program with plugins of its own has a name of its own.
inline const std::string& program_name() { return detail::named_program(); }

inline void complain(std::string_view line) {
    std::cout << std::flush;
    std::cerr << one_line(to_text(program_name(), ": ", for_a_screen(as_typed(std::string(line))))) << std::endl;
}

inline void warn(std::string_view line) { complain(to_text("warning: ", line)); }

/// "SIGINT"
inline const char* signal_name(int signal) {
    return signal == SIGINT ? "SIGINT" : signal == SIGTERM ? "SIGTERM" : "SIGHUP";
}

/// Reports that a signal ended the run, and returns the exit code for it; 0 where it came to another rank.
inline int stopped_by(int signal) {
    if (signal == 0) {
        complain("stopped: another rank was told to");
        return signal_base + SIGTERM;
    }
    complain(to_text("stopped by ", signal_name(signal)));
    return signal_base + signal;
}

}  // namespace crossdock::cli
