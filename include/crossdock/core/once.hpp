// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <mutex>

namespace crossdock {

/// Does something once, on the thread that comes first; others wait for it. Where that throws, the next one tries again.
/// std::call_once promises the same, but hangs after an exception on some systems (GCC bug 66146) and under the thread
/// sanitizer.
class Once {
public:
    template <class Work>
    void run(Work&& work) {
        if (is_done_.load(std::memory_order_acquire)) return;
        const std::scoped_lock lock(mutex_);
        if (is_done_.load(std::memory_order_relaxed)) return;
        work();
        is_done_.store(true, std::memory_order_release);
    }

private:
    std::atomic<bool> is_done_{false};
    std::mutex mutex_;
};

}  // namespace crossdock
