// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "crossdock/plugin/header_overrides.hpp"

namespace crossdock {

/// What the tensors of a checkpoint leave open, said by its user.
struct MegatronSizeOptions {
    std::optional<std::uint64_t> num_attention_heads{};
    std::optional<std::uint64_t> num_query_groups{};
    std::optional<std::uint64_t> kv_channels{};
    std::optional<std::uint64_t> checkpoint_version{};
};

/// What the loaders of Megatron checkpoints are asked.
struct MegatronLoaderOptions {
    std::filesystem::path load_dir{};
    std::string model_type{};
    std::string load_iters{};      ///< which of several iterations; empty: the tracker's
    std::string source_dialect{};  ///< llm, lm or mcore; empty: told from the files
    std::string position_embedding_type{};
    std::filesystem::path vocab_file{};
    std::string megatron_path{};  ///< the reference needs Megatron's code; we do not
    std::optional<std::uint64_t> true_vocab_size{};
    MegatronSizeOptions sizes{};
    std::vector<std::string> ignore{};  ///< names of arguments to be taken as not stated
    bool drop_mtp = false;              ///< leaves out layers that predict further tokens
    HeaderOverrides overrides{};
};

}  // namespace crossdock
