// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <iostream>
#include <optional>
#include <string>
#include <vector>

#include "crossdock/cli/columns.hpp"
#include "crossdock/cli/differences.hpp"
#include "crossdock/cli/messages.hpp"
#include "crossdock/cli/source_tensors.hpp"
#include "crossdock/cli/units.hpp"
#include "crossdock/container/disk_space.hpp"
#include "crossdock/container/json.hpp"
#include "crossdock/container/transfer_pool.hpp"
#include "crossdock/pipeline/reports.hpp"
#include "crossdock/plugin/plugin_list.hpp"
#include "crossdock/plugin/storage.hpp"

namespace crossdock::cli {

namespace detail {

/// "hf --model_type llama"
inline std::string plugin_text(const std::string& name, const OptionValues& values) {
    std::string text = name;
    for (const auto& [option, value] : values) text += to_text(" --", option, value.empty() ? "" : " ", value);
    return text;
}

}  // namespace detail

/// What a dry run has found out.
struct Plan {
    const Report& report;
    const ConvertOptions& options;
    std::filesystem::path target;
    std::string loader, saver;                                     ///< with their options
    std::optional<std::uint64_t> free_bytes = free_space(target);  ///< where the target is to be

    std::uint64_t bytes() const {
        std::uint64_t sum = 0;
        for (const PlannedFile& file : report.files) sum += file.bytes;
        return sum;
    }
    bool has_room() const { return !free_bytes || *free_bytes >= bytes(); }
    std::size_t threads() const { return thread_count(options.threads, options.memory); }
    std::string dtype() const { return std::string(options.dtype ? dtype_name(*options.dtype) : "as in the source"); }
};

namespace detail {

inline Json json_of(const Plan& plan) {
    Json json{{"target", plan.target.string()}, {"files", Json::array()}};
    for (const PlannedFile& file : plan.report.files)
        json["files"].push_back({{"name", file.name}, {"bytes", file.bytes}});
    json["bytes"] = plan.bytes();
    json["free_bytes"] = plan.free_bytes ? Json(*plan.free_bytes) : Json();
    json["has_room"] = plan.has_room();
    json["tensors"] = plan.report.tensors;
    json["memory"] = plan.options.memory;
    json["threads"] = plan.threads();
    json["loader"] = plan.loader;
    json["saver"] = plan.saver;
    json["dtype"] = plan.dtype();
    json["source_tensors"] = Json::array();
    for (const SourceTensor& tensor : plan.report.source_tensors)
        json["source_tensors"].push_back(cli::json_of(tensor));
    json["warnings"] = plan.report.warnings;
    return json;
}

}  // namespace detail

inline void print_plan(const Plan& plan) {
    std::vector<std::array<std::string, 2>> files;
    for (const PlannedFile& file : plan.report.files) files.push_back({file.name, to_text(file.bytes, " bytes")});
    std::cout << one_line(to_text(plan.target.string(), ": ", files.size(), " files would be written")) << '\n';
    detail::print_columns(files);
    std::cout << '\n';
    const std::string room = plan.free_bytes
                                 ? to_text(*plan.free_bytes, " bytes free: ", plan.has_room() ? "enough" : "too few")
                                 : "not known";
    detail::print_columns<2>(
        {{"tensors", to_text(plan.report.tensors, ", ", bytes_text(plan.report.bytes))},
         {"bytes", to_text(plan.bytes(), " in all files")},
         {"disk", room},
         {"memory", to_text(plan.options.memory >> 20, " MiB at most, ", plan.threads(), " threads")},
         {"loader", plan.loader},
         {"saver", plan.saver},
         {"dtype", plan.dtype()}});
    if (!plan.report.source_tensors.empty()) print_source_tensors(plan.report.source_tensors);
    std::cout << std::flush;
}

}  // namespace crossdock::cli
