// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/cli/arguments.hpp"
#include "crossdock/cli/reference_names.hpp"
#include "crossdock/container/foreign_directory.hpp"
#include "crossdock/plugin/any_loader.hpp"
#include "crossdock/plugin/plugin_list.hpp"
#include "crossdock/plugin/unrecognised.hpp"
#include "crossdock/protocol/model_header.hpp"

namespace crossdock::cli {

/// Whether an option is among these.
inline bool knows(const std::vector<OptionInfo>& options, std::string_view name) {
    return std::any_of(options.begin(), options.end(), [&](const OptionInfo& option) { return option.name == name; });
}

inline std::vector<std::string> names_of(const std::vector<OptionInfo>& options) {
    std::vector<std::string> names;
    names.reserve(options.size());
    for (const OptionInfo& option : options) names.push_back(option.name);
    return names;
}

/// The options of all plugins of a list, each once and with the plugins that know it; without those in `elsewhere`.
template <class Plugins>
std::vector<OptionInfo> plugin_options(const std::vector<OptionInfo>& elsewhere) {
    std::vector<OptionInfo> options;
    std::map<std::string, std::vector<std::string>> plugins;
    for (const std::string& plugin : Plugins::names())
        for (const OptionInfo& option : Plugins::options(plugin)) {
            if (knows(elsewhere, option.name)) continue;
            if (!knows(options, option.name)) options.push_back(option);
            plugins[option.name].push_back(plugin);
        }
    for (OptionInfo& option : options)
        if (plugins[option.name].size() < Plugins::names().size())
            option.help += to_text(" (", joined_list(plugins[option.name]), ")");
    return options;
}

/// Throws UsageError for a name of the reference's tools whose models nobody here reads.
inline void refuse_unread(std::string_view option, const ReferencePlugin& plugin) {
    if (!plugin.not_read.empty())
        throw UsageError(to_text("--", option, " ", plugin.name, ": ", plugin.not_read, " are not converted"));
}

/// Whether a loader or saver reads or writes Megatron's checkpoints.
inline bool is_of_megatron(std::string_view plugin) { return plugin == "megatron" || plugin == "mcore"; }

/// Both of Megatron's loaders read what either does; the one that is called what the format is.
inline std::string loader_of_format(const std::string& loader, const ModelHeader& header) {
    return loader == "megatron" && header.origin.megatron == MegatronCode::core ? "mcore" : loader;
}

/// The loader that recognises the directory. Throws Error when none does.
template <class Loaders>
std::string recognised_loader(const std::filesystem::path& directory) {
    require_directory(directory);
    std::string found = Loaders::recognise(directory);
    if (found.empty()) throw Error(why_unrecognised(directory, Loaders::hub_types(), Loaders::names()));
    return found;
}

/// The loader that is asked for, by our name or one of the reference's; the one that recognises the directory where
/// none is, or where the name tells the format alone.
template <class Loaders>
std::string choose_loader(const std::string& asked, const std::filesystem::path& directory) {
    const std::vector<std::string> names = Loaders::names();
    if (asked.empty()) return recognised_loader<Loaders>(directory);
    if (std::find(names.begin(), names.end(), asked) != names.end()) return asked;
    if (family_in(asked, names).empty()) {
        const ReferencePlugin* plugin = find_reference_plugin(asked);
        if (!plugin) return asked;  // to be refused by name
        refuse_unread("loader", *plugin);
        if (!plugin->plugin.empty()) return std::string(plugin->plugin);
    }
    std::string found = recognised_loader<Loaders>(directory);
    if (is_of_megatron(found))
        throw Error(to_text(directory.string(), ": is a Megatron checkpoint, --loader ", asked,
                            " asks for Hugging Face's or an original format; give --loader ", found));
    return found;
}

/// Throws UsageError for an option that is neither among `own` nor known to one of the loaders.
template <class Loaders>
void require_known(const OptionValues& given, const std::vector<OptionInfo>& own,
                   const std::vector<std::string>& loaders) {
    std::vector<OptionInfo> known = own;
    for (const std::string& loader : loaders)
        for (OptionInfo& option : Loaders::options(loader)) known.push_back(std::move(option));
    for (const auto& [name, value] : given)
        if (!knows(known, name))
            throw UsageError(to_text("--", name, " is not an option of the loader '", joined_list(loaders, "' or '"),
                                     "'", nearest_option(name, names_of(known), "plugins")));
}

/// The values among `given` of options that are known.
inline OptionValues known_values(const OptionValues& given, const std::vector<OptionInfo>& known) {
    OptionValues values;
    for (const auto& [name, value] : given)
        if (knows(known, name)) values.emplace(name, value);
    return values;
}

/// Opens a checkpoint; its loader gets the options that it knows.
template <class Loaders>
std::unique_ptr<AnyLoader> open_checkpoint(const std::string& loader, const std::string& directory,
                                           const OptionValues& given) {
    OptionValues values = known_values(given, Loaders::options(loader));
    values["load_dir"] = directory;
    return Loaders::make(loader, values);
}

}  // namespace crossdock::cli
