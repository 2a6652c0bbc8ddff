// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <pthread.h>
#include <signal.h>

#include <atomic>
#include <stop_token>
#include <thread>

namespace crossdock::cli {

/// Turns SIGINT, SIGTERM and SIGHUP into a request to stop, as long as it lives, unless they are ignored; and makes a
/// closed pipe and a file that grows beyond its limit (ulimit -f) errors of their streams. Make it before any other
/// thread: these inherit that the signals are blocked.
class StopOnSignal {
public:
    StopOnSignal() {
        sigemptyset(&signals_);
        for (const int signal : {SIGINT, SIGTERM, SIGHUP})
            if (!is_ignored(signal)) {
                sigaddset(&signals_, signal);
                wake_ = signal;
            }
        struct sigaction ignore {};
        ignore.sa_handler = SIG_IGN;
        sigaction(SIGPIPE, &ignore, &pipe_before_);
        sigaction(SIGXFSZ, &ignore, &file_size_before_);
        pthread_sigmask(SIG_BLOCK, &signals_, &mask_before_);
        if (wake_ != 0) watcher_ = std::thread([this] { watch(); });
    }
    StopOnSignal(const StopOnSignal&) = delete;
    StopOnSignal& operator=(const StopOnSignal&) = delete;
    ~StopOnSignal() {
        is_leaving_ = true;
        if (watcher_.joinable()) {
            pthread_kill(watcher_.native_handle(), wake_);
            watcher_.join();
        }
        pthread_sigmask(SIG_SETMASK, &mask_before_, nullptr);
        sigaction(SIGPIPE, &pipe_before_, nullptr);
        sigaction(SIGXFSZ, &file_size_before_, nullptr);
    }

    std::stop_token token() const { return stop_.get_token(); }

    /// The first signal that came; 0 while there was none.
    int signal() const noexcept { return signal_; }

private:
    static bool is_ignored(int signal) {
        struct sigaction action {};
        return sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
    }

    /// A second signal changes nothing: programs such as timeout(1) send theirs twice.
    void watch() {
        int signal = 0;
        while (sigwait(&signals_, &signal) == 0 && !is_leaving_) {
            int none = 0;
            signal_.compare_exchange_strong(none, signal);
            stop_.request_stop();
        }
    }

    sigset_t signals_{}, mask_before_{};
    struct sigaction pipe_before_ {};
    struct sigaction file_size_before_ {};
    int wake_ = 0;  // one of signals_
    std::atomic<int> signal_ = 0;
    std::atomic<bool> is_leaving_ = false;
    std::stop_source stop_;
    std::thread watcher_;
};

}  // namespace crossdock::cli
