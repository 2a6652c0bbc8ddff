// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <stop_token>
#include <thread>

#include "crossdock/cli/messages.hpp"
#include "crossdock/container/under_way.hpp"

namespace crossdock::cli {

/// Turns SIGINT, SIGTERM and SIGHUP into a request to stop, as long as it lives, unless they are ignored; and makes a
/// closed pipe and a file that grows beyond its limit (ulimit -f) errors of their streams. Make it before any other
/// thread: these inherit that the signals are blocked. They stay so when it is gone: a command has ended then, and what
/// it says of its target must not be belied by a signal that comes while the process exits.
///
/// Not all of a run looks at the request: a description of many megabytes is parsed, a file system hangs. Where nobody
/// waits for this process (`is_alone`), a run that has not ended is ended: a second later where no target is under way,
/// since there is nothing to clean, and ten seconds later where one is, as SIGKILL would.
class StopOnSignal {
public:
    explicit StopOnSignal(bool is_alone) : is_alone_(is_alone) {
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
        pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
        if (wake_ != 0) watcher_ = std::thread([this] { watch(); });
    }
    StopOnSignal(const StopOnSignal&) = delete;
    StopOnSignal& operator=(const StopOnSignal&) = delete;
    ~StopOnSignal() {
        {
            const std::lock_guard lock(mutex_);
            is_leaving_ = true;
        }
        left_.notify_all();
        if (watcher_.joinable()) {
            pthread_kill(watcher_.native_handle(), wake_);
            watcher_.join();
        }
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
            if (is_alone_) end_what_does_not_hear();
        }
    }

    void end_what_does_not_hear() {
        constexpr int patience = 10;
        std::unique_lock lock(mutex_);
        for (int seconds = 1; !left_.wait_for(lock, std::chrono::seconds(1), [this] { return is_leaving_.load(); });
             ++seconds) {
            const bool leaves_something = UnderWay::any();
            if (leaves_something && seconds < patience) continue;
            complain(to_text("stopped by ", signal_name(signal_),
                             leaves_something ? " in the middle; the next run on this target finds what is left" : ""));
            ::_exit(signal_base + signal_);
        }
    }

    sigset_t signals_{};
    struct sigaction pipe_before_ {};
    struct sigaction file_size_before_ {};
    int wake_ = 0;  // one of signals_
    bool is_alone_;
    std::atomic<int> signal_ = 0;
    std::atomic<bool> is_leaving_ = false;
    std::mutex mutex_;
    std::condition_variable left_;
    std::stop_source stop_;
    std::thread watcher_;
};

}  // namespace crossdock::cli
