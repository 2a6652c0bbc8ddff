// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <filesystem>
#include <set>
#include <string>
#include <utility>

#include "crossdock/container/foreign_directory.hpp"
#include "crossdock/core/text.hpp"

namespace crossdock {

namespace detail {

inline void append_identity(const std::filesystem::path& path, const std::string& name,
                            std::set<std::pair<std::uint64_t, std::uint64_t>>& seen, std::string& out) {
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0) return;
    if (!S_ISDIR(status.st_mode)) {
        out += to_text(name, '\0', status.st_ino, ' ', status.st_size, ' ', status.st_mtim.tv_sec, ' ',
                       status.st_mtim.tv_nsec, '\0');
        return;
    }
    if (!seen.emplace(status.st_dev, status.st_ino).second) return;  // links may lead in a circle
    for (const std::string& inner : names_in(path)) append_identity(path / inner, to_text(name, '/', inner), seen, out);
}

}  // namespace detail

/// Names the files in a directory, or a file, by what changes when somebody writes or replaces one: name, inode, size
/// and time of the last change. For comparing. Throws Error where a directory cannot be read.
inline std::string source_identity(const std::filesystem::path& path) {
    std::set<std::pair<std::uint64_t, std::uint64_t>> seen;
    std::string out;
    detail::append_identity(path, "", seen, out);
    return out;
}

}  // namespace crossdock
