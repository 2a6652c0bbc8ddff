// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <signal.h>

#include <cstddef>
#include <iostream>
#include <string>
#include <string_view>

#include "crossdock/core/text.hpp"

namespace crossdock::cli {

/// The exit codes; a signal that ended the program gives 128 and its number, as in a shell. Commands that compare tell
/// what differs from what could not be compared, as diff and cmp do.
enum ExitCode : int { success = 0, failure = 1, different = 1, wrong_usage = 2, trouble = 2, signal_base = 128 };

/// Without line breaks and other control characters: names in checkpoints may hold any.
inline std::string one_line(std::string text) {
    for (char& letter : text)
        if (static_cast<unsigned char>(letter) < ' ' || letter == '\x7f') letter = ' ';
    return text;
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

/// Reports that a signal ended the run, and returns the exit code for it; 0 where it came to another rank.
inline int stopped_by(int signal) {
    if (signal == 0) {
        complain("stopped: another rank was told to");
        return signal_base + SIGTERM;
    }
    complain(to_text("stopped by ", signal == SIGINT ? "SIGINT" : signal == SIGTERM ? "SIGTERM" : "SIGHUP"));
    return signal_base + signal;
}

}  // namespace crossdock::cli
