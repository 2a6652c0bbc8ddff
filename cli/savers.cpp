// SPDX-License-Identifier: Apache-2.0
#include "compiled_plugins.hpp"
#include "crossdock/plugin/builtin.hpp"

namespace crossdock::cli {

std::vector<std::string> CompiledSavers::names() { return BuiltinSavers::names(); }

std::string CompiledSavers::summary(std::string_view saver) { return BuiltinSavers::summary(saver); }

std::vector<OptionInfo> CompiledSavers::options(std::string_view saver) { return BuiltinSavers::options(saver); }

std::unique_ptr<AnySaver> CompiledSavers::make(std::string_view saver, const OptionValues& values) {
    return BuiltinSavers::make(saver, values);
}

}  // namespace crossdock::cli
