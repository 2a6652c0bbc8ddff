// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "crossdock/family/config_table.hpp"
#include "crossdock/plugin/megatron/content.hpp"
#include "crossdock/plugin/megatron/files.hpp"
#include "crossdock/plugin/megatron/rank_files.hpp"

namespace crossdock::detail {

// All ranks of a checkpoint come from one run at one step: what each states of itself is the same on all, apart from
// what a process says of its own place.

/// Arguments that each process has of its own, and counts that a rank may be behind in.
inline constexpr std::array<std::string_view, 9> own_arguments{"rank",
                                                               "local_rank",
                                                               "node_rank",
                                                               "global_rank",
                                                               "tensor_model_parallel_rank",
                                                               "pipeline_model_parallel_rank",
                                                               "model_parallel_rank",
                                                               "consumed_train_samples",
                                                               "consumed_valid_samples"};

/// What a rank says of an argument; None, as in Python, where it does not.
inline Json stated_argument(const MegatronArgs& args, std::string_view name) {
    const auto found = args.values.find(std::string(name));
    return found == args.values.end() ? Json(nullptr) : *found;
}

/// The first argument of the table that two ranks state differently; empty when there is none.
inline std::string_view differing_argument(const ConfigTable& table, const MegatronArgs& a, const MegatronArgs& b) {
    for (const ConfigEntry& line : table)
        for (const std::string_view key : line.keys) {
            if (std::find(own_arguments.begin(), own_arguments.end(), key) != own_arguments.end()) continue;
            if (stated_argument(a, key) != stated_argument(b, key)) return key;
        }
    return {};
}

/// Throws Error where the files of two ranks state different things: they belong to different checkpoints.
inline void require_agreement(const MegatronContent& content, const ConfigTable& table) {
    const MegatronStatement& first = content.ranks.front().statement;
    const MegatronStatement* with_args = nullptr;  // the first that has any
    const auto disagree = [](std::string_view what, const MegatronStatement& a, std::string_view in_a,
                             const MegatronStatement& b, std::string_view in_b) {
        throw Error(to_text("ranks disagree on ", what, ": ", a.file, " says ", in_a, ", ", b.file, " says ", in_b,
                            "; they are files of different checkpoints, or one is damaged"));
    };
    const auto version_text = [](const std::optional<double>& version) {
        return version ? Json(*version).dump() : std::string("nothing, which is 0");
    };
    for (const MegatronRank& rank : content.ranks) {
        const MegatronStatement& other = rank.statement;
        if (first.iteration && other.iteration && *first.iteration != *other.iteration)
            disagree("the iteration", first, first.iteration->text(), other, other.iteration->text());
        if (first.checkpoint_version.value_or(0) != other.checkpoint_version.value_or(0))
            disagree("checkpoint_version", first, version_text(first.checkpoint_version), other,
                     version_text(other.checkpoint_version));
        if (!other.args.stated) continue;
        if (!with_args) with_args = &other;
        const std::string key(differing_argument(table, with_args->args, other.args));
        if (!key.empty())
            disagree(key, *with_args, json_shown(stated_argument(with_args->args, key)), other,
                     json_shown(stated_argument(other.args, key)));
    }
}

/// Throws Error where args speak of more ranks than there are and the tensors are too few for the model; args that a
/// script left as they were before it changed the number of ranks do no harm. `is_cut` tells whether the tensors of one
/// rank are too narrow for all of them together to be whole.
inline void require_all_ranks(const MegatronFiles& files, const MegatronContent& content, bool is_cut,
                              std::uint64_t layers) {
    constexpr std::uint64_t most = 1U << 16;
    const Json& args = content.args.values;
    RankGrid stated = content.grid;
    stated.tensor = std::max(stated_size(args, "tensor_model_parallel_size"), stated_size(args, "model_parallel_size"));
    stated.pipeline = stated_size(args, "pipeline_model_parallel_size");
    const std::uint64_t all_layers = std::max(stated_size(args, "num_layers"), stated_size(args, "encoder_num_layers"));
    if (stated.tensor <= content.grid.tensor || stated.tensor > most || !is_cut) stated.tensor = content.grid.tensor;
    if (stated.pipeline <= content.grid.pipeline || stated.pipeline > most || layers >= all_layers)
        stated.pipeline = content.grid.pipeline;
    if (stated.tensor == content.grid.tensor && stated.pipeline == content.grid.pipeline) return;
    const auto is_there = [&](const RankCoordinates& at) {
        return at.pipeline < content.grid.pipeline && at.tensor < content.grid.tensor;
    };
    const bool leaves_out =
        stated_size(args, "num_experts") > 0 && stated.tensor > stated.expert * stated.expert_tensor;
    throw Error(to_text(
        files.directory.string(), ": ", missing_ranks(stated, is_there), "; args say tensor_model_parallel_size ",
        stated.tensor, " and pipeline_model_parallel_size ", stated.pipeline,
        leaves_out ? "; Megatron-Core before 0.18 does not save tensor-parallel ranks beyond those that "
                     "share the experts: save it with a larger expert_tensor_parallel_size"
                   : ""));
}

}  // namespace crossdock::detail
