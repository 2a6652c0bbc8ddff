// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include "crossdock/plugin/any_loader.hpp"
#include "crossdock/plugin/any_saver.hpp"
#include "crossdock/plugin/megatron/loader_options.hpp"
#include "crossdock/plugin/megatron/saver_options.hpp"
#include "crossdock/plugin/options.hpp"

namespace crossdock::detail {

// What the plugins of Megatron's checkpoints are made of: entry points (core/compiled.hpp).

std::unique_ptr<AnyLoader> megatron_loader(const MegatronLoaderOptions& options);
std::vector<OptionSpec<MegatronLoaderOptions>> megatron_loader_options();
bool recognises_megatron(const std::filesystem::path& directory);

std::unique_ptr<AnySaver> older_megatron_saver(const MegatronSaverOptions& options);
std::vector<OptionSpec<MegatronSaverOptions>> older_megatron_saver_options();

std::unique_ptr<AnySaver> megatron_core_saver(const MegatronCoreSaverOptions& options);
std::vector<OptionSpec<MegatronCoreSaverOptions>> megatron_core_saver_options();

}  // namespace crossdock::detail
