// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/cli/arguments.hpp"
#include "crossdock/cli/messages.hpp"
#include "crossdock/cli/plugin_choice.hpp"
#include "crossdock/cli/progress_display.hpp"
#include "crossdock/cli/stop_on_signal.hpp"
#include "crossdock/container/staged_directory.hpp"
#include "crossdock/pipeline/convert.hpp"

namespace crossdock::cli {

namespace detail {

/// The values of --model_type, as the reference has them.
inline const std::vector<std::string> model_types{"GPT",    "BERT",      "falcon",  "llama", "llama2",
                                                  "llama3", "codellama", "mistral", "gemma"};

inline std::vector<OptionInfo> convert_options() {
    return {{"model_type", "T", text("one of ", joined(model_types), "; told from the source unless given")},
            {"loader", "NAME", "reads the source; recognised unless given (see crossdock plugins)"},
            {"saver", "NAME", "writes the target; megatron unless given (see crossdock plugins)"},
            {"load_dir", "DIR", "the source"},
            {"save_dir", "DIR", "the target; complete or not there at all"},
            {"dtype", "f32|bf16|f16", "casts floating tensors; each keeps its own type unless given"},
            {"bf16", "", "the same as --dtype bf16"},
            {"no_checking", "", "does not compare tensors with the header"},
            {"max_queue_size", "N", "messages between loader and saver, 50 unless given"},
            {"threads", "N", "that read, rearrange and write; one for each processor unless given"},
            {"quiet", "", "prints nothing but warnings and errors"}};
}

/// Options that are the program's own; all others go to the plugins.
inline bool is_own_option(std::string_view name) {
    constexpr std::array own{"loader", "saver", "dtype", "bf16", "no_checking", "max_queue_size", "threads", "quiet"};
    return std::find(own.begin(), own.end(), name) != own.end();
}

/// The reference takes these with every loader and saver.
inline bool is_of_reference(std::string_view name) {
    constexpr std::array always{"model_type", "kv_channels", "load_iters", "megatron_path"};
    return std::find(always.begin(), always.end(), name) != always.end();
}

inline std::optional<DType> asked_dtype(const Arguments& arguments) {
    const std::string asked = arguments.value("dtype");
    const std::vector<std::string> known{"f32", "bf16", "f16"};
    const std::optional<DType> dtype = parse_dtype(asked);
    if (!asked.empty() && (!dtype || std::find(known.begin(), known.end(), name(*dtype)) == known.end()))
        throw UsageError(text("--dtype cannot be '", asked, "'", known_names(asked, known)));
    if (!arguments.has("bf16")) return dtype;
    if (dtype && *dtype != DType::bf16) throw UsageError(text("--bf16 contradicts --dtype ", asked));
    return DType::bf16;
}

inline void check_model_type(const std::string& asked) {
    if (!asked.empty() && std::find(model_types.begin(), model_types.end(), asked) == model_types.end())
        throw UsageError(text("no model type is called '", asked, "'", known_names(asked, model_types)));
}

/// The loader and the saver of a conversion, and which options each is made of.
struct PluginPair {
    std::string loader, saver;
    OptionValues loader_values{}, saver_values{};
    std::vector<std::string> without_effect{};
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
            pair.without_effect.push_back(name);
        else {
            std::vector<OptionInfo> known = loader_options;
            known.insert(known.end(), saver_options.begin(), saver_options.end());
            throw UsageError(text("--", name, " is an option of neither the loader '", pair.loader, "' nor the saver '",
                                  pair.saver, "'", nearest_option(name, names_of(known), "plugins")));
        }
    }
}

/// A plugin that has the option cannot do without it.
inline void require_directory(const Arguments& arguments, const std::vector<OptionInfo>& options,
                              const std::string& name, std::string_view what) {
    if (knows(options, name) && arguments.value(name).empty())
        throw UsageError(text("--", name, " is missing: ", what));
}

template <class Loaders, class Savers>
PluginPair choose_plugins(const Arguments& arguments) {
    check_model_type(arguments.value("model_type"));
    PluginPair pair{.loader = arguments.value("loader"), .saver = arguments.value("saver")};
    if (pair.saver.empty()) pair.saver = "megatron";  // the reference's default
    const std::vector<OptionInfo> saver_options = Savers::options(pair.saver);
    if (pair.loader.empty() && arguments.value("load_dir").empty())
        throw UsageError("--load_dir is missing: the source");
    pair.loader = choose_loader<Loaders>(pair.loader, arguments.value("load_dir"));
    const std::vector<OptionInfo> loader_options = Loaders::options(pair.loader);
    require_directory(arguments, loader_options, "load_dir", "the source");
    require_directory(arguments, saver_options, "save_dir", "the target");
    share_options(arguments.options, loader_options, saver_options, pair);
    return pair;
}

inline void print_summary(const Report& report) {
    std::cout << "converted " << report.tensors << " tensors, wrote " << bytes_text(report.bytes) << ' '
              << speed_text(report.bytes, report.seconds) << std::endl;
}

}  // namespace detail

template <class Loaders, class Savers>
Syntax convert_syntax() {
    const std::vector<OptionInfo> general = detail::convert_options();
    std::vector<OptionInfo> elsewhere = general;
    const std::vector<OptionInfo> of_loaders = plugin_options<Loaders>(elsewhere);
    elsewhere.insert(elsewhere.end(), of_loaders.begin(), of_loaders.end());
    return {.command = "convert",
            .summary = "Converts a checkpoint into another format or to other parallel sizes.",
            .arguments = "",
            .groups = {{"general", general}, {"loader", of_loaders}, {"saver", plugin_options<Savers>(elsewhere)}}};
}

template <class Loaders, class Savers>
int convert_command(const Arguments& arguments) {
    ConvertOptions options{.max_queue_size = number_or(arguments, "max_queue_size", 50),
                           .no_checking = arguments.has("no_checking"),
                           .dtype = detail::asked_dtype(arguments),
                           .threads = number_or(arguments, "threads", 0)};
    const detail::PluginPair pair = detail::choose_plugins<Loaders, Savers>(arguments);
    if (arguments.has("load_dir") && arguments.has("save_dir"))
        require_separate(arguments.value("load_dir"), arguments.value("save_dir"));
    for (const std::string& name : pair.without_effect)
        warn(text("--", name, " has no effect with the loader '", pair.loader, "' and the saver '", pair.saver, "'"));

    const StopOnSignal signals;
    options.stop = signals.token();
    Report report;
    try {
        const std::unique_ptr<Loader> loader = Loaders::make(pair.loader, pair.loader_values);
        const std::unique_ptr<Saver> saver = Savers::make(pair.saver, pair.saver_values);
        ProgressDisplay display("received", arguments.has("quiet"));
        options.progress = [&display](const Progress& progress) { display.show(progress); };
        report = convert(*loader, *saver, options);
    } catch (const Cancelled&) {
        return stopped_by(signals.signal());
    }
    for (const std::string& line : report.warnings) warn(line);
    if (!arguments.has("quiet")) detail::print_summary(report);
    return 0;
}

}  // namespace crossdock::cli
