// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>

#include "crossdock/core/world.hpp"

namespace crossdock {

/// Where a file of a target is written, or where its files are, and by whom: the ranks of a world share each of them by
/// regions. A path alone is one that this process writes by itself.
class OutputPath {
public:
    OutputPath(std::filesystem::path path) : path_(std::move(path)) {}  // NOLINT(google-explicit-constructor)
    OutputPath(const std::string& path) : path_(path) {}                // NOLINT(google-explicit-constructor)
    OutputPath(const char* path) : path_(path) {}                       // NOLINT(google-explicit-constructor)
    OutputPath(std::filesystem::path path, World& world) : path_(std::move(path)), world_(&world) {}

    const std::filesystem::path& path() const noexcept { return path_; }
    operator const std::filesystem::path&() const noexcept { return path_; }  // NOLINT(google-explicit-constructor)
    std::string string() const { return path_.string(); }
    World& world() const noexcept { return *world_; }

    OutputPath operator/(const std::filesystem::path& name) const {
        OutputPath inner = *this;
        inner.path_ /= name;
        return inner;
    }

    /// The same path, with the first regions of its files at another rank. Files of which the same parts are written
    /// side by side (those of tensor-parallel ranks) belong in one turn: what they share is then read by one rank.
    OutputPath in_turn(std::uint64_t turn) const {
        constexpr std::uint64_t spread = 0x9E3779B97F4A7C15;  // 2^64 divided by the golden ratio
        OutputPath turned = *this;
        turned.first_region_ = (turn * spread) >> 32;
        return turned;
    }

    /// The number of the files' first region.
    std::uint64_t first_region() const noexcept { return first_region_; }

private:
    std::filesystem::path path_;
    World* world_ = &World::alone();
    std::uint64_t first_region_ = 0;
};

}  // namespace crossdock
