// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "crossdock/cli/arguments.hpp"
#include "crossdock/cli/asked_dtype.hpp"
#include "crossdock/cli/differences.hpp"
#include "crossdock/cli/digest_command.hpp"
#include "crossdock/cli/html/page.hpp"
#include "crossdock/cli/html/verify_page.hpp"
#include "crossdock/cli/messages.hpp"
#include "crossdock/cli/plugin_choice.hpp"
#include "crossdock/cli/progress_display.hpp"
#include "crossdock/cli/ranks.hpp"
#include "crossdock/cli/stop_on_signal.hpp"
#include "crossdock/container/path_kind.hpp"
#include "crossdock/core/join_lists.hpp"
#include "crossdock/core/world.hpp"
#include "crossdock/pipeline/verify.hpp"
#include "crossdock/plugin/sidecar.hpp"

namespace crossdock::cli {

namespace detail {

inline std::vector<OptionInfo> verify_options() {
    return {{"dtype", "f32|bf16|f16", "casts floating tensors of both to this type before, as convert does"},
            {"json", "", "prints JSON for machines, with every difference"},
            {"html", "FILE", "writes a page to look at and to show, with every difference"},
            {"threads", "N", "that read and compare; one for each processor unless given"},
            {"memory", "MIB", "that it may take, 256 unless given"},
            {"quiet", "", "prints nothing but differences and errors"}};
}

/// The loader of each directory: recognised.
template <class Loaders>
std::vector<std::string> loaders_of(const std::vector<std::string>& directories) {
    std::vector<std::string> loaders;
    loaders.reserve(directories.size());
    for (const std::string& directory : directories) loaders.push_back(choose_loader<Loaders>("", directory));
    return loaders;
}

/// Compares two checkpoints.
template <class Loaders>
VerifyReport compare_two(const Arguments& arguments, const std::vector<std::string>& loaders, VerifyOptions options) {
    const auto a = open_checkpoint<Loaders>(loaders[0], arguments.positional[0], arguments.options);
    const auto b = open_checkpoint<Loaders>(loaders[1], arguments.positional[1], arguments.options);
    ProgressDisplay display(progress_style(arguments.has("quiet") || arguments.has("json") || !options.world->leads()));
    options.progress = [&display](const Progress& progress) { display.show(progress); };
    VerifyReport report = verify(*a, *b, options);
    if (std::any_of(report.differences.begin(), report.differences.end(),
                    [](const Difference& difference) { return difference.kind == DifferenceKind::type; }))
        report.notices.push_back("to compare values, rounded to one type, give the option dtype");
    return report;
}

/// What was compared, as a page names it.
inline std::array<html::Side, 2> sides_of(const std::vector<std::string>& directories,
                                          const std::vector<std::string>& loaders) {
    const html::Side first{directories[0], to_text("loader ", loaders[0])};
    if (directories.size() == 2) return {{first, {directories[1], to_text("loader ", loaders[1])}}};
    const std::filesystem::path sidecar = std::filesystem::path(directories[0]) / sidecar_name;
    return {{{sidecar.string(), "the digests that were kept"}, first}};
}

/// Compares a checkpoint with what its own crossdock.json keeps.
template <class Loaders>
VerifyReport compare_with_proof(const Arguments& arguments, const std::string& loader, const VerifyOptions& options) {
    if (options.dtype) throw UsageError("--dtype is for two checkpoints: digests are of the type that is stored");
    const std::string& directory = arguments.positional[0];
    const auto sidecar = std::filesystem::path(directory) / sidecar_name;
    if (!is_anything_at(sidecar))
        throw Error(to_text(directory, ": has no ", sidecar_name, " to compare with; name another checkpoint"));
    const DigestList kept = read_digests(sidecar);
    return checked_against(
        kept,
        digest_of_directory<Loaders>(
            arguments, loader, directory,
            {.threads = options.threads, .memory = options.memory, .stop = options.stop, .world = options.world}));
}

}  // namespace detail

template <class Loaders>
Syntax verify_syntax() {
    std::vector<OptionInfo> own = detail::verify_options();
    std::vector<OptionInfo> elsewhere = join_lists(own, ranks_options());
    elsewhere.push_back({"load_dir", "", ""});  // A and B are these
    return {
        .command = "verify",
        .summary =
            "Compares two checkpoints, whatever their formats and parallel sizes, bit for bit; or one with the digests "
            "that convert --verify kept in it.\n"
            "Exits with 0 if all tensors, header fields and tokenizer files are equal, with 1 if not, with 2 if that "
            "cannot be told.",
        .arguments = "A [B]",
        .groups = {{"general", own},
                   {"several processes", ranks_options()},
                   {loader_group, plugin_options<Loaders>(elsewhere)}},
        .examples = {"Llama-3.1-8B megatron", "Llama-3.1-8B megatron --json",
                     "Llama-3.1-8B megatron --html differences.html", "megatron"}};
}

template <class Loaders>
int verify_command(const Arguments& arguments, World& world) {
    VerifyOptions options{.threads = number_or(arguments, "threads", 0),
                          .memory = memory_asked(arguments),
                          .world = &world,
                          .dtype = asked_dtype(arguments)};
    const StopOnSignal signals(!world.is_shared());
    options.stop = signals.token();
    VerifyReport report;
    std::optional<html::Page> page;
    std::vector<std::string> loaders;
    try {
        loaders = detail::loaders_of<Loaders>(arguments.positional);
        require_known<Loaders>(arguments.options, join_lists(detail::verify_options(), ranks_options()), loaders);
        // What cannot be written is told before the work.
        if (arguments.has("html") && world.leads()) page.emplace(arguments.value("html"));
        report = loaders.size() == 1 ? detail::compare_with_proof<Loaders>(arguments, loaders[0], options)
                                     : detail::compare_two<Loaders>(arguments, loaders, options);
    } catch (const Cancelled&) {
        return stopped_by(signals.signal());
    }
    if (page) html::VerifyPage(report, detail::sides_of(arguments.positional, loaders)).write(*page);
    print_comparison(report, arguments.has("json"), arguments.has("quiet"));
    return report.equal() ? success : different;
}

}  // namespace crossdock::cli
