// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <unistd.h>

#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include "crossdock/cli/arguments.hpp"
#include "crossdock/cli/differences.hpp"
#include "crossdock/cli/messages.hpp"
#include "crossdock/cli/plugin_choice.hpp"
#include "crossdock/cli/progress_display.hpp"
#include "crossdock/cli/ranks.hpp"
#include "crossdock/cli/stop_on_signal.hpp"
#include "crossdock/core/join_lists.hpp"
#include "crossdock/core/world.hpp"
#include "crossdock/pipeline/digest.hpp"
#include "crossdock/pipeline/digest_list.hpp"

namespace crossdock::cli {

namespace detail {

inline std::vector<OptionInfo> digest_options() {
    return {
        {"loader", "NAME", to_text("reads the checkpoint; recognised unless given (see ", program_name(), " plugins)")},
        {"check", "FILE", "compares with the digests in FILE: what this command wrote, or a target's crossdock.json"},
        {"json", "", "prints JSON for machines"},
        {"threads", "N", "that read and digest; one for each processor unless given"},
        {"memory", "MIB", "that it may take, 256 unless given"},
        {"quiet", "", "shows no progress; with --check, prints nothing but differences"}};
}

inline void print_digests(const DigestList& list) {
    for (const TensorDigest& tensor : list.tensors) std::cout << one_line(digest_line(tensor)) << '\n';
    std::cout << to_string(list.model.value_or(Digest{})) << "  model" << std::endl;
}

/// What a checkpoint (B) differs in from kept digests (A).
inline VerifyReport checked_against(const DigestList& kept, DigestReport found) {
    VerifyReport report{.tensors = found.list.tensors.size(),
                        .bytes = found.bytes,
                        .seconds = found.seconds,
                        .differences = compare_digests(kept, found.list),
                        .notices = std::move(found.notices)};
    for (const FileDigest& file : kept.files)
        for (const FileDigest& other : found.list.files) report.beside += file.name == other.name;
    return report;
}

/// Opens and digests a checkpoint. The display speaks on stderr alone: stdout is for what was found.
template <class Loaders>
DigestReport digest_of_directory(const Arguments& arguments, const std::string& loader, const std::string& directory,
                                 DigestOptions options) {
    const auto checkpoint = open_checkpoint<Loaders>(loader, directory, arguments.options);
    const bool is_watched = ::isatty(STDERR_FILENO) == 1 && options.world->leads();
    ProgressDisplay display(progress_style(arguments.has("quiet") || !is_watched));
    options.progress = [&display](const Progress& progress) { display.show(progress); };
    return digest(*checkpoint, options);
}

}  // namespace detail

template <class Loaders>
Syntax digest_syntax() {
    const std::vector<OptionInfo> own = detail::digest_options();
    std::vector<OptionInfo> elsewhere = join_lists(own, ranks_options());
    elsewhere.push_back({"load_dir", "", ""});  // it is the argument
    return {.command = "digest",
            .summary =
                "Prints a digest for each canonical tensor and one for the model, the same for the same weights in "
                "every format.\nWith --check exits with 0 if all are as they were, with 1 if not, with 2 if that "
                "cannot be told.",
            .arguments = "DIR",
            .groups = {{"general", own},
                       {"several processes", ranks_options()},
                       {loader_group, plugin_options<Loaders>(elsewhere)}}};
}

template <class Loaders>
int digest_command(const Arguments& arguments, World& world) {
    DigestOptions options{
        .threads = number_or(arguments, "threads", 0), .memory = memory_asked(arguments), .world = &world};
    const std::string& directory = arguments.positional[0];
    const std::string loader = choose_loader<Loaders>(arguments.value("loader"), directory);
    require_known<Loaders>(arguments.options, join_lists(detail::digest_options(), ranks_options()), {loader});
    DigestList kept;
    if (arguments.has("check")) kept = read_digests(arguments.value("check"));
    const StopOnSignal signals(!world.is_shared());
    options.stop = signals.token();
    DigestReport report;
    try {
        report = detail::digest_of_directory<Loaders>(arguments, loader, directory, options);
    } catch (const Cancelled&) {
        return stopped_by(signals.signal());
    }
    if (arguments.has("check")) {
        const VerifyReport found = detail::checked_against(kept, std::move(report));
        print_comparison(found, arguments.has("json"), arguments.has("quiet"));
        return found.equal() ? success : different;
    }
    for (const std::string& line : report.notices) warn(line);
    if (arguments.has("json")) {
        Json json = digests_to_json(report.list);
        json["notices"] = report.notices;
        print_json(std::move(json));
    } else
        detail::print_digests(report.list);
    return success;
}

}  // namespace crossdock::cli
