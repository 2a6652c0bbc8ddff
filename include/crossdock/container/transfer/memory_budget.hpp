// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include "crossdock/core/checked.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/text.hpp"

namespace crossdock {

/// What a conversion or a comparison may take unless it is told otherwise: bytes.
inline constexpr std::uint64_t usual_memory = std::uint64_t{256} << 20;

namespace detail {

/// The memory that the threads of a pool share evenly. A third, and no less than 16 MiB, is left to the program and to
/// its plan of what goes where, which grows with the number of tensors.
class MemoryBudget {
public:
    /// What a thread cannot do without.
    static constexpr std::uint64_t least_share = std::uint64_t{256} << 10;

    /// Throws UsageError when it is too little for so many threads.
    MemoryBudget(std::uint64_t total, std::size_t threads) : total_(total), threads_(threads) {
        if (share() < least_share)
            throw UsageError(to_text("memory ", mebibytes(total), " MiB is too little for ", threads,
                                     threads == 1 ? " thread" : " threads", "; give the option memory at least ",
                                     mebibytes(total_for(least_share)), " MiB",
                                     threads == 1 ? "" : ", or the option threads a smaller number"));
    }

    /// How many threads `total` suffices for; at least one.
    static std::size_t most_threads(std::uint64_t total) {
        return static_cast<std::size_t>(
            std::max<std::uint64_t>((total - std::min(total, rest(total))) / least_share, 1));
    }

    /// A thread's, for the blocks that it reads and for what computing them takes.
    std::uint64_t share() const noexcept { return (total_ - std::min(total_, rest(total_))) / threads_; }

    /// Throws Error when a thread needs more than its share.
    void require(std::uint64_t need) const {
        if (need <= share()) return;
        throw Error(to_text("moving a part of it takes ", mebibytes(need), " MiB of memory, ", threads_,
                            threads_ == 1 ? " thread has " : " threads have ", mebibytes(total_),
                            " MiB; give the option memory at least ", mebibytes(total_for(need)), " MiB",
                            threads_ == 1 ? "" : ", or the option threads a smaller number"));
    }

private:
    static constexpr std::uint64_t mebibyte = std::uint64_t{1} << 20;

    static std::uint64_t rest(std::uint64_t total) { return std::max(16 * mebibyte, total / 3); }
    static std::uint64_t mebibytes(std::uint64_t bytes) { return bytes / mebibyte + (bytes % mebibyte != 0); }

    /// How much there must be for each thread to have `share`.
    std::uint64_t total_for(std::uint64_t share) const {
        const std::uint64_t blocks = checked_multiply(share, threads_, "memory of all threads");
        return std::max(blocks + 16 * mebibyte, blocks + blocks / 2 + mebibyte);
    }

    std::uint64_t total_;
    std::size_t threads_;
};

}  // namespace detail
}  // namespace crossdock
