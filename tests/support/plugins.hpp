// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "crossdock/plugin/any_loader.hpp"
#include "crossdock/plugin/any_saver.hpp"
#include "crossdock/plugin/plugin_list.hpp"

namespace crossdock::test {

// BuiltinLoaders and BuiltinSavers, compiled once for all tests: they are most of the library.

std::unique_ptr<AnyLoader> make_loader(std::string_view loader, const OptionValues& options);
std::unique_ptr<AnySaver> make_saver(std::string_view saver, const OptionValues& options);

}  // namespace crossdock::test
