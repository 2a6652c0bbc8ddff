// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <system_error>
#include <utility>

#include "crossdock/core/error.hpp"

namespace crossdock {

/// A std::thread or std::jthread that does the work. Throws Error where the system has no more of them.
template <class Thread, class Work>
Thread start_thread(Work&& work) {
    try {
        return Thread(std::forward<Work>(work));
    } catch (const std::system_error&) {
        throw Error("the system has no more threads; give the option threads a smaller number");
    }
}

}  // namespace crossdock
