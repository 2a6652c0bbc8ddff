// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "crossdock/plugin/plugin_list.hpp"

namespace crossdock::cli {

// The lists of the built-in plugins as the commands see them. Plugins are most of what there is to compile: loaders and
// savers are a translation unit each, and the commands a third one that sees neither.

/// BuiltinLoaders, compiled in loaders.cpp.
struct CompiledLoaders {
    static std::vector<std::string> names();
    static std::string summary(std::string_view loader);
    static std::vector<OptionInfo> options(std::string_view loader);
    static std::string recognise(const std::filesystem::path& directory);
    static std::vector<std::string> hub_types();
    static std::vector<std::string> model_types();
    static std::unique_ptr<AnyLoader> make(std::string_view loader, const OptionValues& values);
};

/// BuiltinSavers, compiled in savers.cpp.
struct CompiledSavers {
    static std::vector<std::string> names();
    static std::string summary(std::string_view saver);
    static std::vector<OptionInfo> options(std::string_view saver);
    static std::unique_ptr<AnySaver> make(std::string_view saver, const OptionValues& values);
};

}  // namespace crossdock::cli
