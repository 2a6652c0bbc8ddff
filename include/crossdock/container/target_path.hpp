// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

#include "crossdock/container/descriptor.hpp"
#include "crossdock/container/path_kind.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/text.hpp"

namespace crossdock {

// Where a target may be.

namespace detail {

inline bool is_empty_directory(const std::filesystem::path& path) {
    std::error_code ignored;
    return std::filesystem::is_directory(path, ignored) && std::filesystem::is_empty(path, ignored);
}

/// Whether two paths lead to the same directory or file, through whatever links and mounts.
inline bool is_same_place(const std::filesystem::path& a, const std::filesystem::path& b) {
    std::error_code ignored;
    return std::filesystem::equivalent(a, b, ignored);
}

/// Whether `inner` is `outer` or lies in it; `outer` exists.
inline bool lies_in(std::filesystem::path inner, const std::filesystem::path& outer) {
    for (;; inner = inner.parent_path()) {
        if (is_same_place(inner, outer)) return true;
        if (inner == inner.parent_path()) return false;
    }
}

/// Absolute, without links, dots and a slash at the end; parts that do not exist yet stay as they are.
inline std::filesystem::path resolved(const std::filesystem::path& path) {
    std::error_code failure;
    auto out = std::filesystem::absolute(path, failure);  // fails where the current directory has been removed
    if (!failure) out = std::filesystem::weakly_canonical(out, failure);
    if (failure) throw Error(to_text(path.string(), ": cannot be resolved: ", failure.message()));
    return out.has_filename() ? out : out.parent_path();
}

inline bool is_mount_point(const std::filesystem::path& path) {
    struct stat own {
    }, parent{};
    return ::stat(path.c_str(), &own) == 0 && ::stat(path.parent_path().c_str(), &parent) == 0 &&
           own.st_dev != parent.st_dev;
}

/// The resolved path. Throws Error where no new directory can stand there, or take the place of what does.
inline std::filesystem::path checked_target(const std::filesystem::path& target, bool overwrite) {
    auto path = resolved(target);
    if (!path.has_filename()) throw Error(to_text(target.string(), ": is no name for a new directory"));
    const auto kind = own_kind_at(path);
    if (kind == std::filesystem::file_type::not_found) return path;
    if (kind == std::filesystem::file_type::symlink)
        throw Error(to_text(path.string(), ": is a link to nothing; remove it or choose another target"));
    if (kind != std::filesystem::file_type::directory)
        throw Error(to_text(path.string(), ": is there and is no directory; choose another target"));
    if (is_mount_point(path))
        throw Error(to_text(path.string(), ": is a mount point, which cannot be replaced; name a directory in it"));
    if (is_empty_directory(path)) return path;
    if (!overwrite)
        throw Error(to_text(path.string(), ": exists already; choose another target or give the option overwrite"));
    std::error_code failure;  // where the current directory has been removed, which is nowhere then
    const auto here = std::filesystem::current_path(failure);
    if (!failure && lies_in(here, path))
        throw Error(to_text(path.string(), ": is not overwritten while it is or holds the current directory"));
    return path;
}

/// Throws Error where nothing can be made beside a target, whose directory may be still to be made.
inline void require_writable_place(const std::filesystem::path& target) {
    auto directory = target.parent_path();
    while (!is_anything_at(directory)) directory = directory.parent_path();
    if (::faccessat(AT_FDCWD, (directory / ".").c_str(), W_OK | X_OK, AT_EACCESS) != 0)
        throw file_error(directory, "cannot be written", errno);
}

}  // namespace detail

/// Throws Error when the target of a conversion is its source, lies in it or holds it, whatever links hide that.
inline void require_separate(const std::filesystem::path& source, const std::filesystem::path& target) {
    if (!is_anything_at(source)) throw Error(to_text(source.string(), ": does not exist"));
    const auto from = detail::resolved(source), to = detail::resolved(target);
    const bool exists = is_anything_at(to);
    if (exists && detail::is_same_place(from, to))
        throw Error(to_text(target.string(), ": is the source itself; choose another target"));
    if (detail::lies_in(to, from))
        throw Error(to_text(target.string(), ": lies in the source ", source.string(), "; choose another target"));
    if (exists && detail::lies_in(from, to))
        throw Error(to_text(target.string(), ": holds the source ", source.string(), "; choose another target"));
}

}  // namespace crossdock
