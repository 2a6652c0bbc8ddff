// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "crossdock/plugin/loader.hpp"
#include "crossdock/plugin/plugin_list.hpp"
#include "crossdock/plugin/saver.hpp"

namespace crossdock::test {

// BuiltinLoaders and BuiltinSavers, compiled once for all tests: they are most of the library.

std::unique_ptr<Loader> make_loader(std::string_view loader, const OptionValues& options);
std::unique_ptr<Saver> make_saver(std::string_view saver, const OptionValues& options);

}  // namespace crossdock::test
