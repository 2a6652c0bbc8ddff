// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <stop_token>

#include "crossdock/container/staged_directory.hpp"
#include "crossdock/container/transfer.hpp"
#include "crossdock/core/world.hpp"

namespace crossdock {

/// What a running conversion lends its saver, from begin() to the end of convert(). A saver that moves its bytes by
/// `transfers` has its progress and its cancellation from there; one that moves them itself reports `written` and asks
/// `stop`.
struct SaverContext {
    Transfers& transfers;                              ///< used by the thread that calls the saver
    std::function<void(std::uint64_t bytes)> planned;  ///< to be told, in write(), of the bytes a message becomes
    std::function<void(std::uint64_t bytes)> written;  ///< to be told of bytes that reached their place; any thread
    std::stop_token stop;                              ///< asks the saver to end with Cancelled; any thread
    World& world = World::alone();                     ///< who else makes the same target
    Staging staging{};                                 ///< whether it is to be made at all, or to be continued
    /// Where there is one: to be called, by all ranks, when the target is written and not yet in its place, with the
    /// directory where it is. The target must not appear when this throws.
    std::function<void(const std::filesystem::path& directory)> before_commit{};
};

}  // namespace crossdock
