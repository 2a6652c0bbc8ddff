// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "crossdock/plugin/any_loader.hpp"
#include "crossdock/plugin/any_saver.hpp"
#include "crossdock/plugin/family/entry_points.hpp"
#include "crossdock/plugin/header_overrides.hpp"
#include "crossdock/plugin/options.hpp"

namespace crossdock {

/// What the saver "hf" is asked.
struct HubSaverOptions {
    std::filesystem::path save_dir{};
    bool overwrite = false;
    std::string model_type{};  ///< which family; empty: what the source says, else the first that holds the model
    std::optional<std::string> max_shard_size{};  ///< "5GB"
    std::filesystem::path config{};               ///< a Hugging Face folder that says what the source does not
    HeaderOverrides overrides{};
};

// What the plugins "hf" are made of: entry points (core/compiled.hpp).

namespace detail {

std::unique_ptr<AnyLoader> hub_loader(const FamilyLoaderOptions& options);
std::string hub_loader_summary();
std::vector<OptionSpec<FamilyLoaderOptions>> hub_loader_options();

std::unique_ptr<AnySaver> hub_saver(const HubSaverOptions& options);
std::string hub_saver_summary();
std::vector<OptionSpec<HubSaverOptions>> hub_saver_options();

}  // namespace detail

}  // namespace crossdock
