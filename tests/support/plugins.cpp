// SPDX-License-Identifier: Apache-2.0
#include "support/plugins.hpp"

#include "crossdock/plugin/builtin.hpp"

namespace crossdock::test {

std::unique_ptr<AnyLoader> make_loader(std::string_view loader, const OptionValues& options) {
    return BuiltinLoaders::make(loader, options);
}

std::unique_ptr<AnySaver> make_saver(std::string_view saver, const OptionValues& options) {
    return BuiltinSavers::make(saver, options);
}

std::vector<std::string> loader_names() { return BuiltinLoaders::names(); }

std::vector<std::string> saver_names() { return BuiltinSavers::names(); }

std::string recognise(const std::filesystem::path& directory) { return BuiltinLoaders::recognise(directory); }

}  // namespace crossdock::test
