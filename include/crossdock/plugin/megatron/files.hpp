// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "crossdock/container/path_kind.hpp"
#include "crossdock/container/target_path.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/text.hpp"
#include "crossdock/plugin/megatron/dist_folder.hpp"
#include "crossdock/plugin/megatron/iteration.hpp"
#include "crossdock/plugin/megatron/other_formats.hpp"
#include "crossdock/plugin/megatron/rank_folders.hpp"

namespace crossdock {

// <root>/latest_checkpointed_iteration.txt      "release", or the iteration in decimal
// <root>/release/ or iter_0000001/              the folders of ranks, or a distributed checkpoint

/// The files of one checkpoint: those of its ranks, or a distributed checkpoint.
struct MegatronFiles {
    std::filesystem::path directory;  ///< of the iteration
    std::filesystem::path root;
    std::optional<Iteration> iteration{};
    std::vector<RankFolder> ranks{};  ///< in the order of their numbers; none of a distributed checkpoint
    bool torch_dist = false;          ///< it is distributed
    std::vector<std::string> notices{};
};

namespace detail {

/// Whether the weights of an iteration lie in this directory itself.
inline bool is_iteration_directory(const std::filesystem::path& directory) {
    return is_torch_dist(directory) || !rank_folders(directory).empty();
}

/// Sets which format the iteration's directory has, and its files. Throws Error where it has none, or two.
inline void find_format(MegatronFiles& files) {
    files.torch_dist = is_torch_dist(files.directory);
    if (!files.torch_dist) {
        files.ranks = find_ranks(files.directory);
        return;
    }
    require_known_backend(files.directory);
    for (const auto& folder : rank_folders(files.directory))
        if (weights_in(folder))
            throw Error(to_text(folder.string(),
                                ": stands beside a distributed checkpoint (.metadata and metadata.json), and one of "
                                "the two is another model's or of no use; move one of them elsewhere"));
}

}  // namespace detail

/// Finds a checkpoint's files; `directory` is its root, the directory of an iteration or that of a rank, `asked` an
/// iteration or empty.
inline MegatronFiles find_megatron_files(const std::filesystem::path& directory, const std::string& asked) {
    if (!is_directory_at(directory)) throw Error(to_text(directory.string(), ": is not a directory"));
    MegatronFiles files{.directory = directory, .root = directory};
    if (const auto weights = detail::weights_in(directory)) {
        const auto folder = detail::resolved(directory);
        if (detail::rank_numbers(folder.filename().string()).empty()) {
            files.ranks = {{{0}, *weights}};
            return files;
        }
        files.directory = files.root = folder.parent_path();  // where the other ranks stand
    }
    if (!detail::is_iteration_directory(files.directory)) {
        if (detail::iteration_folders(directory).empty()) detail::refuse_other_formats(directory);
        const std::string folder = detail::choose_folder(directory, asked, files.notices);
        files.iteration = iteration_of_folder(folder);
        files.directory = directory / folder;
    } else {
        const auto folder = detail::resolved(files.directory);
        files.iteration = iteration_of_folder(folder.filename().string());
        if (files.iteration) files.root = folder.parent_path();
    }
    detail::find_format(files);
    return files;
}

}  // namespace crossdock
