// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/core/error.hpp"
#include "crossdock/core/text.hpp"
#include "crossdock/plugin/options.hpp"

namespace crossdock {

/// A loader or saver that can be chosen by name: it has a name, says what it does in a line, has options as plain data,
/// and is made of their values.
template <class P, class Base>
concept Plugin = std::derived_from<P, Base> && std::constructible_from<P, typename P::Options> && requires {
    { P::name() } -> std::convertible_to<std::string>;
    { P::summary() } -> std::convertible_to<std::string>;
    { P::options() } -> std::convertible_to<std::vector<OptionSpec<typename P::Options>>>;
};

/// The values of options by name, as a command line gives them.
using OptionValues = std::map<std::string, std::string>;

/// The plugins of a program: known at compile time, chosen by name at run time.
template <class Base, class... Ps>
requires(Plugin<Ps, Base>&&...) struct PluginList {
    /// This list and more plugins: how a program adds its own.
    template <class... More>
    using with = PluginList<Base, Ps..., More...>;

    static std::vector<std::string> names() { return {Ps::name()...}; }

    /// The plugin's line in a list of plugins.
    static std::string summary(std::string_view plugin) {
        std::string line;
        choose(plugin, [&]<class P>() { line = P::summary(); });
        return line;
    }

    static std::vector<OptionInfo> options(std::string_view plugin) {
        std::vector<OptionInfo> infos;
        choose(plugin, [&]<class P>() {
            for (const auto& spec : P::options()) infos.push_back(spec.info);
        });
        return infos;
    }

    /// The first loader that recognises the directory as its own; empty when none does.
    static std::string recognise(const std::filesystem::path& directory) {
        std::string found;
        const auto ask = [&]<class P>() {
            if constexpr (requires { P::recognises(directory); })
                if (found.empty() && P::recognises(directory)) found = P::name();
        };
        (ask.template operator()<Ps>(), ...);
        return found;
    }

    /// The model types of config.json that the plugins read.
    static std::vector<std::string> hub_types() {
        std::vector<std::string> types;
        const auto ask = [&]<class P>() {
            if constexpr (requires { P::hub_types(); })
                for (std::string& type : P::hub_types()) types.push_back(std::move(type));
        };
        (ask.template operator()<Ps>(), ...);
        return types;
    }

    /// Makes the plugin. Throws UsageError for a name, an option or a value that does not exist.
    static std::unique_ptr<Base> make(std::string_view plugin, const OptionValues& values) {
        std::unique_ptr<Base> made;
        choose(plugin, [&]<class P>() {
            typename P::Options options;
            for (const auto& [name, value] : values) set<P>(options, name, value);
            made = std::make_unique<P>(std::move(options));
        });
        return made;
    }

private:
    static void choose(std::string_view plugin, auto&& use) {
        const bool found = ((Ps::name() == plugin && (use.template operator()<Ps>(), true)) || ...);
        if (!found)
            throw UsageError(to_text("no ", Base::kind, " is called '", plugin, "'", known_names(plugin, names())));
    }

    template <class P>
    static void set(typename P::Options& options, const std::string& name, const std::string& value) {
        std::vector<std::string> known;
        for (const auto& spec : P::options()) {
            if (spec.info.name == name) return spec.set(options, value);
            known.push_back(spec.info.name);
        }
        throw UsageError(
            to_text("--", name, " is no option of the ", Base::kind, " '", P::name(), "'", known_names(name, known)));
    }
};

}  // namespace crossdock
