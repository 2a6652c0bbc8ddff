// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <iostream>
#include <string>
#include <vector>

#include "crossdock/cli/columns.hpp"
#include "crossdock/cli/messages.hpp"
#include "crossdock/cli/units.hpp"
#include "crossdock/container/disk_space.hpp"
#include "crossdock/container/transfer_pool.hpp"
#include "crossdock/pipeline/reports.hpp"
#include "crossdock/plugin/options.hpp"

namespace crossdock::cli {

namespace detail {

/// "hf --model_type llama"
inline std::string plugin_text(const std::string& name, const OptionValues& values) {
    std::string text = name;
    for (const auto& [option, value] : values) text += to_text(" --", option, value.empty() ? "" : " ", value);
    return text;
}

}  // namespace detail

/// Tells what a conversion would write, and returns whether the disk has room for it. `loader` and `saver` are their
/// names and options.
inline bool print_plan(const Report& report, const ConvertOptions& options, const std::filesystem::path& target,
                       const std::string& loader, const std::string& saver) {
    std::uint64_t bytes = 0;
    std::vector<std::array<std::string, 2>> files;
    for (const PlannedFile& file : report.files) {
        bytes += file.bytes;
        files.push_back({file.name, to_text(file.bytes, " bytes")});
    }
    const auto free = free_space(target);
    const bool has_room = !free || *free >= bytes;
    const std::size_t threads = thread_count(options.threads, options.memory);
    std::cout << one_line(to_text(target.string(), ": ", report.files.size(), " files would be written")) << '\n';
    detail::print_columns(files);
    std::cout << '\n';
    detail::print_columns<2>(
        {{"tensors", to_text(report.tensors, ", ", bytes_text(report.bytes))},
         {"bytes", to_text(bytes, " in all files")},
         {"disk", free ? to_text(*free, " bytes free: ", has_room ? "enough" : "too few") : "not known"},
         {"memory", to_text(options.memory >> 20, " MiB at most, ", threads, " threads")},
         {"loader", loader},
         {"saver", saver},
         {"dtype", options.dtype ? std::string(dtype_name(*options.dtype)) : "as in the source"}});
    std::cout << std::flush;
    return has_room;
}

}  // namespace crossdock::cli
