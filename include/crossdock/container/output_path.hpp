// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>

#include "crossdock/container/planned_files.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/text.hpp"
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

    /// The same path of a target that is only planned: nothing is written, `files` hears what would be.
    OutputPath planned_in(PlannedFiles& files) const {
        OutputPath path = *this;
        path.planned_ = &files;
        files.begin_at(path_.string());
        return path;
    }
    /// The same path with files for these people, as far as the umask lets them.
    OutputPath with_access(mode_t access) const {
        OutputPath path = *this;
        path.access_ = access;
        return path;
    }
    /// The same path of a target of which an earlier run has written some: its files may be there.
    OutputPath continued() const {
        OutputPath path = *this;
        path.is_continued_ = true;
        return path;
    }

    const std::filesystem::path& path() const noexcept { return path_; }
    operator const std::filesystem::path&() const noexcept { return path_; }  // NOLINT(google-explicit-constructor)
    std::string string() const { return path_.string(); }
    World& world() const noexcept { return *world_; }
    PlannedFiles* planned() const noexcept { return planned_; }  ///< null where files are written
    mode_t access() const noexcept { return access_; }           ///< of its directories
    bool is_continued() const noexcept { return is_continued_; }

    OutputPath folder() const {
        OutputPath outer = *this;
        outer.path_ = path_.parent_path();
        return outer;
    }
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
    PlannedFiles* planned_ = nullptr;
    mode_t access_ = 0777;
    bool is_continued_ = false;
};

/// Makes the folder and those above it, unless it is only planned. Throws Error where that fails.
inline void make_folders(const OutputPath& folder) {
    if (folder.planned()) return;
    std::error_code failure;
    std::filesystem::create_directories(folder.path(), failure);
    if (failure) throw Error(to_text(folder.string(), ": cannot be created: ", failure.message()));
}

/// Throws Error where that fails.
inline void rename_file(const OutputPath& from, const OutputPath& to) {
    if (from.planned()) return from.planned()->rename(from.string(), to.string());
    std::error_code failure;
    std::filesystem::rename(from.path(), to.path(), failure);
    if (failure) throw Error(to_text(from.string(), ": cannot be renamed to ", to.string(), ": ", failure.message()));
}

}  // namespace crossdock
