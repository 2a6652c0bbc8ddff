// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <system_error>

#include "crossdock/core/error.hpp"
#include "crossdock/core/text.hpp"

namespace crossdock {

// What stands at a path. Nothing does where a part of the path is no directory; where it cannot be told (links in a
// circle, a name too long, a directory that nobody may enter, a disk that fails) these throw Error, which names the path
// and why. tests/floors/check.sh holds all headers to them: std::filesystem's own throw exceptions of theirs.

namespace detail {

inline std::filesystem::file_type kind_of(const std::filesystem::path& path, std::filesystem::file_status status,
                                          const std::error_code& failure) {
    if (status.type() == std::filesystem::file_type::none)
        throw Error(to_text(path.string(), ": cannot be read: ", failure.message()));
    return status.type();
}

}  // namespace detail

/// What a path leads to.
inline std::filesystem::file_type kind_at(const std::filesystem::path& path) {
    std::error_code failure;
    const auto status = std::filesystem::status(path, failure);
    return detail::kind_of(path, status, failure);
}

/// The same, of a link the link itself.
inline std::filesystem::file_type own_kind_at(const std::filesystem::path& path) {
    std::error_code failure;
    const auto status = std::filesystem::symlink_status(path, failure);
    return detail::kind_of(path, status, failure);
}

inline bool is_anything_at(const std::filesystem::path& path) {
    return kind_at(path) != std::filesystem::file_type::not_found;
}
inline bool is_file_at(const std::filesystem::path& path) {
    return kind_at(path) == std::filesystem::file_type::regular;
}
inline bool is_directory_at(const std::filesystem::path& path) {
    return kind_at(path) == std::filesystem::file_type::directory;
}

}  // namespace crossdock
