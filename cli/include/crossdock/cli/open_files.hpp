// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/resource.h>

namespace crossdock::cli {

/// Lets the program have as many files open as the system allows it. Shells start programs with 1024; a model at
/// TP 8 × PP 64 has 512 on either side.
inline void allow_many_open_files() {
    struct rlimit limit {};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace crossdock::cli
