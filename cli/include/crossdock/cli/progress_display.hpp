// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iostream>
#include <string>
#include <utility>

#include "crossdock/cli/units.hpp"
#include "crossdock/core/text.hpp"
#include "crossdock/pipeline/progress.hpp"

namespace crossdock::cli {

/// "transformer layer 3 [####      ] 40%  5.4 of 13.5 GB  1.66 GB/s  0:05 left", cut to `columns`.
inline std::string progress_bar(const Progress& progress, double seconds, std::size_t columns) {
    const double done = static_cast<double>(progress.bytes), total = static_cast<double>(progress.total_bytes);
    const double share = total > 0 ? std::min(done / total, 1.0) : 0;
    const double rate = seconds > 0 ? done / seconds : 0;
    std::string numbers = to_text("] ", static_cast<int>(share * 100), "%  ", bytes_text(done), " of ",
                                  bytes_text(total), "  ", bytes_text(rate), "/s");
    if (rate > 0) numbers += to_text("  ", duration_text(std::max(total - done, 0.0) / rate), " left");
    constexpr std::size_t message_columns = 22;
    std::string line = progress.message.substr(0, message_columns);
    line.append(message_columns - line.size(), ' ').append(" [");
    const std::size_t used = line.size() + numbers.size();
    const std::size_t width = used + 10 < columns ? std::min<std::size_t>(columns - used, 40) : 10;
    const auto filled = static_cast<std::size_t>(share * static_cast<double>(width));
    line += std::string(filled, '#') + std::string(width - filled, ' ') + numbers;
    return line.substr(0, columns);
}

/// Shows how far a run is: a bar on a terminal (stderr), otherwise a line for each message on stdout.
class ProgressDisplay {
public:
    /// A line is `verb` and the message: "received transformer layer 3".
    ProgressDisplay(std::string verb, bool quiet) : verb_(std::move(verb)), is_quiet_(quiet) {}
    ProgressDisplay(const ProgressDisplay&) = delete;
    ProgressDisplay& operator=(const ProgressDisplay&) = delete;
    ~ProgressDisplay() {
        if (has_bar_) std::cerr << "\r\x1b[K" << std::flush;
    }

    void show(const Progress& progress) {
        if (is_quiet_) return;
        if (is_terminal_)
            show_bar(progress);
        else if (progress.message != last_message_)
            std::cout << verb_ << ' ' << (last_message_ = progress.message) << std::endl;
    }

private:
    using Clock = std::chrono::steady_clock;

    void show_bar(const Progress& progress) {
        constexpr auto interval = std::chrono::milliseconds(100);
        const Clock::time_point now = Clock::now();
        if (has_bar_ && now - last_shown_ < interval) return;
        has_bar_ = true;
        last_shown_ = now;
        std::cerr << '\r' << progress_bar(progress, std::chrono::duration<double>(now - begin_).count(), columns())
                  << "\x1b[K" << std::flush;
    }

    /// One less than the terminal has: writing in the last one may wrap.
    static std::size_t columns() {
        winsize size{};
        const bool is_known = ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1;
        return is_known ? size.ws_col - std::size_t{1} : 79;
    }

    std::string verb_;
    bool is_quiet_;
    bool is_terminal_ = ::isatty(STDERR_FILENO) == 1;
    bool has_bar_ = false;
    std::string last_message_;
    Clock::time_point begin_ = Clock::now(), last_shown_{};
};

}  // namespace crossdock::cli
