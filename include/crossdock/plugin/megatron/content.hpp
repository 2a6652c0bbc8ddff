// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "crossdock/container/tensor_dict.hpp"
#include "crossdock/family/ranks.hpp"
#include "crossdock/plugin/megatron/rank_grid.hpp"
#include "crossdock/plugin/megatron/statement.hpp"
#include "crossdock/plugin/storage.hpp"

namespace crossdock::detail {

/// What one rank holds beside the optimizer.
struct MegatronRank {
    RankCoordinates at;
    MegatronStatement statement;
    std::vector<NamedTensor> tensors;  ///< names as "model.language_model.…"
};

/// What the ranks of a Megatron checkpoint hold, wherever they were read from.
struct MegatronContent {
    std::vector<MegatronRank> ranks{};  ///< stage by stage, in each by tensor-parallel and expert-parallel rank
    RankGrid grid{};
    std::vector<std::string> chunks{};  ///< "model", or "model0", "model1" … with a virtual pipeline
    MegatronArgs args{};                ///< of the first rank that has any
    std::optional<double> checkpoint_version{};
    std::optional<Iteration> iteration{};
    std::vector<std::string> notices{};
    std::optional<DistributedStorage> distributed{};  ///< of a distributed checkpoint
    std::vector<SourceTensor> beside{};               ///< in the same files, and none of the model's
};

/// Takes in what one rank states beside its tensors: `root`, read from `file`.
inline MegatronRank& add_rank(const RankCoordinates& at, const std::string& file, const pickle::Value& root,
                              MegatronContent& content) {
    std::vector<std::string> notices;
    MegatronStatement statement = statement_of(root, file, notices);
    if (!content.args.stated && statement.args.stated) {
        content.args = statement.args;
        content.notices = std::move(notices);
    }
    if (!content.checkpoint_version) content.checkpoint_version = statement.checkpoint_version;
    if (!content.iteration) content.iteration = statement.iteration;
    statement.args.kept = nullptr;  // that of one rank is enough
    return content.ranks.emplace_back(MegatronRank{at, std::move(statement), {}});
}

}  // namespace crossdock::detail
