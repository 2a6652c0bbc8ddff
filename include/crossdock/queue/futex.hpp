// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>

#if defined(__linux__)
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace crossdock::detail {

// On Linux straight to the kernel: std::atomic::wait may give the processor away to all others before it sleeps, which
// takes milliseconds on a busy machine, and its notify has to find out whether anybody sleeps.

/// Sleeps while the word is `value`, until wake_one() or for no reason: whoever wakes looks again.
inline void sleep_while(const std::atomic<std::uint32_t>& word, std::uint32_t value) noexcept {
#if defined(__linux__)
    static_assert(sizeof(word) == 4 && std::atomic<std::uint32_t>::is_always_lock_free);
    ::syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, value, nullptr, nullptr, 0);
#else
    word.wait(value, std::memory_order_relaxed);
#endif
}

/// Wakes a thread that sleeps on the word, which must have been changed before.
inline void wake_one(std::atomic<std::uint32_t>& word) noexcept {
#if defined(__linux__)
    ::syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
#else
    word.notify_one();
#endif
}

}  // namespace crossdock::detail
