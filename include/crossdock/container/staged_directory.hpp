// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "crossdock/container/descriptor.hpp"
#include "crossdock/container/directory_tree.hpp"
#include "crossdock/container/disk_space.hpp"
#include "crossdock/container/journal.hpp"
#include "crossdock/container/output_path.hpp"
#include "crossdock/container/path_kind.hpp"
#include "crossdock/container/planned_files.hpp"
#include "crossdock/container/require_usable.hpp"
#include "crossdock/container/staging_lock.hpp"
#include "crossdock/container/target_path.hpp"
#include "crossdock/container/under_way.hpp"
#include "crossdock/container/when_in_place.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/source.hpp"
#include "crossdock/core/text.hpp"
#include "crossdock/core/world.hpp"

namespace crossdock {

/// What else is wanted of a staging directory.
struct Staging {
    PlannedFiles* planned = nullptr;  ///< not null: nothing is written, it hears what would be
    /// What tells this run from any that would write something else: its options and its source. Where it is given, a
    /// journal of what was written is kept; empty: none is.
    std::string job{};
    /// Takes over what a run of the same job left, and leaves what it has itself when it fails.
    bool resume = false;
    /// Told, by a destructor at times, of what a run that failed could not remove: its path and why. May be null.
    std::function<void(const std::string& leftover)> left_behind{};
    mode_t access = 0777;  ///< who may read and write it, before the umask (container/access.hpp)
};

/// A directory that appears complete or not at all. Files are written to path(); commit() moves them to the target in
/// one step; without it the destructor removes them, and the target is as it was.
///
/// In a world of several ranks all make one, and call commit(): rank 0 does the work, the others write into the same
/// directory.
///
/// Beside target NAME stands, as long as a run is under way, the directory .NAME.crossdock-staging:
///   lock      held by the run (its rank 0); whoever finds it free has found what a killed run left
///   files     the new content, path()
///   journal   what was written to them (container/journal.hpp)
///   replaced  the old content, for a moment, where the file system cannot exchange two directories
class StagedDirectory {
public:
    /// Throws Error when the target exists and is not an empty directory, unless `overwrite`; when another run is
    /// writing it; when it cannot be written; when a rank does not see what rank 0 makes. Missing parents are made.
    /// Removes what a killed run left behind, or takes it over where that is asked.
    StagedDirectory(const std::filesystem::path& target, bool overwrite, World& world = World::alone(),
                    Staging staging = {})
        : world_(world),
          overwrite_(overwrite),
          asked_(std::move(staging)) {
        try {
            if (world.leads()) make(target);
            if (world.is_shared()) find();
        } catch (...) {
            give_up();
            throw;
        }
    }
    StagedDirectory(const StagedDirectory&) = delete;
    StagedDirectory& operator=(const StagedDirectory&) = delete;
    ~StagedDirectory() { leave(); }

    /// Where to write.
    const std::filesystem::path& path() const noexcept { return at_.files; }
    /// The same place, for files that the ranks write together.
    OutputPath output() const {
        const OutputPath output = OutputPath(path(), world_).with_access(asked_.access);
        return asked_.planned ? output.planned_in(*asked_.planned) : is_continued_ ? output.continued() : output;
    }
    /// Where to note what was written; null where no journal is kept.
    Journal* journal() const noexcept { return journal_.get(); }

    /// Throws Error when the disk has no room for `bytes`, less what stands there already.
    void require_room(std::uint64_t bytes) const {
        if (asked_.planned || !world_.leads()) return;
        const std::uint64_t standing = is_continued_ ? space_taken(path()) : 0;
        in_context(target_.string(), [&] { require_space(path(), bytes - std::min(bytes, standing)); });
    }

    /// What the user should be told, for example that leftovers of an earlier run were removed.
    const std::vector<std::string>& notices() const noexcept { return notices_; }

    /// Flushes all files and makes them the target, in one step at the end, when all ranks have come here, and flushed
    /// what they wrote. On Error the target is as it was, unless the text says that it is complete; on Cancelled, too,
    /// which is heard until then.
    void commit(const std::stop_token& stop = {}) {
        if (asked_.planned) return;
        world_.meet();
        if (world_.leads()) put_in_place(stop);
        world_.meet();
    }

private:
    void make(const std::filesystem::path& target) {
        target_ = detail::checked_target(target, overwrite_);
        at_ = {.staging = target_.parent_path() / to_text('.', target_.filename().string(), ".crossdock-staging")};
        if (asked_.planned) return detail::require_writable_place(target_);
        make_parents();
        lock_ = detail::StagingLock(target_, at_.staging, at_.lock);
        put_back();
        is_continued_ = asked_.resume && can_be_continued();
        if (is_continued_)
            notices_.push_back(to_text(at_.staging.string(), ": continued what a run that did not end left there"));
        else
            begin_anew();
        if (!asked_.job.empty() && !world_.is_shared()) journal_ = std::make_unique<Journal>(at_.journal, job_here());
    }

    /// The job in this very directory. Once a target is in its place, what it has replaced may stand under the name of
    /// the files, for a moment, and must not be taken for them.
    std::string job_here() const {
        struct stat status {};
        if (::lstat(path().c_str(), &status) != 0) return {};
        return to_text(asked_.job, '\0', status.st_ino);
    }

    void begin_anew() {
        clean();
        detail::make_directory(path(), asked_.access | S_IRWXU);
        detail::require_usable(path());
    }

    /// Whether a run of the same job left files, and nobody else could have written them.
    bool can_be_continued() const {
        return !asked_.job.empty() && !world_.is_shared() && is_directory_at(path()) &&
               Journal::is_of(at_.journal, job_here()) && detail::is_all_own(at_.staging);
    }

    /// Ranks that do not share the target's file system would each write a part of it somewhere else.
    void find() {
        at_ = {.staging = world_.from_leader(at_.staging.string())};
        const std::string mark = world_.from_leader(world_.leads() ? lock_.mark(at_.lock) : std::string());
        std::ifstream file(at_.lock);
        std::string found;
        std::getline(file, found);
        if (found != mark || !is_directory_at(path()))
            throw Error(to_text(path().string(), ": is not what rank 0 made under this name; all ranks need the ",
                                "target's file system"));
        world_.meet();
    }

    void put_in_place(const std::stop_token& stop) {
        detail::flush_tree(path(), stop);
        if (stop.stop_requested()) throw Cancelled();
        std::vector<std::filesystem::path> made;
        {
            const std::lock_guard lock(UnderWay::ending);
            replace_target();
            is_in_place_ = UnderWay::is_complete = true;
            made.swap(made_parents_);
        }
        when_in_place("a power cut may undo that", [&] {
            for (const auto& parent : made) detail::flush(parent.parent_path());
            detail::flush(target_.parent_path());
        });
        if (const int reason = remove(); reason != 0)
            when_in_place("not all else was removed", [&] { notices_.push_back(leftover_text(reason)); });
    }

    void make_parents() {
        std::vector<std::filesystem::path> missing;
        for (auto parent = target_.parent_path(); !is_anything_at(parent); parent = parent.parent_path())
            missing.push_back(parent);
        made_parents_.reserve(missing.size());
        for (; !missing.empty(); missing.pop_back())
            if (detail::make_directory(missing.back())) made_parents_.push_back(missing.back());
    }

    /// A run that was killed while it replaced the target may have left the only copy of the old content.
    void put_back() {
        if (!is_anything_at(at_.replaced) || is_anything_at(target_)) return;
        rename_file(at_.replaced, target_);
        notices_.push_back(to_text(target_.string(), ": put back as it was before a run that did not end"));
        detail::checked_target(target_, overwrite_);
    }

    void clean() {
        const bool has_rests = is_anything_at(path()) || is_anything_at(at_.replaced);
        const std::string_view advice = asked_.resume        ? ", which was of other options or another source"
                                        : can_be_continued() ? "; the option resume continues it instead"
                                                             : "";
        for (const auto& rest : {path(), at_.replaced, at_.journal})
            if (const int reason = detail::remove_tree(rest); reason != 0)
                throw detail::file_error(rest, "cannot be removed", reason);
        if (has_rests)
            notices_.push_back(
                to_text(at_.staging.string(), ": removed what a run that did not end left there", advice));
    }

    void replace_target() {
        if (::rename(path().c_str(), target_.c_str()) == 0) return;
        const bool is_taken = errno == EEXIST || errno == ENOTEMPTY || errno == ENOTDIR;
        if (!is_taken) throw detail::file_error(target_, "cannot be put in place", errno);
        if (!overwrite_ || own_kind_at(target_) != std::filesystem::file_type::directory)
            throw Error(to_text(target_.string(), ": came into being during this run; it is left as it is"));
        if (::renameat2(AT_FDCWD, path().c_str(), AT_FDCWD, target_.c_str(), RENAME_EXCHANGE) != 0) move_aside();
    }

    void move_aside() {
        if (::rename(target_.c_str(), at_.replaced.c_str()) != 0)
            throw detail::file_error(target_, "cannot be moved aside", errno);
        if (::rename(path().c_str(), target_.c_str()) == 0) return;
        const int reason = errno;
        if (::rename(at_.replaced.c_str(), target_.c_str()) != 0)
            throw Error(to_text(target_.string(),
                                ": could be neither replaced nor put back; the next run puts it back from ",
                                at_.replaced.string()));
        throw detail::file_error(target_, "cannot be put in place", reason);
    }

    /// Removes everything, unless a later run is to go on with it.
    void leave() noexcept {
        if (asked_.resume && !is_in_place_ && journal_ && journal_->has_blocks())
            journal_.reset();
        else
            give_up();
    }

    /// The same for a program that ends without destructors.
    static void remove_suddenly(const void* owner) noexcept {
        const auto& self = *static_cast<const StagedDirectory*>(owner);
        if (!self.asked_.resume || self.is_in_place_) self.remove_all();
    }

    /// Removes everything, and tells of what is left all the same.
    void give_up() noexcept {
        const int reason = remove();
        if (reason == 0 || !asked_.left_behind) return;
        try {
            asked_.left_behind(leftover_text(reason));
        } catch (...) {  // the next run tells of it
        }
    }

    std::string leftover_text(int reason) const {
        return to_text(at_.staging.string(),
                       ": could not be removed; remove it: ", std::string_view(std::strerror(reason)));
    }

    /// Removes the staging directory, if it is ours, and the parents that were made for it and hold nothing else.
    /// Returns 0, or the errno of what could not be removed of the former.
    int remove() noexcept {
        const std::lock_guard lock(UnderWay::ending);
        journal_.reset();
        const int reason = remove_all();
        lock_ = detail::StagingLock();
        made_parents_.clear();
        return reason;
    }

    int remove_all() const noexcept {
        std::error_code ignored;
        const int reason = lock_.is_held() ? remove_staging() : 0;
        for (auto parent = made_parents_.rbegin(); parent != made_parents_.rend(); ++parent)
            std::filesystem::remove(*parent, ignored);
        return reason;
    }

    /// The lock goes last: whoever finds none makes one, and then its own files.
    int remove_staging() const noexcept {
        std::error_code ignored;
        int reason = detail::remove_tree(at_.files);
        const auto remove_too = [&](const std::filesystem::path& rest) {
            if (const int failure = detail::remove_tree(rest); reason == 0) reason = failure;
        };
        remove_too(at_.journal);
        const bool has_target = std::filesystem::exists(target_, ignored);
        if (has_target) remove_too(at_.replaced);
        if (has_target || !std::filesystem::exists(at_.replaced, ignored)) {
            remove_too(at_.lock);
            const bool is_gone = ::rmdir(at_.staging.c_str()) == 0 || errno == ENOENT;
            const bool is_used = !is_gone && (errno == ENOTEMPTY || errno == EEXIST);  // by somebody else
            if (!is_gone && !is_used && reason == 0) reason = errno;
        }
        return reason;
    }

    /// All that is removed has its name beforehand, so that removing takes no memory.
    struct Names {
        std::filesystem::path staging{};
        std::filesystem::path lock = staging / "lock", files = staging / "files", journal = staging / "journal",
                              replaced = staging / "replaced";
    };

    World& world_;
    bool overwrite_;
    Staging asked_;
    std::filesystem::path target_;  // rank 0's
    Names at_;
    detail::StagingLock lock_;
    std::vector<std::filesystem::path> made_parents_;  // outermost first
    std::unique_ptr<Journal> journal_;
    bool is_continued_ = false, is_in_place_ = false;
    std::vector<std::string> notices_;
    UnderWay under_way_{remove_suddenly, this};  // the last: until then there is nothing
};

}  // namespace crossdock
