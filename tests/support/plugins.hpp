// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "crossdock/plugin/plugin_list.hpp"

namespace crossdock::test {

// What BuiltinLoaders and BuiltinSavers make, without their headers.

std::unique_ptr<AnyLoader> make_loader(std::string_view loader, const OptionValues& options);
std::unique_ptr<AnySaver> make_saver(std::string_view saver, const OptionValues& options);
std::vector<std::string> loader_names();
std::vector<std::string> saver_names();
std::string recognise(const std::filesystem::path& directory);

}  // namespace crossdock::test
