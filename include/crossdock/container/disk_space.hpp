// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/stat.h>
#include <sys/statvfs.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <system_error>

#include "crossdock/container/directory_tree.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/text.hpp"

namespace crossdock {

/// How many bytes may still be written where `path` is or is to be. Nothing where the file system does not know, as
/// some that are reached through a network do not.
inline std::optional<std::uint64_t> free_space(std::filesystem::path path) {
    std::error_code ignored;
    path = std::filesystem::absolute(path, ignored);
    while (!std::filesystem::exists(path, ignored) && path.has_relative_path()) path = path.parent_path();
    struct statvfs status {};
    if (::statvfs(path.c_str(), &status) != 0 || status.f_blocks == 0) return std::nullopt;
    return static_cast<std::uint64_t>(status.f_bavail) * status.f_frsize;
}

/// What the files in a directory take of its disk.
inline std::uint64_t space_taken(const std::filesystem::path& directory) {
    std::uint64_t bytes = 0;
    detail::walk(directory, [&](const std::filesystem::path&, const struct stat& status) {
        constexpr std::uint64_t block = 512;  // what st_blocks counts in, whatever the file system's blocks are
        bytes += static_cast<std::uint64_t>(status.st_blocks) * block;
        return true;
    });
    return bytes;
}

/// Throws Error when `bytes` more do not fit where `directory` is.
inline void require_space(const std::filesystem::path& directory, std::uint64_t bytes) {
    const auto free = free_space(directory);
    if (free && *free < bytes)
        throw Error(to_text(directory.string(), ": ", bytes, " bytes are to be written, the disk has ", *free,
                            " bytes free; make room or choose a target on another disk"));
}

}  // namespace crossdock
