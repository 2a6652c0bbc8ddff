// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

namespace crossdock::test {

/// Where a test tries many cases that are alike, the sanitizers, under which each takes five to ten times as long, see
/// one in so many. Without them all are tried.
#ifdef CROSSDOCK_SANITIZED
inline constexpr std::size_t one_in = 8;
#else
inline constexpr std::size_t one_in = 1;
#endif

}  // namespace crossdock::test
