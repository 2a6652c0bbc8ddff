// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/stat.h>

#include <cstddef>
#include <filesystem>

#include "crossdock/container/directory_tree.hpp"

namespace crossdock {

/// Who may see a target that is made of a directory: nobody who could not read its source, as a careful copy has it.
/// The mode of the directory, less the group or the others where they may not read one of its files; all where there is
/// no directory. A thousand files are looked at.
inline mode_t access_of(const std::filesystem::path& directory) {
    struct stat status {};
    if (directory.empty() || ::stat(directory.c_str(), &status) != 0) return 0777;
    mode_t access = status.st_mode & 0777;
    std::size_t looked_at = 0;
    detail::walk(directory, [&](const std::filesystem::path& path, struct stat file) {
        if (::stat(path.c_str(), &file) == 0 && S_ISREG(file.st_mode)) {
            if ((file.st_mode & S_IRGRP) == 0) access &= ~static_cast<mode_t>(S_IRWXG);
            if ((file.st_mode & S_IROTH) == 0) access &= ~static_cast<mode_t>(S_IRWXO);
        }
        return ++looked_at < 1000;
    });
    return access;
}

}  // namespace crossdock
