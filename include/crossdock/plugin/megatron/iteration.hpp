// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "crossdock/container/directory_tree.hpp"
#include "crossdock/container/json.hpp"
#include "crossdock/container/path_kind.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/text.hpp"

namespace crossdock {

/// An iteration as Megatron names it.
struct Iteration {
    std::uint64_t number = 0;
    bool release = false;

    bool operator==(const Iteration&) const = default;

    std::string text() const { return release ? "release" : std::to_string(number); }
    std::string directory() const {
        if (release) return "release";
        const std::string digits = std::to_string(number);
        return "iter_" + std::string(digits.size() < 7 ? 7 - digits.size() : 0, '0') + digits;
    }
};

/// "release" or a number, white space and a byte order mark around it allowed; empty when it is neither.
inline std::optional<Iteration> parse_iteration(std::string_view value) {
    constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";
    if (value.starts_with(byte_order_mark)) value.remove_prefix(byte_order_mark.size());
    const std::size_t begin = value.find_first_not_of(" \t\r\n");
    if (begin == std::string_view::npos) return std::nullopt;
    value = value.substr(begin, value.find_last_not_of(" \t\r\n") - begin + 1);
    if (lower_case(value) == "release") return Iteration{0, true};
    Iteration iteration;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), iteration.number);
    if (error != std::errc() || end != value.data() + value.size()) return std::nullopt;
    return iteration;
}

/// What the name of a folder says: "release", "iter_0001000", or "global_step1000" as DeepSpeed has it; empty for any
/// other name, "iter_0001000.bak" say.
inline std::optional<Iteration> iteration_of_folder(std::string_view name) {
    if (name == "release") return Iteration{0, true};
    for (const std::string_view beginning : {std::string_view("iter_"), std::string_view("global_step")}) {
        if (!name.starts_with(beginning)) continue;
        name.remove_prefix(beginning.size());
        const bool is_number = !name.empty() && name.find_first_not_of("0123456789") == std::string_view::npos;
        return is_number ? parse_iteration(name) : std::nullopt;
    }
    return std::nullopt;
}

namespace detail {

inline constexpr std::string_view tracker_name = "latest_checkpointed_iteration.txt";

/// A folder that is named after an iteration.
struct IterationFolder {
    std::string name;
    Iteration iteration;
};

/// Those under a root, by name.
inline std::vector<IterationFolder> iteration_folders(const std::filesystem::path& root) {
    std::vector<IterationFolder> folders;
    for (const std::string& name : names_in(root)) {
        const auto iteration = iteration_of_folder(name);
        if (iteration && is_directory_at(root / name)) folders.push_back({name, *iteration});
    }
    return folders;
}

/// "iter_0000007, release"
inline std::string names_of(const std::vector<IterationFolder>& folders) {
    std::vector<std::string> names;
    names.reserve(folders.size());
    for (const IterationFolder& folder : folders) names.push_back(folder.name);
    return joined_list(names);
}

/// Which of a root's folders holds an iteration: the one that Megatron would name so, or one of the same number.
inline std::optional<std::string> folder_of(const std::vector<IterationFolder>& folders, const Iteration& iteration) {
    std::optional<std::string> found;
    for (const IterationFolder& folder : folders)
        if (folder.iteration == iteration && (!found || folder.name == iteration.directory())) found = folder.name;
    return found;
}

/// What the option load_iters names; Megatron-LLM's converter takes 0 for release.
inline std::string asked_folder(const std::filesystem::path& root, const std::vector<IterationFolder>& folders,
                                const std::string& asked) {
    const auto iteration = parse_iteration(asked);
    if (!iteration) throw UsageError(to_text("load_iters is '", asked, "', expected an iteration or release"));
    if (iteration->number == 0)
        if (const auto release = folder_of(folders, Iteration{0, true})) return *release;
    if (const auto folder = folder_of(folders, *iteration)) return *folder;
    throw Error(to_text((root / iteration->directory()).string(), ": does not exist; there are ", names_of(folders)));
}

/// What the tracker names, or the only folder where the tracker is empty or damaged.
inline std::string tracked_folder(const std::filesystem::path& tracker, const std::vector<IterationFolder>& folders,
                                  std::vector<std::string>& notices) {
    const std::string content = read_text(tracker);
    auto iteration = parse_iteration(content);
    if (!iteration) iteration = iteration_of_folder(content.substr(0, content.find_last_not_of(" \t\r\n") + 1));
    if (iteration)
        if (const auto folder = folder_of(folders, *iteration)) return *folder;
    const std::string others =
        folders.empty() ? "no folder of an iteration is there"
                        : to_text("there are ", names_of(folders), "; choose one with the option load_iters");
    if (iteration)
        throw Error(to_text(tracker.string(), ": names iteration ", iteration->text(), ", but there is no ",
                            iteration->directory(), "; ", others));
    if (folders.size() != 1)
        throw Error(to_text(tracker.string(), ": expected 'release' or an iteration's number; ", others));
    notices.push_back(
        to_text(tracker.string(), ": names no iteration; ", folders.front().name, " is read, the only one there"));
    return folders.front().name;
}

/// The folder to read under a root: what is asked for, what a tracker names, or the only one.
inline std::string choose_folder(const std::filesystem::path& root, const std::string& asked,
                                 std::vector<std::string>& notices) {
    const std::vector<IterationFolder> folders = iteration_folders(root);
    if (!asked.empty()) return asked_folder(root, folders, asked);
    for (const std::string_view tracker : {tracker_name, std::string_view("latest")})  // the latter is DeepSpeed's
        if (is_file_at(root / tracker)) return tracked_folder(root / tracker, folders, notices);
    if (folders.size() == 1) return folders.front().name;
    if (folders.empty())
        throw Error(to_text(root.string(), ": holds no Megatron checkpoint: no ", tracker_name,
                            ", no iteration directory and no mp_rank_… folder"));
    throw Error(to_text(root.string(), ": holds several iterations and no ", tracker_name, ": ", names_of(folders),
                        "; choose one with the option load_iters"));
}

}  // namespace detail

}  // namespace crossdock
