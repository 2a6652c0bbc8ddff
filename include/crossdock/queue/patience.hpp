// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "crossdock/queue/pause.hpp"

namespace crossdock::detail {

/// Whether it pays, when what a thread waited for has come, to let more of it come first. Two threads that hand over item
/// by item fetch a cache line from each other for each of them; a moment of patience, and one fetch brings many. That
/// helps in a stream, and delays who asks and waits for the answer. So it is tried now and then, and kept up as long as
/// more has come. For one thread.
class Patience {
public:
    /// Waits for a moment or not. `look()` says how much has come by now.
    template <class Look>
    void wait(Look look) noexcept {
        if (!pays_ && ++waits_ % tried_every != 0) return;
        const std::uint64_t before = look();
        for (int left = pauses; left > 0; --left) pause_processor();
        pays_ = look() - before >= enough;
    }

private:
    static constexpr std::uint32_t tried_every = 64;
    static constexpr int pauses = 10;           // some 0.2 to 0.4 microseconds
    static constexpr std::uint64_t enough = 4;  // to have been worth it

    std::uint32_t waits_ = 0;
    bool pays_ = false;
};

}  // namespace crossdock::detail
