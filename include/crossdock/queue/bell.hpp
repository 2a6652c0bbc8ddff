// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>

#include "crossdock/queue/futex.hpp"
#include "crossdock/queue/lopsided_fence.hpp"
#include "crossdock/queue/pause.hpp"

namespace crossdock::detail {

/// Where one thread waits for something that other threads bring about. It looks for some microseconds, since what it
/// waits for often comes at once, and then sleeps. To ring costs next to nothing while nobody sleeps.
///
/// No wake-up is lost: whoever waits says so and then looks again, whoever rings has changed something and then looks
/// whether anybody waits, and the fence between makes sure that one of the two sees the other.
class Bell {
public:
    /// `looks` is how often a thread looks before it sleeps.
    explicit Bell(int looks = default_looks()) : looks_(looks) {}

    /// Returns once ready() holds, which is called on this thread only. For one thread at a time.
    template <class Ready>
    void wait_until(Ready ready) noexcept {
        while (!look(ready)) {
            asleep_.store(1, std::memory_order_relaxed);
            fence_.heavy();
            if (ready()) return asleep_.store(0, std::memory_order_relaxed);
            sleep_while(asleep_, 1);
        }
    }

    /// Any thread, after a change that ready() may have waited for.
    void ring() noexcept {
        fence_.light();
        if (asleep_.load(std::memory_order_relaxed) != 0) wake();
    }

private:
    /// Enough for what another thread does between two items, less than it takes to sleep and be woken a few times.
    /// A single processor has nobody to look at.
    static int default_looks() noexcept {
        static const int looks = std::thread::hardware_concurrency() == 1 ? 1 : 1000;
        return looks;
    }

    template <class Ready>
    bool look(Ready& ready) const noexcept {
        for (int left = looks_; left > 0; --left) {
            if (ready()) return true;
            pause_processor();
        }
        return false;
    }

    void wake() noexcept {
        if (asleep_.exchange(0, std::memory_order_relaxed) != 0) wake_one(asleep_);
    }

    std::atomic<std::uint32_t> asleep_ = 0;
    const LopsidedFence fence_;
    const int looks_;
};

}  // namespace crossdock::detail
