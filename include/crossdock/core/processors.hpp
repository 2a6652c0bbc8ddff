// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>
#include <thread>
#include <utility>

#if defined(__linux__)
#include <sched.h>
#endif

namespace crossdock {

namespace detail {

/// The first two words of a small file; empty where there are none.
inline std::pair<std::string, std::string> two_words(const std::filesystem::path& path) {
    std::pair<std::string, std::string> words;
    std::ifstream(path) >> words.first >> words.second;
    return words;
}

/// quota / period, rounded up; empty where there is no limit ("max", or -1), or nothing that says so.
inline std::optional<std::size_t> processors_for(const std::string& quota, const std::string& period) {
    std::int64_t granted = 0, of = 0;
    if (!(std::istringstream(quota) >> granted) || !(std::istringstream(period) >> of)) return {};
    if (granted <= 0 || of <= 0) return {};
    return static_cast<std::size_t>((granted + of - 1) / of);
}

/// The processors that control groups grant: the least of the group at `path` ("/slurm/job_7") and of those that it is
/// in. `root` is where the groups are mounted; both versions of them are looked for.
inline std::optional<std::size_t> granted_processors(const std::filesystem::path& root, std::filesystem::path path) {
    std::optional<std::size_t> least;
    const auto take = [&least](std::optional<std::size_t> one) {
        if (one && (!least || *one < *least)) least = one;
    };
    for (path = path.relative_path();; path = path.parent_path()) {
        const auto both = two_words(root / path / "cpu.max");
        take(processors_for(both.first, both.second));
        const std::filesystem::path older = root / "cpu" / path;
        take(processors_for(two_words(older / "cpu.cfs_quota_us").first, two_words(older / "cpu.cfs_period_us").first));
        if (path.empty()) return least;
    }
}

/// The path of this process's control group, as `membership` ("/proc/self/cgroup") has it: a line is
/// "7:cpu,cpuacct:/path", or "0::/path" in version 2.
inline std::filesystem::path control_group(const std::filesystem::path& membership) {
    std::ifstream lines(membership);
    std::string path;
    for (std::string line; std::getline(lines, line);) {
        const std::size_t first = line.find(':'), second = line.find(':', first + 1);
        if (first == std::string::npos || second == std::string::npos) continue;
        const std::string controllers = ',' + line.substr(first + 1, second - first - 1) + ',';
        if (controllers == ",," || controllers.find(",cpu,") != std::string::npos) path = line.substr(second + 1);
        if (controllers.find(",cpu,") != std::string::npos) break;
    }
    return path;
}

/// The processors that this process may run on: taskset, Slurm and mpirun bind it to some.
inline std::size_t bound_processors() {
#if defined(__linux__)
    cpu_set_t few;
    if (::sched_getaffinity(0, sizeof few, &few) == 0) return static_cast<std::size_t>(CPU_COUNT(&few));
#endif
    return std::thread::hardware_concurrency();  // more than 1,024 of them, or another system
}

}  // namespace detail

/// How many threads can run at once: the processors that this process is bound to, and no more than its control groups
/// (containers, jobs) grant it the time of. At least one.
inline std::size_t available_processors() {
    const std::size_t bound = std::max<std::size_t>(detail::bound_processors(), 1);
    const auto granted = detail::granted_processors("/sys/fs/cgroup", detail::control_group("/proc/self/cgroup"));
    return granted ? std::min(bound, std::max<std::size_t>(*granted, 1)) : bound;
}

}  // namespace crossdock
