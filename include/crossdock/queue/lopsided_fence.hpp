// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>

#if defined(__linux__) && __has_include(<linux/membarrier.h>)
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>
#define CROSSDOCK_HAS_MEMBARRIER
#endif

namespace crossdock::detail {

/// A fence between two threads of which one passes it all the time and the other hardly ever: of two threads that each
/// write, pass it (one light(), the other heavy()) and read what the other writes, at least one sees the other's write.
///
/// Between two threads that do the same, that takes an instruction which waits until a write has reached the other
/// processor, for each item of a queue. Linux can instead make all processors that run this process wait, in the name
/// of the thread that asks: light() then costs nothing, and heavy() a microsecond or two.
class LopsidedFence {
public:
    void light() const noexcept {
        if (by_kernel_)
            std::atomic_signal_fence(std::memory_order_seq_cst);  // the compiler may not exchange them, either
        else
            std::atomic_thread_fence(std::memory_order_seq_cst);
    }

    void heavy() const noexcept {
        std::atomic_thread_fence(std::memory_order_seq_cst);
#ifdef CROSSDOCK_HAS_MEMBARRIER
        if (by_kernel_) ::syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
#endif
    }

private:
    /// Whether the kernel agreed, which it need not: it may be old, or a sandbox.
    static bool ask_kernel() noexcept {
#ifdef CROSSDOCK_HAS_MEMBARRIER
        static const bool agreed = ::syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
        return agreed;
#else
        return false;
#endif
    }

    const bool by_kernel_ = ask_kernel();
};

}  // namespace crossdock::detail

#undef CROSSDOCK_HAS_MEMBARRIER
