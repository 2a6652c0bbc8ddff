// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "crossdock/cli/arguments.hpp"
#include "crossdock/cli/plugin_choice.hpp"
#include "crossdock/cli/reference_names.hpp"
#include "crossdock/container/path_kind.hpp"

namespace crossdock::cli {

namespace detail {

/// What a plugin is called here that is asked for by our name or one of the reference's; empty where that tells no
/// single one.
template <class Plugins>
std::string plugin_named(const std::string& asked) {
    const std::vector<std::string> names = Plugins::names();
    if (asked.empty() || std::find(names.begin(), names.end(), asked) != names.end()) return asked;
    if (std::string family = family_in(asked, names); !family.empty()) return family;
    const ReferencePlugin* plugin = find_reference_plugin(asked);
    return plugin ? std::string(plugin->plugin) : asked;  // to be refused by name
}

/// The loaders of a command line: the one that it names, or those that recognise what it wants to be read.
template <class Loaders>
std::vector<std::string> loaders_at_work(const Syntax& syntax, const Arguments& given) {
    std::vector<std::string> loaders{plugin_named<Loaders>(given.value("loader"))};
    std::vector<std::string> sources = given.positional;
    if (syntax.command != "verify") sources.resize(std::min<std::size_t>(sources.size(), 1));
    sources.push_back(given.value("load_dir"));
    for (const std::string& source : sources)
        if (!given.has("loader") && is_directory_at(source)) loaders.push_back(Loaders::recognise(source));
    std::sort(loaders.begin(), loaders.end());
    loaders.erase(std::unique(loaders.begin(), loaders.end()), loaders.end());
    std::erase(loaders, "");
    return loaders;
}

/// The options of these plugins that `syntax` does not have yet.
template <class Plugins>
void add_options(const std::string& kind, const std::vector<std::string>& plugins, Syntax& syntax) {
    for (const std::string& plugin : plugins) {
        OptionGroup group{to_text(kind, " ", plugin), {}};
        for (OptionInfo& option : Plugins::options(plugin))
            if (!syntax.find(option.name) && !(option.name == "load_dir" || option.name == "save_dir"))
                group.options.push_back(std::move(option));
        if (!group.options.empty()) syntax.groups.push_back(std::move(group));
    }
}

}  // namespace detail

/// A command's syntax as its help shows it: of the many options of plugins only those of the plugins that the command
/// line names, or that its directories are for. Throws UsageError where no plugin has the name.
template <class Loaders, class Savers>
Syntax syntax_for_help(const Syntax& full, const Arguments& given) {
    const auto is_of_plugins = [](const OptionGroup& group) {
        return group.name == loader_group || group.name == saver_group || group.name == reference_group;
    };
    if (std::none_of(full.groups.begin(), full.groups.end(), is_of_plugins)) return full;
    const std::vector<std::string> loaders = detail::loaders_at_work<Loaders>(full, given);
    std::vector<std::string> savers{detail::plugin_named<Savers>(given.value("saver"))};
    std::erase(savers, "");
    Syntax shown = full;
    std::erase_if(shown.groups, is_of_plugins);
    detail::add_options<Loaders>(loader_group, loaders, shown);
    detail::add_options<Savers>(saver_group, savers, shown);
    if (!(loaders.empty() && savers.empty()))
        for (const OptionGroup& group : full.groups)
            if (group.name == reference_group) shown.groups.push_back(group);
    const bool has_savers = full.find("saver"), is_named = full.find("loader");
    if (!loaders.empty() && (!savers.empty() || !has_savers)) return shown;
    shown.remarks.push_back(to_text("Loaders: ", joined_list(Loaders::names())));
    if (has_savers) shown.remarks.push_back(to_text("Savers: ", joined_list(Savers::names())));
    shown.remarks.push_back(to_text("Their options: ", program_name(), ' ', full.command,
                                    is_named ? " --loader mcore" : " A B", has_savers ? " --saver hf" : "",
                                    " --help; all of them: ", program_name(), " plugins"));
    return shown;
}

}  // namespace crossdock::cli
