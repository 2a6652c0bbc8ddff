// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "crossdock/cli/arguments.hpp"
#include "crossdock/cli/messages.hpp"
#include "crossdock/cli/plugin_choice.hpp"
#include "crossdock/cli/progress_display.hpp"
#include "crossdock/cli/ranks.hpp"
#include "crossdock/cli/stop_on_signal.hpp"
#include "crossdock/core/join_lists.hpp"
#include "crossdock/core/world.hpp"
#include "crossdock/pipeline/verify.hpp"

namespace crossdock::cli {

namespace detail {

inline std::vector<OptionInfo> verify_options() {
    return {{"threads", "N", "that read and compare; one for each processor unless given"},
            {"memory", "MIB", "that it may take, 256 unless given"},
            {"quiet", "", "prints nothing but differences and errors"}};
}

inline void print_result(const VerifyReport& report, bool quiet) {
    if (!quiet)
        for (const std::string& line : report.notices) std::cout << one_line(as_typed(line)) << '\n';
    for (const Difference& difference : report.differences)
        std::cout << one_line(as_typed(to_text(difference.place, ": ", difference.text))) << '\n';
    if (quiet && report.equal()) return;
    const std::size_t count = report.differences.size();
    std::cout << (count == 0 ? "equal: " : to_text(count, count == 1 ? " difference: " : " differences: "))
              << report.tensors << " tensors and " << report.header_fields << " header fields compared, "
              << bytes_text(report.bytes) << ' ' << speed_text(report.bytes, report.seconds) << std::endl;
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
            "Compares two checkpoints, whatever their formats and parallel sizes, bit for bit.\n"
            "Exits with 0 if all tensors and header fields are equal, with 1 otherwise.",
        .arguments = "A B",
        .groups = {
            {"general", own}, {"several processes", ranks_options()}, {"loader", plugin_options<Loaders>(elsewhere)}}};
}

template <class Loaders>
int verify_command(const Arguments& arguments, World& world) {
    VerifyOptions options{
        .threads = number_or(arguments, "threads", 0), .memory = memory_asked(arguments), .world = &world};
    const StopOnSignal signals(!world.is_shared());
    options.stop = signals.token();
    VerifyReport report;
    try {
        const std::string &a_dir = arguments.positional[0], &b_dir = arguments.positional[1];
        const std::string a_loader = choose_loader<Loaders>("", a_dir), b_loader = choose_loader<Loaders>("", b_dir);
        require_known<Loaders>(arguments.options, join_lists(detail::verify_options(), ranks_options()),
                               {a_loader, b_loader});
        const auto a = open_checkpoint<Loaders>(a_loader, a_dir, arguments.options);
        const auto b = open_checkpoint<Loaders>(b_loader, b_dir, arguments.options);
        ProgressDisplay display("compared", arguments.has("quiet") || !world.leads());
        options.progress = [&display](const Progress& progress) { display.show(progress); };
        report = verify(*a, *b, options);
    } catch (const Cancelled&) {
        return stopped_by(signals.signal());
    }
    detail::print_result(report, arguments.has("quiet"));
    return report.equal() ? success : failure;
}

}  // namespace crossdock::cli
