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
#include <tuple>
#include <utility>
#include <vector>

#include "crossdock/core/error.hpp"
#include "crossdock/core/text.hpp"
#include "crossdock/plugin/any_loader.hpp"
#include "crossdock/plugin/any_saver.hpp"
#include "crossdock/plugin/concepts.hpp"
#include "crossdock/plugin/options.hpp"

namespace crossdock {

/// What can be chosen by name: it has a name, says what it does in a line, has options as plain data, and is made of
/// their values.
template <class P>
concept Selectable = requires {
    { P::name() } -> std::convertible_to<std::string>;
    { P::summary() } -> std::convertible_to<std::string>;
    typename P::Options;
    { P::options() } -> std::convertible_to<std::vector<OptionSpec<typename P::Options>>>;
}
&&std::constructible_from<P, typename P::Options>;

template <class P>
concept LoaderPlugin = Loader<P> && Selectable<P>;
template <class P>
concept SaverPlugin = Saver<P> && Selectable<P>;

/// The values of options by name, as a command line gives them.
using OptionValues = std::map<std::string, std::string>;

namespace detail {

// Where a plugin is put into a list, these name what it lacks; of (LoaderPlugin<Ps> && ...) one would hear that it is
// false.
template <LoaderPlugin P>
struct ListedLoader {};
template <SaverPlugin P>
struct ListedSaver {};

/// What lists of loaders and of savers share.
template <class Any, class... Ps>
struct PluginList {
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

protected:
    /// Calls use<P>() for the plugin of that name. Throws UsageError when there is none.
    static void choose(std::string_view plugin, auto&& use) {
        const bool found = ((Ps::name() == plugin && (use.template operator()<Ps>(), true)) || ...);
        if (!found)
            throw UsageError(to_text("no ", Any::kind, " is called '", plugin, "'", known_names(plugin, names())));
    }

    /// Throws UsageError for an option or a value that does not exist.
    template <class P>
    static typename P::Options options_of(const OptionValues& values) {
        typename P::Options options;
        for (const auto& [name, value] : values) set<P>(options, name, value);
        return options;
    }

private:
    template <class P>
    static void set(typename P::Options& options, const std::string& name, const std::string& value) {
        std::vector<std::string> known;
        for (const auto& spec : P::options()) {
            if (spec.info.name == name) return spec.set(options, value);
            known.push_back(spec.info.name);
        }
        throw UsageError(
            to_text(name, " is not an option of the ", Any::kind, " '", P::name(), "'", known_names(name, known)));
    }
};

}  // namespace detail

/// The loaders of a program: known at compile time, chosen by name at run time. A loader that has
/// `static bool recognises(const std::filesystem::path&)` is found by itself, and one that has
/// `static std::vector<std::string> model_types()` adds to what a user may call models.
template <class... Ls>
class LoaderList : public detail::PluginList<AnyLoader, Ls...> {
    using Checked = std::tuple<detail::ListedLoader<Ls>...>;

public:
    /// This list and more loaders: how a program adds its own.
    template <class... More>
    using with = LoaderList<Ls..., More...>;

    /// Opens a checkpoint. Throws UsageError for a name, an option or a value that does not exist, and what the
    /// loader's constructor throws.
    static std::unique_ptr<AnyLoader> make(std::string_view loader, const OptionValues& values) {
        std::unique_ptr<AnyLoader> made;
        LoaderList::choose(loader,
                           [&]<class L>() { made = make_any_loader<L>(LoaderList::template options_of<L>(values)); });
        return made;
    }

    /// The first loader that recognises the directory as its own; empty when none does. Throws Error where the directory,
    /// or a description in it, cannot be read.
    static std::string recognise(const std::filesystem::path& directory) {
        std::string found;
        const auto ask = [&]<class L>() {
            if constexpr (requires { L::recognises(directory); })
                if (found.empty() && L::recognises(directory)) found = L::name();
        };
        (ask.template operator()<Ls>(), ...);
        return found;
    }

    /// The model types of config.json that the loaders read.
    static std::vector<std::string> hub_types() {
        std::vector<std::string> types;
        const auto ask = [&]<class L>() {
            if constexpr (requires { L::hub_types(); }) add_new(L::hub_types(), types);
        };
        (ask.template operator()<Ls>(), ...);
        return types;
    }

    /// What the option model_type may be.
    static std::vector<std::string> model_types() {
        std::vector<std::string> types;
        const auto ask = [&]<class L>() {
            if constexpr (requires { L::model_types(); }) add_new(L::model_types(), types);
        };
        (ask.template operator()<Ls>(), ...);
        return types;
    }

private:
    static void add_new(std::vector<std::string> found, std::vector<std::string>& types) {
        for (std::string& type : found)
            if (std::find(types.begin(), types.end(), type) == types.end()) types.push_back(std::move(type));
    }
};

/// The savers of a program: known at compile time, chosen by name at run time.
template <class... Ss>
class SaverList : public detail::PluginList<AnySaver, Ss...> {
    using Checked = std::tuple<detail::ListedSaver<Ss>...>;

public:
    /// This list and more savers: how a program adds its own.
    template <class... More>
    using with = SaverList<Ss..., More...>;

    /// Makes a saver. Throws UsageError for a name, an option or a value that does not exist, and what the saver's
    /// constructor throws.
    static std::unique_ptr<AnySaver> make(std::string_view saver, const OptionValues& values) {
        std::unique_ptr<AnySaver> made;
        SaverList::choose(saver,
                          [&]<class S>() { made = make_any_saver<S>(SaverList::template options_of<S>(values)); });
        return made;
    }
};

}  // namespace crossdock
