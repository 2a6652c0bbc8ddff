// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace crossdock {

/// How far a run is.
struct Progress {
    std::string message;            ///< the one that was taken last: "transformer layer 3"
    std::uint64_t bytes = 0;        ///< done
    std::uint64_t total_bytes = 0;  ///< of the whole run: expected from the header, then as the messages turn out
};

/// Called after each message and each block, from any thread, one call at a time.
using ProgressCallback = std::function<void(const Progress&)>;

}  // namespace crossdock
