// SPDX-License-Identifier: Apache-2.0
#include "compiled_plugins.hpp"
#include "crossdock/plugin/builtin.hpp"

namespace crossdock::cli {

std::vector<std::string> CompiledLoaders::names() { return BuiltinLoaders::names(); }

std::string CompiledLoaders::summary(std::string_view loader) { return BuiltinLoaders::summary(loader); }

std::vector<OptionInfo> CompiledLoaders::options(std::string_view loader) { return BuiltinLoaders::options(loader); }

std::string CompiledLoaders::recognise(const std::filesystem::path& directory) {
    return BuiltinLoaders::recognise(directory);
}

std::vector<std::string> CompiledLoaders::hub_types() { return BuiltinLoaders::hub_types(); }

std::vector<std::string> CompiledLoaders::model_types() { return BuiltinLoaders::model_types(); }

std::unique_ptr<AnyLoader> CompiledLoaders::make(std::string_view loader, const OptionValues& values) {
    return BuiltinLoaders::make(loader, values);
}

}  // namespace crossdock::cli
