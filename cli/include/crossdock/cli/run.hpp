// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <exception>
#include <functional>
#include <iostream>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <vector>

#include "crossdock/cli/arguments.hpp"
#include "crossdock/cli/completion_command.hpp"
#include "crossdock/cli/convert_command.hpp"
#include "crossdock/cli/digest_command.hpp"
#include "crossdock/cli/inspect_command.hpp"
#include "crossdock/cli/json_output.hpp"
#include "crossdock/cli/last_words.hpp"
#include "crossdock/cli/man_page.hpp"
#include "crossdock/cli/messages.hpp"
#include "crossdock/cli/open_files.hpp"
#include "crossdock/cli/plugin_help.hpp"
#include "crossdock/cli/plugins_command.hpp"
#include "crossdock/cli/ranks.hpp"
#include "crossdock/cli/verify_command.hpp"
#include "crossdock/container/sharded/format.hpp"
#include "crossdock/core/world.hpp"
#include "crossdock/version.hpp"

namespace crossdock::cli {

/// One of the program's commands.
struct Command {
    Syntax syntax;
    std::function<int(const Arguments&, World&)> run;  ///< returns the exit code
    ExitCode on_error = failure;
};

namespace detail {

template <class Loaders, class Savers>
std::vector<Command> commands() {
    std::vector<Command> all{{convert_syntax<Loaders, Savers>(), &convert_command<Loaders, Savers>},
                             {verify_syntax<Loaders>(), &verify_command<Loaders>, trouble},
                             {digest_syntax<Loaders>(), &digest_command<Loaders>, trouble},
                             {inspect_syntax<Loaders>(), &inspect_command<Loaders>},
                             {plugins_syntax(), &plugins_command<Loaders, Savers>},
                             {completion_syntax(), nullptr},
                             {man_syntax(), nullptr}};
    std::vector<Syntax> described;
    described.reserve(all.size());
    for (const Command& command : all) described.push_back(command.syntax);
    all[all.size() - 2].run = [described](const Arguments& arguments, World&) {
        return print_completion(arguments.positional[0], described,
                                {Loaders::names(), Savers::names(), Loaders::model_types()});
    };
    all.back().run = [described](const Arguments&, World&) {
        std::cout << man_page(program_name(), described) << std::flush;
        return success;
    };
    return all;
}

inline void print_overview(const std::vector<Command>& commands) {
    std::cout << "crossdock " << library_version
              << ": converts checkpoints of large language models between formats and "
              << "parallel layouts\n\nusage: " << program_name() << " COMMAND [OPTION...]\n\n";
    constexpr std::size_t width = 12;
    for (const Command& command : commands)
        std::cout << "  " << command.syntax.command << std::string(width - command.syntax.command.size(), ' ')
                  << command.syntax.summary.substr(0, command.syntax.summary.find('\n')) << '\n';
    std::cout << '\n'
              << program_name() << " COMMAND --help tells a command's options, " << program_name()
              << " --version the version." << std::endl;
}

/// Only rank 0 speaks: all ranks say the same.
inline void silence() {
    std::cout.rdbuf(nullptr);
    std::cerr.rdbuf(nullptr);
}

inline int run_together(const Command& command, const Arguments& arguments, World& world) {
    if (!world.leads()) silence();
    return together(world, [&] {
        const int code = command.run(arguments, world);
        if (!world.has_ended()) world.meet();  // a rank that fails is heard to the last
        return code;
    });
}

/// "help convert …" as "convert … --help".
inline std::vector<std::string> help_words(std::vector<std::string> words) {
    words.erase(words.begin());
    words.emplace_back("--help");
    return words;
}

/// `on_error` becomes the exit code of an error.
template <class Loaders, class Savers>
int dispatch(const std::vector<Command>& commands, const std::vector<std::string>& words, World& world,
             ExitCode& on_error) {
    std::vector<std::string> names;
    names.reserve(commands.size());
    for (const Command& command : commands) names.push_back(command.syntax.command);
    if (words.empty())
        throw UsageError(
            to_text("a command is missing, one of ", joined_list(names), "; see ", program_name(), " --help"));
    if (words[0] == "help" && words.size() > 1)
        return dispatch<Loaders, Savers>(commands, help_words(words), world, on_error);
    if (words[0] == "--help" || words[0] == "-h" || words[0] == "help") return print_overview(commands), success;
    if (words[0] == "--version") {
        std::cout << "crossdock " << library_version << std::endl;
        return success;
    }
    const auto found = std::find(names.begin(), names.end(), words[0]);
    if (found == names.end())
        throw UsageError(to_text("no command is called '", words[0], "'", known_names(words[0], names)));
    const Command& command = commands[static_cast<std::size_t>(found - names.begin())];
    on_error = command.on_error;
    const Arguments arguments = parse(command.syntax, {words.begin() + 1, words.end()});
    if (arguments.help) {
        std::cout << help(syntax_for_help<Loaders, Savers>(command.syntax, arguments)) << std::flush;
        return success;
    }
    const std::unique_ptr<World> asked = world_asked(arguments);
    World& chosen = asked ? *asked : world;
    if (arguments.has("region_size")) chosen.set_region_bytes(sharded::parse_size(arguments.value("region_size")));
    return run_together(command, arguments, chosen);
}

/// Says why the run fails to machines, where it speaks JSON to them.
inline int end_document(std::string_view message, ExitCode code, bool as_json) {
    try {
        if (as_json) print_json_error(std::string(message), code);
    } catch (const std::exception&) {  // people have been told
    }
    return code;
}

/// The same, to people first.
inline int explain(const std::string& message, ExitCode code, bool as_json) {
    complain(message);
    return end_document(message, code, as_json);
}

}  // namespace detail

/// Runs the program with these plugins and returns its exit code: 0 when all went well, 1 when it did not, 2 when it
/// was called wrongly, 128 + n when signal n ended it; of commands that compare 0 when it is equal, 1 when it is not, 2
/// when that cannot be told. Errors are one line on stderr, and with --json a document on stdout as well (docs/json.md).
///
/// A program with plugins of its own adds them to the lists:
///
///     run<BuiltinLoaders::with<MyLoader>, BuiltinSavers>(argc, argv)
///
/// The ranks of a world convert, verify and digest together.
template <class Loaders, class Savers>
int run(int argc, const char* const* argv, World& world = World::alone()) {
    if (!world.leads()) detail::silence();
    ExitCode on_error = failure;
    const std::vector<std::string> words{argv + std::min(argc, 1), argv + std::max(argc, 0)};
    const bool as_json = std::find(words.begin(), words.end(), "--json") != words.end();
    try {
        if (argc > 0) detail::set_program_name(argv[0]);
        allow_many_open_files();
        const int code = detail::dispatch<Loaders, Savers>(detail::commands<Loaders, Savers>(), words, world, on_error);
        if (as_json && code > signal_base)
            print_json_error(to_text("stopped by ", signal_name(code - signal_base)), code);
        require_printed();
        return code;
    } catch (const UsageError& error) {
        return detail::explain(error.what(), wrong_usage, as_json);
    } catch (const std::bad_alloc&) {
        if (world.leads()) LastWords::print("out of memory");
        return detail::end_document("out of memory", on_error, as_json);
    } catch (const std::exception& error) {
        return detail::explain(error.what(), on_error, as_json);
    }
}

}  // namespace crossdock::cli
