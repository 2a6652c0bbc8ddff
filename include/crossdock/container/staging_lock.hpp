// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>

#include "crossdock/container/descriptor.hpp"
#include "crossdock/container/directory_tree.hpp"
#include "crossdock/container/path_kind.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/text.hpp"

namespace crossdock::detail {

/// The right to write a target: a locked file in the staging directory beside it. Whoever finds the file free has found
/// what a killed run left.
class StagingLock {
public:
    StagingLock() = default;
    /// Takes the lock; makes the directory and the file where there are none. Throws Error when another run has it.
    StagingLock(const std::filesystem::path& target, const std::filesystem::path& directory,
                const std::filesystem::path& file) {
        while (!try_to_take(target, directory, file)) {
        }
    }

    bool is_held() const noexcept { return file_.get() >= 0; }

    /// Writes into the file, which is at `path`, what no other run writes there, and returns that.
    std::string mark(const std::filesystem::path& path) const {
        std::string mark = to_text(std::chrono::system_clock::now().time_since_epoch().count(), '-', ::getpid());
        if (::ftruncate(file_.get(), 0) != 0 ||
            ::pwrite(file_.get(), mark.data(), mark.size(), 0) != static_cast<ssize_t>(mark.size()) ||
            uninterrupted([&] { return ::fsync(file_.get()); }) != 0)
            throw file_error(path, "cannot be written", errno);
        return mark;
    }

private:
    /// A run that ends removes its lock with its directory, so the file that was locked may be gone by then; the next
    /// try makes a new one.
    bool try_to_take(const std::filesystem::path& target, const std::filesystem::path& directory,
                     const std::filesystem::path& path) {
        const bool is_new = make_directory(directory);
        if (own_kind_at(directory) != std::filesystem::file_type::directory)
            throw Error(to_text(directory.string(), ": is not a directory; remove it"));
        Descriptor file(
            uninterrupted([&] { return ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666); }));
        if (file.get() < 0 && errno == ENOENT) return false;
        if (file.get() < 0) {
            const int reason = errno;
            if (is_new) ::rmdir(directory.c_str());
            throw file_error(path, "cannot be created", reason);
        }
        lock(file, is_new, target, directory);
        if (!is_at(file, path)) return false;
        file_ = std::move(file);
        return true;
    }

    /// Some network file systems have no locks; there a staging directory may belong to a run on another machine.
    static void lock(const Descriptor& file, bool is_new, const std::filesystem::path& target,
                     const std::filesystem::path& directory) {
        if (::flock(file.get(), LOCK_EX | LOCK_NB) == 0) return;
        if (errno == EWOULDBLOCK)
            throw Error(to_text(target.string(), ": another run is writing it (", directory.string(),
                                " is locked); wait for it or choose another target"));
        if (!is_new)
            throw Error(to_text(directory.string(), ": is there already and cannot be locked: ",
                                std::string_view(std::strerror(errno)), "; remove it if no other run is under way"));
    }

    static bool is_at(const Descriptor& file, const std::filesystem::path& path) {
        struct stat own {
        }, named{};
        return ::fstat(file.get(), &own) == 0 && ::lstat(path.c_str(), &named) == 0 && own.st_ino == named.st_ino &&
               own.st_dev == named.st_dev;
    }

    Descriptor file_;
};

}  // namespace crossdock::detail
