// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <filesystem>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/cli/arguments.hpp"
#include "crossdock/cli/asked_dtype.hpp"
#include "crossdock/cli/dry_run.hpp"
#include "crossdock/cli/messages.hpp"
#include "crossdock/cli/plugin_choice.hpp"
#include "crossdock/cli/plugin_pair.hpp"
#include "crossdock/cli/progress_display.hpp"
#include "crossdock/cli/ranks.hpp"
#include "crossdock/cli/stop_on_signal.hpp"
#include "crossdock/container/source_identity.hpp"
#include "crossdock/container/staged_directory.hpp"
#include "crossdock/container/target_path.hpp"
#include "crossdock/container/when_in_place.hpp"
#include "crossdock/core/join_lists.hpp"
#include "crossdock/core/world.hpp"
#include "crossdock/pipeline/convert.hpp"
#include "crossdock/plugin/sidecar.hpp"
#include "crossdock/version.hpp"

namespace crossdock::cli {

namespace detail {

inline std::vector<OptionInfo> convert_options(const std::vector<std::string>& model_types) {
    return {{"model_type", "T", to_text("one of ", joined_list(model_types), "; taken from the source unless given")},
            {"loader", "NAME", to_text("reads the source; recognised unless given (see ", program_name(), " plugins)")},
            {"saver", "NAME",
             to_text("writes the target: mcore, hf … (see ", program_name(),
                     " plugins); megatron where a line has the reference's --model_type")},
            {"load_dir", "DIR", "the source, also as the first word without an option"},
            {"save_dir", "DIR", "the target, also as the second; complete or not there at all"},
            {"dtype", "f32|bf16|f16",
             "casts floating tensors; each keeps its own type unless given; also fp32, bfloat16, torch.float16 …"},
            {"bf16", "", "the same as --dtype bf16"},
            {"fp16", "", "the same as --dtype f16"},
            {"params_dtype", "T", "the same as --dtype"},
            {"save_dtype", "T", "the same as --dtype"},
            {"no_checking", "", "does not compare tensors with the header"},
            {"verify", "", "reads the target back and compares it with the source before it appears; keeps digests"},
            {"max_queue_size", "N", "messages between loader and saver, 50 unless given"},
            {"threads", "N", "that read, rearrange and write; one for each processor unless given"},
            {"memory", "MIB", "that it may take, 256 unless given"},
            {"json", "", "prints progress and report as lines of JSON; with --quiet the report alone"},
            {"dry_run", "", "tells what would be written, and whether there is room for it; writes nothing"},
            {"resume", "", "goes on where the same command was interrupted, and keeps what it has when it is itself"},
            {"quiet", "", "prints nothing but warnings and errors"}};
}

/// Options of the reference's tools that are none of a plugin's.
inline std::vector<OptionInfo> other_options(const std::vector<OptionInfo>& elsewhere) {
    std::vector<OptionInfo> options;
    for (const ReferenceOption& option : reference_options())
        if (!knows(elsewhere, option.info.name)) options.push_back(option.info);
    return options;
}

/// Options that say how a conversion runs and what it tells: its result is the same.
inline bool is_of_the_run(std::string_view name) {
    constexpr std::array names{"threads", "memory",    "max_queue_size", "quiet", "resume",
                               "dry_run", "overwrite", "save_dir",       "json"};
    return std::find(names.begin(), names.end(), name) != names.end();
}

/// What tells a conversion from any that would write something else: what its user said, and the files that it reads.
inline std::string job_of(const Arguments& arguments, const PluginPair& pair) {
    constexpr std::array sources{"load_dir", "config", "vocab_file"};
    std::string job = to_text(library_version, '\0', pair.loader, '\0', pair.saver, '\0');
    for (const auto& [name, value] : arguments.options) {
        if (is_of_the_run(name)) continue;
        job += to_text(name, '\0', value, '\0');
        if (std::find(sources.begin(), sources.end(), name) != sources.end()) job += source_identity(value);
    }
    return job;
}

/// The options that make the target what it is: not where it is, nor how fast.
inline std::map<std::string, std::string> options_to_keep(const OptionValues& given, const PluginPair& pair) {
    constexpr std::array told_elsewhere{"load_dir", "verify", "ranks", "rank", "meeting", "region_size"};
    std::map<std::string, std::string> kept{{"loader", pair.loader}, {"saver", pair.saver}};
    for (const auto& [name, value] : given)
        if (!is_of_the_run(name) &&
            std::find(told_elsewhere.begin(), told_elsewhere.end(), name) == told_elsewhere.end())
            kept.emplace(name, value);
    return kept;
}

/// Opens what a saver has written: by the loader of its name, or the one that recognises it.
template <class Loaders>
std::unique_ptr<AnyLoader> open_target(const std::string& saver, const std::filesystem::path& directory) {
    const std::string loader = is_named<Loaders>(saver) ? saver : recognised_loader<Loaders>(directory);
    return open_checkpoint<Loaders>(loader, directory.string(), {});
}

/// The directories may stand without their options.
inline Arguments with_directories(Arguments arguments) {
    constexpr std::array names{"load_dir", "save_dir"};
    for (std::size_t i = 0; i < arguments.positional.size(); ++i) {
        const auto [option, is_new] = arguments.options.emplace(names[i], arguments.positional[i]);
        if (!is_new)
            throw UsageError(to_text("'", arguments.positional[i], "' and --", names[i], ' ', option->second,
                                     " both name ", i == 0 ? "the source" : "the target"));
    }
    return arguments;
}

inline void print_report(const Report& report) {
    const Json line{{"report",
                     {{"tensors", report.tensors},
                      {"bytes", report.bytes},
                      {"seconds", report.seconds},
                      {"verified", report.verified},
                      {"warnings", report.warnings}}}};
    print_json(line, -1);
}

inline void print_summary(const Report& report) {
    std::cout << "converted " << report.tensors << " tensors, wrote " << bytes_text(report.bytes) << ' '
              << speed_text(report.bytes, report.seconds);
    if (report.verified > 0) std::cout << "; read back: " << report.verified << " tensors are the source's";
    std::cout << std::endl;
}

/// What was done.
inline void print_outcome(const Report& report, const Arguments& arguments) {
    for (const std::string& line : report.warnings) warn(line);
    if (arguments.has("json"))
        print_report(report);
    else if (!arguments.has("quiet"))
        print_summary(report);
}

inline ConvertOptions options_of_run(const Arguments& arguments, World& world) {
    ConvertOptions options{.max_queue_size = number_or(arguments, "max_queue_size", 50),
                           .no_checking = arguments.has("no_checking"),
                           .dtype = asked_dtype(arguments),
                           .threads = number_or(arguments, "threads", 0),
                           .memory = memory_asked(arguments),
                           .world = &world,
                           .dry_run = arguments.has("dry_run"),
                           .resume = arguments.has("resume"),
                           .left_behind = [](const std::string& leftover) { warn(leftover); }};
    if (options.resume && world.is_shared()) throw UsageError("--resume is for one process, without --ranks");
    return options;
}

/// Returns the exit code of a dry run.
inline int tell_plan(const Report& report, const ConvertOptions& options, const Arguments& arguments,
                     const PluginPair& pair) {
    for (const std::string& line : report.warnings) warn(line);
    const Plan plan{.report = report,
                    .options = options,
                    .target = arguments.value("save_dir"),
                    .loader = plugin_text(pair.loader, pair.loader_values),
                    .saver = plugin_text(pair.saver, pair.saver_values)};
    arguments.has("json") ? print_json(json_of(plan)) : print_plan(plan);
    return plan.has_room() ? success : failure;
}

}  // namespace detail

template <class Loaders, class Savers>
Syntax convert_syntax() {
    const std::vector<OptionInfo> general = detail::convert_options(Loaders::model_types());
    std::vector<OptionInfo> elsewhere = join_lists(general, ranks_options());
    const std::vector<OptionInfo> of_loaders = plugin_options<Loaders>(elsewhere);
    elsewhere.insert(elsewhere.end(), of_loaders.begin(), of_loaders.end());
    const std::vector<OptionInfo> of_savers = plugin_options<Savers>(elsewhere);
    elsewhere.insert(elsewhere.end(), of_savers.begin(), of_savers.end());
    return {.command = "convert",
            .summary = "Converts a checkpoint into another format or to other parallel sizes.",
            .arguments = "[SOURCE] [TARGET]",
            .groups = {{"general", general},
                       {"several processes", ranks_options()},
                       {loader_group, of_loaders},
                       {saver_group, of_savers},
                       {reference_group, detail::other_options(elsewhere)}},
            .examples = {"--saver mcore Llama-3.1-8B start",
                         "--saver mcore Llama-3.1-8B ranks --target_tensor_parallel_size 8",
                         "--saver hf checkpoints published --config Llama-3.1-8B"}};
}

template <class Loaders, class Savers>
int convert_command(const Arguments& given, World& world) {
    const Arguments arguments = detail::with_directories(given);
    ConvertOptions options = detail::options_of_run(arguments, world);
    detail::PluginPair pair = detail::choose_plugins<Loaders, Savers>(arguments);
    if (arguments.has("load_dir") && arguments.has("save_dir"))
        require_separate(arguments.value("load_dir"), arguments.value("save_dir"));
    for (const std::string& line : pair.notes) warn(line);
    if (arguments.has("verify")) {
        options.read_back = [&](const std::filesystem::path& directory) {
            return detail::open_target<Loaders>(pair.saver, directory);
        };
        options.is_described_anew = arguments.has("config");
    }

    const StopOnSignal signals(!world.is_shared());
    options.stop = signals.token();
    Report report;
    try {
        if (!world.is_shared()) options.job = detail::job_of(arguments, pair);
        const std::unique_ptr<AnyLoader> loader = Loaders::make(pair.loader, pair.loader_values);
        if (!arguments.has("loader")) pair.loader = loader_of_format(pair.loader, loader->header());
        options.options_to_keep = detail::options_to_keep(arguments.options, pair);
        const std::unique_ptr<AnySaver> saver = Savers::make(pair.saver, pair.saver_values);
        const bool is_quiet = arguments.has("quiet") || options.dry_run || !world.leads();
        ProgressDisplay display(progress_style(is_quiet, arguments.has("json")));
        options.progress = [&display](const Progress& progress) { display.show(progress); };
        report = convert(*loader, *saver, options);
    } catch (const Cancelled&) {
        return stopped_by(signals.signal());
    }
    if (options.dry_run) return detail::tell_plan(report, options, arguments, pair);
    when_in_place("what was done cannot be told", [&] { detail::print_outcome(report, arguments); });
    return success;
}

}  // namespace crossdock::cli
