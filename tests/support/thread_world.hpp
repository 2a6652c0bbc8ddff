// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "crossdock/core/world.hpp"

namespace crossdock::test {

/// Where the ranks of a world meet that are threads of this program.
class Meeting {
public:
    explicit Meeting(std::size_t ranks) : ranks_(ranks) {}

    std::size_t ranks() const noexcept { return ranks_; }

    /// Calls add(total, is_first) for one rank after the other, then take(total) at all of them.
    template <class Add, class Take>
    void round(Add&& add, Take&& take) {
        std::unique_lock lock(mutex_);
        idle_.wait(lock, [&] { return !is_leaving_; });
        add(total_, arrived_ == 0);
        if (++arrived_ == ranks_) {
            is_leaving_ = true;
            full_.notify_all();
        }
        full_.wait(lock, [&] { return is_leaving_; });
        take(total_);
        if (--arrived_ == 0) {
            is_leaving_ = false;
            idle_.notify_all();
        }
    }

private:
    std::size_t ranks_, arrived_ = 0;
    std::mutex mutex_;
    std::condition_variable full_, idle_;
    bool is_leaving_ = false;
    std::vector<std::uint64_t> total_;
};

/// A rank that is a thread.
class ThreadWorld final : public World {
public:
    ThreadWorld(Meeting& meeting, std::size_t rank, std::uint64_t region_bytes = 4096)
        : World(rank, meeting.ranks()),
          meeting_(meeting) {
        set_region_bytes(region_bytes);
    }

protected:
    void reduce(std::span<std::uint64_t> values, Operation operation) override {
        meeting_.round(
            [&](std::vector<std::uint64_t>& total, bool is_first) {
                if (is_first) return total.assign(values.begin(), values.end());
                if (total.size() != values.size()) std::terminate();  // the ranks are not in the same place
                for (std::size_t i = 0; i < values.size(); ++i) total[i] = joined(total[i], values[i], operation);
            },
            [&](const std::vector<std::uint64_t>& total) { std::copy(total.begin(), total.end(), values.begin()); });
    }

    void broadcast(std::span<std::byte> bytes, std::size_t from) override {
        meeting_.round(
            [&](std::vector<std::uint64_t>& total, bool is_first) {
                if (is_first) total.assign(bytes.size(), 0);
                if (total.size() != bytes.size()) std::terminate();
                if (rank() == from)
                    for (std::size_t i = 0; i < bytes.size(); ++i) total[i] = std::to_integer<std::uint64_t>(bytes[i]);
            },
            [&](const std::vector<std::uint64_t>& total) {
                for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(total[i]);
            });
    }

private:
    static std::uint64_t joined(std::uint64_t a, std::uint64_t b, Operation operation) {
        return operation == Operation::sum ? a + b : operation == Operation::minimum ? std::min(a, b) : a ^ b;
    }

    Meeting& meeting_;
};

/// Runs `work` once for each rank, each on a thread of its own, and returns what each of them threw.
inline std::vector<std::exception_ptr> in_ranks(std::size_t ranks, const std::function<void(World&)>& work,
                                                std::uint64_t region_bytes = 4096) {
    Meeting meeting(ranks);
    std::vector<std::exception_ptr> thrown(ranks);
    std::vector<std::jthread> threads;
    for (std::size_t rank = 0; rank < ranks; ++rank)
        threads.emplace_back([&, rank] {
            ThreadWorld world(meeting, rank, region_bytes);
            try {
                work(world);
            } catch (...) {
                thrown[rank] = std::current_exception();
            }
        });
    threads.clear();
    return thrown;
}

}  // namespace crossdock::test
