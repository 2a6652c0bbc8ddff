// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>

#include "crossdock/container/transfer_pool.hpp"
#include "crossdock/core/world.hpp"
#include "crossdock/pipeline/progress_reporter.hpp"

namespace crossdock::detail {

/// What a run needs that reads tensors and writes none: threads, and somebody who tells how far it is. `options` has
/// threads, memory, progress and stop.
struct ReadingRun {
    template <class Options>
    ReadingRun(World& world, const Options& options)
        : listening(reporter, options.progress),
          pool(
              thread_count(options.threads, options.memory),
              [this, ranks = world.size()](std::uint64_t bytes) { reporter.done(bytes * ranks); }, options.stop,
              options.memory) {}

    /// Since it began.
    double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count(); }

    std::chrono::steady_clock::time_point begin = std::chrono::steady_clock::now();
    ProgressReporter reporter{};
    ProgressReporter::Listening listening;
    TransferPool pool;  ///< ends first: its threads report
};

}  // namespace crossdock::detail
