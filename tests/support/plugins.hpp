// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string_view>

#include "compiled_plugins.hpp"

namespace crossdock::test {

// BuiltinLoaders and BuiltinSavers as they were compiled for the program: they are most of the library.

inline std::unique_ptr<AnyLoader> make_loader(std::string_view loader, const OptionValues& options) {
    return cli::CompiledLoaders::make(loader, options);
}

inline std::unique_ptr<AnySaver> make_saver(std::string_view saver, const OptionValues& options) {
    return cli::CompiledSavers::make(saver, options);
}

}  // namespace crossdock::test
