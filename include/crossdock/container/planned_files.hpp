// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace crossdock {

/// A file that a conversion would write.
struct PlannedFile {
    std::string name;  ///< from the target on: "iter_0000100/mp_rank_00/model_optim_rng.pt"
    std::uint64_t bytes = 0;
};

/// The files of a target that is only planned, and how long each would become. For any thread.
class PlannedFiles {
public:
    /// Names begin behind this directory.
    void begin_at(const std::string& directory) { directory_ = directory + '/'; }

    /// The file is there, and reaches to `end` at least.
    void extend(const std::string& path, std::uint64_t end) {
        const std::lock_guard lock(mutex_);
        std::uint64_t& bytes = files_[name_of(path)];
        bytes = std::max(bytes, end);
    }

    void rename(const std::string& from, const std::string& to) {
        const std::lock_guard lock(mutex_);
        if (auto file = files_.extract(name_of(from))) {
            file.key() = name_of(to);
            files_.insert(std::move(file));
        }
    }

    /// By name.
    std::vector<PlannedFile> files() {
        const std::lock_guard lock(mutex_);
        std::vector<PlannedFile> out;
        for (const auto& [name, bytes] : files_) out.push_back({name, bytes});
        return out;
    }

private:
    std::string name_of(const std::string& path) const {
        return path.starts_with(directory_) ? path.substr(directory_.size()) : path;
    }

    std::string directory_;
    std::mutex mutex_;
    std::map<std::string, std::uint64_t> files_;
};

}  // namespace crossdock
