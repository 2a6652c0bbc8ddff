// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "crossdock/core/join_lists.hpp"
#include "crossdock/plugin/header_overrides.hpp"
#include "crossdock/plugin/options.hpp"

namespace crossdock {

// Two flat structs, so that both are made with designated initialisers and neither takes the other's options; what they
// share is read by its name.

/// What the saver of Megatron-LLM and Megatron-LM is asked.
struct MegatronSaverOptions {
    std::filesystem::path save_dir{};
    bool overwrite = false;
    std::optional<std::uint64_t> target_tensor_parallel_size{};            ///< the source's unless given, else 1
    std::optional<std::uint64_t> target_pipeline_parallel_size{};          ///< the source's unless given, else 1
    std::optional<std::uint64_t> target_virtual_pipeline_parallel_size{};  ///< chunks of each stage; 1 unless given
    std::optional<std::uint64_t> make_vocab_size_divisible_by{};           ///< the source's unless given, else 128
    std::string iteration{};                                               ///< a number or release; empty: the source's
    std::string dialect{};  ///< llm or lm; empty: the source's if it is one of these, else llm
    HeaderOverrides overrides{};
};

/// What the saver of Megatron-Core is asked.
struct MegatronCoreSaverOptions {
    std::filesystem::path save_dir{};
    bool overwrite = false;
    std::optional<std::uint64_t> target_tensor_parallel_size{};            ///< the source's unless given, else 1
    std::optional<std::uint64_t> target_pipeline_parallel_size{};          ///< the source's unless given, else 1
    std::optional<std::uint64_t> target_virtual_pipeline_parallel_size{};  ///< chunks of each stage; 1 unless given
    std::optional<std::uint64_t> target_expert_parallel_size{};            ///< the source's unless given, else 1
    /// Unless given, the tensor-parallel size.
    std::optional<std::uint64_t> target_expert_tensor_parallel_size{};
    std::string expert_layout{};  ///< sequential, grouped or te_grouped; empty: the source's, or by the names
    std::optional<std::uint64_t> make_vocab_size_divisible_by{};        ///< the source's unless given, else 128
    std::string iteration{};                                            ///< a number or release; empty: the source's
    std::optional<std::uint64_t> num_layers_in_first_pipeline_stage{};  ///< the others share the rest evenly
    std::optional<std::uint64_t> num_layers_in_last_pipeline_stage{};
    std::string transformer_impl{};  ///< whose names: transformer_engine or local; empty: transformer_engine
    std::string ckpt_format{};  ///< torch_dist or torch; empty: the source's if it is Megatron-Core, else by the sizes
    std::optional<std::uint64_t> num_files{};  ///< of a torch_dist checkpoint
    bool bridge = false;                       ///< add what Megatron-Bridge reads beside a torch_dist checkpoint
    HeaderOverrides overrides{};
};

namespace detail {

/// The options that both savers have.
template <class Options>
std::vector<OptionSpec<Options>> megatron_saver_options() {
    return join_lists<OptionSpec<Options>>(
        {option<Options>("save_dir", "DIR", "where to write", &Options::save_dir),
         option<Options>("overwrite", "", "replace an existing target once the new one is complete",
                         &Options::overwrite),
         option<Options>("target_tensor_parallel_size", "N", "the source's unless given, else 1",
                         &Options::target_tensor_parallel_size),
         option<Options>("target_pipeline_parallel_size", "N", "the source's unless given, else 1",
                         &Options::target_pipeline_parallel_size),
         option<Options>("target_virtual_pipeline_parallel_size", "N", "chunks of each pipeline stage, 1 unless given",
                         &Options::target_virtual_pipeline_parallel_size),
         option<Options>("make_vocab_size_divisible_by", "N", "the source's unless given, else 128",
                         &Options::make_vocab_size_divisible_by),
         option<Options>("iteration", "N|release", "the source's unless given", &Options::iteration)},
        override_options(&Options::overrides));
}

}  // namespace detail

}  // namespace crossdock
