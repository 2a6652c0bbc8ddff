// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <vector>

#include "crossdock/cli/arguments.hpp"
#include "crossdock/container/files_world.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/world.hpp"
#include "crossdock/plugin/options.hpp"

namespace crossdock::cli {

/// How processes share a conversion or a comparison; they are MPI's, or started one by one as those of a job array are.
inline std::vector<OptionInfo> ranks_options() {
    return {{"ranks", "N", "so many processes do this together, without MPI; each is given these three options"},
            {"rank", "R", "which of them this one is, from 0 on"},
            {"meeting", "DIR", "a new directory that all of them see; gone at the end"},
            {"region_size", "SIZE",
             "no two ranks, of MPI's neither, write into the same SIZE of a file; 16MiB unless given"}};
}

/// The world that the options ask for; null when they ask for none.
inline std::unique_ptr<World> world_asked(const Arguments& arguments) {
    const bool is_asked = arguments.has("ranks");
    for (const char* name : {"ranks", "rank", "meeting"})
        if (arguments.has(name) != is_asked) throw UsageError("--ranks, --rank and --meeting are given together");
    if (!is_asked) return nullptr;
    const auto rank = in_context("--rank", [&] { return crossdock::detail::parse_number(arguments.value("rank")); });
    return std::make_unique<FilesWorld>(arguments.value("meeting"), rank, number_or(arguments, "ranks", 1));
}

}  // namespace crossdock::cli
