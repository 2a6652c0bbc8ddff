// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/cli/arguments.hpp"
#include "crossdock/cli/messages.hpp"
#include "crossdock/cli/plugin_choice.hpp"
#include "crossdock/cli/reference_names.hpp"
#include "crossdock/plugin/sidecar.hpp"
#include "crossdock/protocol/model_header.hpp"

namespace crossdock::cli::detail {

/// Options that are the program's own; all others go to the plugins.
inline bool is_own_option(std::string_view name) {
    constexpr std::array own{"loader",       "saver",      "dtype",       "bf16",   "fp16",
                             "params_dtype", "save_dtype", "no_checking", "verify", "max_queue_size",
                             "threads",      "memory",     "ranks",       "rank",   "meeting",
                             "region_size",  "quiet",      "dry_run",     "resume", "json"};
    return std::find(own.begin(), own.end(), name) != own.end();
}

/// The reference takes these with every loader and saver.
inline bool is_of_reference(std::string_view name) {
    constexpr std::array always{"model_type", "kv_channels", "load_iters", "megatron_path"};
    return std::find(always.begin(), always.end(), name) != always.end();
}

inline void check_model_type(const std::string& asked, const std::vector<std::string>& model_types) {
    if (!asked.empty() && std::find(model_types.begin(), model_types.end(), asked) == model_types.end())
        throw UsageError(to_text("no model type is called '", asked, "'", known_names(asked, model_types)));
}

/// The loader and the saver of a conversion, and which options each is made of.
struct PluginPair {
    std::string loader, saver;
    OptionValues loader_values{}, saver_values{};
    std::vector<std::string> notes{};  ///< what the user should know of the command line
};

/// Gives every option to the plugins that know it. Throws UsageError for one that neither knows.
inline void share_options(const OptionValues& given, const std::vector<OptionInfo>& loader_options,
                          const std::vector<OptionInfo>& saver_options, PluginPair& pair) {
    for (const auto& [name, value] : given) {
        if (is_own_option(name)) continue;
        const bool for_loader = knows(loader_options, name), for_saver = knows(saver_options, name);
        if (for_loader) pair.loader_values[name] = value;
        if (for_saver) pair.saver_values[name] = value;
        if (for_loader || for_saver) continue;
        if (name == "dialect" && knows(loader_options, "source_dialect"))
            pair.loader_values["source_dialect"] = value;
        else if (is_of_reference(name))
            pair.notes.push_back(to_text("--", name, " has no effect with the loader '", pair.loader,
                                         "' and the saver '", pair.saver, "'"));
        else if (auto reason = reason_without_effect(name, value))
            pair.notes.push_back(std::move(*reason));
        else {
            std::vector<OptionInfo> known = loader_options;
            known.insert(known.end(), saver_options.begin(), saver_options.end());
            throw UsageError(to_text("--", name, " is an option of neither the loader '", pair.loader,
                                     "' nor the saver '", pair.saver, "'",
                                     nearest_option(name, names_of(known), "plugins")));
        }
    }
}

/// The family that a Megatron checkpoint's crossdock.json remembers, or that its loader is of.
inline std::string family_of_source(const std::string& loader, const std::filesystem::path& directory) {
    if (!is_of_megatron(loader)) return loader;
    ModelHeader header;
    read_sidecar(directory, header);
    return header.family;
}

/// The reference's lines need not name its only saver; they have a model type, or its only loader's name.
inline std::string saver_of_reference(const Arguments& arguments) {
    if (arguments.has("model_type") || arguments.value("loader") == "megatron") return "megatron";
    throw UsageError(
        to_text("--saver is missing: --saver mcore writes Megatron-Core's format, --saver hf Hugging Face's; ",
                program_name(), " plugins lists all"));
}

/// The saver that is asked for, by our name or one of the reference's; `loader` is chosen by then.
template <class Savers>
std::string choose_saver(const std::string& asked, const std::string& loader, const std::filesystem::path& source) {
    const std::vector<std::string> names = Savers::names();
    if (std::find(names.begin(), names.end(), asked) != names.end()) return asked;
    if (std::string family = family_in(asked, names); !family.empty()) return family;
    const ReferencePlugin* plugin = find_reference_plugin(asked);
    if (!plugin) return asked;  // to be refused by name
    refuse_unread("saver", *plugin);
    if (!plugin->plugin.empty()) return std::string(plugin->plugin);
    const std::string family = family_of_source(loader, source);
    return std::find(names.begin(), names.end(), family) == names.end() ? "hf" : family;
}

/// The options under our names.
inline OptionValues in_our_words(OptionValues given, const std::vector<OptionInfo>& saver_options) {
    const auto impl = given.find("saver_transformer_impl");
    if (impl == given.end() || !knows(saver_options, "transformer_impl")) return given;
    const auto [own, is_new] = given.emplace("transformer_impl", impl->second);
    if (!is_new && own->second != impl->second)
        throw UsageError(
            to_text("--saver_transformer_impl ", impl->second, " contradicts --transformer_impl ", own->second));
    given.erase(impl);
    return given;
}

/// NVIDIA's tool means its own Megatron-LM by the saver `megatron`, which epfLLM's Megatron-LLM cannot be told from by
/// this name; but the other names on its command lines are not known to epfLLM's.
inline void choose_dialect(const std::string& asked_loader, const std::string& asked_saver, bool is_loader_ours,
                           const std::vector<OptionInfo>& saver_options, PluginPair& pair) {
    if (!knows(saver_options, "dialect") || pair.saver_values.contains("dialect")) return;
    const bool is_loader_of_nvidia = !asked_loader.empty() && !is_loader_ours && pair.loader != "megatron";
    if (asked_saver != "legacy" && !is_loader_of_nvidia) return;
    pair.saver_values["dialect"] = "lm";
    pair.notes.push_back(to_text("with ",
                                 asked_saver == "legacy" ? "--saver legacy" : to_text("--loader ", asked_loader),
                                 " as NVIDIA's tool has it, Megatron-LM is written; --dialect llm is epfLLM's"));
}

template <class Plugins>
bool is_named(const std::string& plugin) {
    const std::vector<std::string> names = Plugins::names();
    return std::find(names.begin(), names.end(), plugin) != names.end();
}

/// A plugin that has the option cannot do without it.
inline void require_directory(const Arguments& arguments, const std::vector<OptionInfo>& options,
                              const std::string& name, std::string_view what) {
    if (knows(options, name) && arguments.value(name).empty())
        throw UsageError(to_text("--", name, " is missing: ", what));
}

template <class Loaders, class Savers>
PluginPair choose_plugins(const Arguments& arguments) {
    check_model_type(arguments.value("model_type"), Loaders::model_types());
    const std::string source = arguments.value("load_dir");
    PluginPair pair{.loader = arguments.value("loader"), .saver = arguments.value("saver")};
    if (source.empty() && !is_named<Loaders>(pair.loader)) throw UsageError("--load_dir is missing: the source");
    pair.loader = choose_loader<Loaders>(pair.loader, source);
    if (pair.saver.empty()) pair.saver = saver_of_reference(arguments);
    pair.saver = choose_saver<Savers>(pair.saver, pair.loader, source);
    const std::vector<OptionInfo> saver_options = Savers::options(pair.saver);
    const std::vector<OptionInfo> loader_options = Loaders::options(pair.loader);
    require_directory(arguments, loader_options, "load_dir", "the source");
    require_directory(arguments, saver_options, "save_dir", "the target");
    share_options(in_our_words(arguments.options, saver_options), loader_options, saver_options, pair);
    const std::string asked = arguments.value("loader");
    const bool is_loader_ours = is_named<Loaders>(asked) && !find_reference_plugin(asked);
    choose_dialect(asked, arguments.value("saver"), is_loader_ours, saver_options, pair);
    return pair;
}

}  // namespace crossdock::cli::detail
