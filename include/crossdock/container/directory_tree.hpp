// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/container/descriptor.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/source.hpp"

namespace crossdock::detail {

// A directory with all that is in it. Not by std::filesystem's iterators: libstdc++'s end the program where memory lacks
// for the next name.

/// The names in a directory, without its own and its parent's. Takes no memory, which opendir(3) does: what a run has
/// written is removed even when there is none.
class DirectoryNames {
public:
    /// `flags` of open(2) more than are needed anyway.
    DirectoryNames(int parent, const char* name, int flags = 0) noexcept
        : file_(uninterrupted([&] { return ::openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | flags); })),
          failure_(file_.get() < 0 ? errno : 0) {}
    DirectoryNames(const DirectoryNames&) = delete;
    DirectoryNames& operator=(const DirectoryNames&) = delete;

    /// Null where there is none any more, or a failure. Valid until the next one is asked for.
    const char* next() noexcept {
        while (failure_ == 0 && (next_ < end_ || refill())) {
            const char* const entry = entries_.data() + next_;
            std::uint16_t length = 0;
            std::memcpy(&length, entry + length_offset, sizeof length);
            next_ += length;
            const std::string_view name = entry + name_offset;
            if (name != "." && name != "..") return name.data();
        }
        return nullptr;
    }

    /// The errno of what went wrong; 0 where nothing did.
    int failure() const noexcept { return failure_; }
    int file() const noexcept { return file_.get(); }

private:
    /// getdents64(2): an entry is its inode and the place of the next one in 8 bytes each, its length in 2, its type in
    /// 1, and its name with a zero behind.
    static constexpr std::size_t length_offset = 16, name_offset = 19;

    bool refill() noexcept {
        const int got = uninterrupted(
            [&] { return static_cast<int>(::syscall(SYS_getdents64, file_.get(), entries_.data(), entries_.size())); });
        if (got < 0) failure_ = errno;
        next_ = 0;
        end_ = got > 0 ? static_cast<std::size_t>(got) : 0;
        return end_ > 0;
    }

    Descriptor file_;
    int failure_;
    std::array<char, 4096> entries_;
    std::size_t next_ = 0, end_ = 0;  // in entries_
};

/// The names in a directory, sorted. Throws Error where it cannot be read.
inline std::vector<std::string> names_in(const std::filesystem::path& directory) {
    std::vector<std::string> names;
    DirectoryNames entries(AT_FDCWD, directory.c_str());
    while (const char* name = entries.next()) names.emplace_back(name);
    if (entries.failure() != 0) throw file_error(directory, "cannot be read", entries.failure());
    std::sort(names.begin(), names.end());
    return names;
}

/// Calls `visit(path, status)` for all that is below a directory, a directory before what is in it, until it returns
/// false. Does not follow links. Returns 0, or the errno of what could not be listed.
template <class Visit>
int walk(const std::filesystem::path& directory, const Visit& visit) {
    std::vector<std::filesystem::path> to_list{directory};
    while (!to_list.empty()) {
        const std::filesystem::path listed = std::move(to_list.back());
        to_list.pop_back();
        DirectoryNames names(AT_FDCWD, listed.c_str());
        while (const char* name = names.next()) {
            std::filesystem::path path = listed / name;
            struct stat status {};
            if (::lstat(path.c_str(), &status) != 0) return errno;
            if (!visit(std::as_const(path), std::as_const(status))) return 0;
            if (S_ISDIR(status.st_mode)) to_list.push_back(std::move(path));
        }
        if (names.failure() != 0) return names.failure();
    }
    return 0;
}

/// Makes a directory. Returns false when there is something of that name already.
inline bool make_directory(const std::filesystem::path& path, mode_t access = 0777) {
    if (::mkdir(path.c_str(), access) == 0) return true;
    if (errno != EEXIST) throw file_error(path, "cannot be created", errno);
    return false;
}

/// Returns when a file, or a directory's list of names, is on the disk. File systems that cannot flush directories say
/// EINVAL; they keep names safe in their own way or not at all.
inline void flush(const std::filesystem::path& path) {
    const Descriptor file(uninterrupted([&] { return ::open(path.c_str(), O_RDONLY | O_CLOEXEC); }));
    if (file.get() < 0) throw file_error(path, "cannot be opened to be flushed", errno);
    if (uninterrupted([&] { return ::fsync(file.get()); }) != 0 && errno != EINVAL && errno != EROFS)
        throw file_error(path, "cannot be flushed", errno);
}

/// Throws Cancelled where that is asked meanwhile.
inline void flush_tree(const std::filesystem::path& directory, const std::stop_token& stop) {
    const int failure = walk(directory, [&](const std::filesystem::path& path, const struct stat& status) {
        if (stop.stop_requested()) throw Cancelled();
        if (S_ISDIR(status.st_mode) || S_ISREG(status.st_mode)) flush(path);
        return true;
    });
    if (failure != 0) throw file_error(directory, "cannot be listed to be flushed", failure);
    flush(directory);
}

/// Whether all in a directory, itself included, are files and folders of this user that nobody else may write and that
/// have no other name.
inline bool is_all_own(const std::filesystem::path& directory) {
    const auto is_own = [](const std::filesystem::path&, const struct stat& status) {
        if (status.st_uid != ::geteuid() || (status.st_mode & S_IWOTH) != 0) return false;
        return S_ISDIR(status.st_mode) || (S_ISREG(status.st_mode) && status.st_nlink == 1);
    };
    struct stat status {};
    bool is_so = ::lstat(directory.c_str(), &status) == 0 && is_own(directory, status);
    const auto look = [&](const std::filesystem::path& path, const struct stat& found) {
        return is_so = is_own(path, found);
    };
    return is_so && walk(directory, look) == 0 && is_so;
}

/// Removes a file, a link, or a directory with all that is in it. Returns 0 when it is not there any more, otherwise the
/// errno of what could not be removed; all else is gone. Takes no memory.
inline int remove_tree(int parent, const char* name) noexcept {
    if (::unlinkat(parent, name, 0) == 0 || errno == ENOENT) return 0;
    if (errno != EISDIR) return errno;
    int failure = 0;
    {
        DirectoryNames names(parent, name, O_NOFOLLOW);
        while (const char* entry = names.next())
            if (const int reason = remove_tree(names.file(), entry); reason != 0) failure = reason;
        if (names.failure() != 0) failure = names.failure();
    }
    if (::unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT) return 0;
    return failure != 0 ? failure : errno;
}

/// Tries twice: what failed may have been for that moment, and a file system may skip names while others are removed.
inline int remove_tree(const std::filesystem::path& path) noexcept {
    return remove_tree(AT_FDCWD, path.c_str()) == 0 ? 0 : remove_tree(AT_FDCWD, path.c_str());
}

}  // namespace crossdock::detail
