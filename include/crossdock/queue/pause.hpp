// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace crossdock::detail {

/// Lets a processor know that its thread only waits: it then saves power and leaves more to its twin.
inline void pause_processor() noexcept {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

}  // namespace crossdock::detail
