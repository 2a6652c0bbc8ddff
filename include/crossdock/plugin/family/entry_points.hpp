// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "crossdock/family/entry_points.hpp"
#include "crossdock/plugin/any_loader.hpp"
#include "crossdock/plugin/any_saver.hpp"
#include "crossdock/plugin/header_overrides.hpp"
#include "crossdock/plugin/options.hpp"

namespace crossdock {

/// What the loader of any family is asked.
struct FamilyLoaderOptions {
    std::filesystem::path load_dir{};  ///< the checkpoint
    std::string model_type{};          ///< checked against the source where given
    std::optional<std::uint64_t> true_vocab_size{};
    std::string checkpoint_type{};  ///< which layout, where a directory holds several; empty: its files tell it
    HeaderOverrides overrides{};
    std::vector<std::string> ignore{};  ///< names of statements to be taken as not made
    bool drop_mtp = false;              ///< leaves out layers that predict further tokens
};

/// What the saver of any family is asked.
struct FamilySaverOptions {
    std::filesystem::path save_dir{};
    bool overwrite = false;
    std::string layout{};                                ///< the name of its kind; empty: the family's first
    std::optional<std::string> max_shard_size{};         ///< of layouts in shards: "5GB"
    std::optional<std::uint64_t> model_parallel_size{};  ///< of layouts in parts
    std::filesystem::path config{};                      ///< a Hugging Face folder that says what the source does not
    HeaderOverrides overrides{};
};

// What the plugins of a family are made of: entry points (core/compiled.hpp).

namespace detail {

std::string family_name(const Family& family);

std::unique_ptr<AnyLoader> family_loader(const Family& family, const FamilyLoaderOptions& options);
std::string family_loader_summary(const Family& family);
std::vector<OptionSpec<FamilyLoaderOptions>> family_loader_options(const Family& family);
std::vector<std::string> family_model_types(const Family& family);
std::vector<std::string> family_hub_types(const Family& family);
bool recognises_family(const Family& family, const std::filesystem::path& directory);

std::unique_ptr<AnySaver> family_saver(const Family& family, const FamilySaverOptions& options);
std::string family_saver_summary(const Family& family);
std::vector<OptionSpec<FamilySaverOptions>> family_saver_options(const Family& family);

}  // namespace detail

}  // namespace crossdock
