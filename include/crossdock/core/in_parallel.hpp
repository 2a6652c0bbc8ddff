// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "crossdock/core/processors.hpp"

namespace crossdock {

/// Calls work(number) once for each number below `count`, from as many threads as can run at once. Where calls throw, what
/// that of the least number threw is thrown, and some later ones are not made.
template <class Work>
void in_parallel(std::size_t count, const Work& work) {
    std::atomic<std::size_t> next{0};
    std::mutex mutex;  // of what follows
    std::size_t failed = count;
    std::exception_ptr error;
    const auto run = [&] {
        for (std::size_t number = next++; number < count; number = next++) try {
                work(number);
            } catch (...) {
                const std::lock_guard lock(mutex);
                next = count;  // all numbers below this one are under way
                if (number < failed) failed = number, error = std::current_exception();
            }
    };
    {
        std::vector<std::jthread> helpers;
        const std::size_t most = count < 2 ? 0 : std::min(count, available_processors()) - 1;
        helpers.reserve(most);
        try {
            while (helpers.size() < most) helpers.emplace_back(run);
        } catch (const std::system_error&) {
            // There may be no more threads: those that there are do it.
        }
        run();
    }
    if (error) std::rethrow_exception(error);
}

}  // namespace crossdock
