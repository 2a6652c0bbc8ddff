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

#include "crossdock/cli/json_output.hpp"
#include "crossdock/cli/units.hpp"
#include "crossdock/container/json.hpp"
#include "crossdock/core/text.hpp"
#include "crossdock/pipeline/progress.hpp"

namespace crossdock::cli {

namespace detail {

inline double share_of(const Progress& progress) {
    const double done = static_cast<double>(progress.bytes), total = static_cast<double>(progress.total_bytes);
    return total > 0 ? std::min(done / total, 1.0) : 0;
}

}  // namespace detail

/// "40%  5.4 of 13.5 GB  1.66 GB/s  0:05 left"
inline std::string progress_numbers(const Progress& progress, double seconds) {
    const double done = static_cast<double>(progress.bytes), total = static_cast<double>(progress.total_bytes);
    const double rate = seconds > 0 ? done / seconds : 0;
    std::string numbers = to_text(static_cast<int>(detail::share_of(progress) * 100), "%  ", bytes_text(done), " of ",
                                  bytes_text(total), "  ", bytes_text(rate), "/s");
    if (rate > 0) numbers += to_text("  ", duration_text(std::max(total - done, 0.0) / rate), " left");
    return numbers;
}

/// "transformer layer 3 [####      ] 40%  5.4 of 13.5 GB  1.66 GB/s  0:05 left", cut to `columns`.
inline std::string progress_bar(const Progress& progress, double seconds, std::size_t columns) {
    const std::string numbers = "] " + progress_numbers(progress, seconds);
    constexpr std::size_t message_columns = 22;
    std::string line = progress.message.substr(0, message_columns);
    line.append(message_columns - line.size(), ' ').append(" [");
    const std::size_t used = line.size() + numbers.size();
    const std::size_t width = used + 10 < columns ? std::min<std::size_t>(columns - used, 40) : 10;
    const auto filled = static_cast<std::size_t>(detail::share_of(progress) * static_cast<double>(width));
    line += std::string(filled, '#') + std::string(width - filled, ' ') + numbers;
    return line.substr(0, columns);
}

/// How a run says how far it is.
enum class ProgressStyle : std::uint8_t {
    none,
    bar,    ///< on a terminal, on stderr
    lines,  ///< on stdout: one for each tenth, and one after half a minute without
    events  ///< on stdout: lines of JSON, ten a second at most
};

/// The style for where the output goes, unless nothing or JSON is asked for.
inline ProgressStyle progress_style(bool quiet, bool json = false) {
    if (quiet) return ProgressStyle::none;
    if (json) return ProgressStyle::events;
    return ::isatty(STDERR_FILENO) == 1 ? ProgressStyle::bar : ProgressStyle::lines;
}

/// Shows how far a run is.
class ProgressDisplay {
public:
    explicit ProgressDisplay(ProgressStyle style) : style_(style) {}
    ProgressDisplay(const ProgressDisplay&) = delete;
    ProgressDisplay& operator=(const ProgressDisplay&) = delete;
    ~ProgressDisplay() {
        if (has_shown_ && style_ == ProgressStyle::bar) std::cerr << "\r\x1b[K" << std::flush;
    }

    void show(const Progress& progress) {
        const Clock::time_point now = Clock::now();
        if (style_ == ProgressStyle::none || !is_due(progress, now)) return;
        last_shown_ = now;
        has_shown_ = true;
        const double seconds = std::chrono::duration<double>(now - begin_).count();
        if (style_ == ProgressStyle::bar)
            show_bar(progress, seconds);
        else if (style_ == ProgressStyle::lines)
            std::cout << progress_numbers(progress, seconds) << "  " << progress.message << std::endl;
        else
            show_event(progress);
    }

private:
    using Clock = std::chrono::steady_clock;

    bool is_due(const Progress& progress, Clock::time_point now) {
        const Clock::duration silence = now - last_shown_;
        if (style_ != ProgressStyle::lines) return !has_shown_ || silence >= std::chrono::milliseconds(100);
        const auto tenth = static_cast<int>(detail::share_of(progress) * 10);
        return std::exchange(last_tenth_, std::max(tenth, last_tenth_)) < tenth || silence >= std::chrono::seconds(30);
    }

    static void show_bar(const Progress& progress, double seconds) {
        std::cerr << '\r' << progress_bar(progress, seconds, columns()) << "\x1b[K" << std::flush;
    }

    static void show_event(const Progress& progress) {
        const Json event{
            {"progress",
             {{"message", progress.message}, {"bytes", progress.bytes}, {"total_bytes", progress.total_bytes}}}};
        print_json(event, -1);
    }

    /// One less than the terminal has: writing in the last one may wrap.
    static std::size_t columns() {
        winsize size{};
        const bool is_known = ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1;
        return is_known ? size.ws_col - std::size_t{1} : 79;
    }

    ProgressStyle style_;
    bool has_shown_ = false;
    int last_tenth_ = 0;
    Clock::time_point begin_ = Clock::now(), last_shown_ = begin_;
};

}  // namespace crossdock::cli
