// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <signal.h>

#include <cstddef>
#include <iostream>
#include <string>
#include <string_view>

#include "crossdock/core/text.hpp"

namespace crossdock::cli {

/// The exit codes; a signal that ended the program gives 128 and its number, as in a shell.
enum ExitCode : int { success = 0, failure = 1, wrong_usage = 2, signal_base = 128 };

/// Without line breaks and other control characters: names in checkpoints may hold any.
inline std::string one_line(std::string text) {
    for (char& letter : text)
        if (static_cast<unsigned char>(letter) < ' ' || letter == '\x7f') letter = ' ';
    return text;
}

/// At most as much as fits a screen, cut between characters: names in checkpoints may be of any length.
inline std::string one_screen(std::string text) {
    constexpr std::size_t limit = 1500;
    constexpr std::string_view rest = " …";
    if (text.size() <= limit) return text;
    std::size_t end = limit - rest.size();
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;
    text.resize(end);
    return text.append(rest);
}

inline void complain(std::string_view line) {
    std::cout << std::flush;
    std::cerr << one_screen(one_line(text("crossdock: ", line))) << std::endl;
}

inline void warn(std::string_view line) { complain(text("warning: ", line)); }

/// Says that a signal ended the run, and returns the exit code for it.
inline int stopped_by(int signal) {
    complain(text("stopped by ", signal == SIGINT ? "SIGINT" : signal == SIGTERM ? "SIGTERM" : "SIGHUP"));
    return signal_base + signal;
}

}  // namespace crossdock::cli
