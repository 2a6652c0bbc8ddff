// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "crossdock/core/error.hpp"
#include "crossdock/core/text.hpp"
#include "crossdock/family/megatron/dialects.hpp"
#include "crossdock/layout/tensor_parallel.hpp"
#include "crossdock/plugin/megatron/rank_grid.hpp"
#include "crossdock/plugin/megatron/target.hpp"
#include "crossdock/protocol/model_header.hpp"

namespace crossdock::detail {

/// The ranks that a checkpoint is written for. Rank files keep the source's sizes where none are asked for. What is
/// distributed has none, so its chunks are as large as they can be; and of ranks that share experts it shows nothing.
/// Throws UsageError.
inline RankGrid target_grid(const MegatronTarget& asked, const ModelHeader& header, bool torch_dist) {
    const auto size = [torch_dist](std::optional<std::uint64_t> wanted, std::optional<std::uint64_t> previous) {
        return wanted.value_or(torch_dist ? 1 : previous.value_or(1));
    };
    const Training& source = header.training;
    RankGrid grid{.tensor = size(asked.tensor_parallel_size, source.previous_tensor_parallel_size),
                  .pipeline = size(asked.pipeline_parallel_size, source.previous_pipeline_parallel_size)};
    const bool with_experts = has_experts(header.mlp) && !torch_dist;
    grid.expert = with_experts ? size(asked.expert_parallel_size, source.previous_expert_parallel_size) : 1;
    grid.expert_tensor = with_experts ? asked.expert_tensor_parallel_size.value_or(grid.tensor) : grid.tensor;
    if (!has_experts(header.mlp) && asked.expert_parallel_size.value_or(1) != 1)
        throw UsageError(to_text("target_expert_parallel_size is ", *asked.expert_parallel_size,
                                 ", and the model has no experts; leave the option out"));
    if (grid.tensor == 0 || grid.pipeline == 0 || grid.expert == 0 || grid.expert_tensor == 0)
        throw UsageError("parallel sizes are at least 1");
    return grid;
}

inline void require_divides(std::uint64_t ranks, std::uint64_t value, std::string_view option, std::string_view name) {
    if (value % ranks != 0)
        throw Error(
            to_text(option, " ", ranks, " does not divide the model's ", value, " ", name, "; choose a divisor"));
}

/// Throws Error where the ranks share latents and cannot.
inline void require_latents_divisible(const TensorTable& table, const LatentAttention& latent, const RankGrid& grid) {
    const auto* down = row_of(table, &TransformerLayer::kv_down_weight);
    if (!down || !down->cuts.of(Group::tensor).axis) return;
    const auto check = [&grid](std::uint64_t value, std::string_view name) {
        require_divides(grid.tensor, value, "target_tensor_parallel_size", name);
    };
    check(latent.q_lora_rank, "elements of the queries' latent (q_lora_rank)");
    check(latent.kv_lora_rank + latent.qk_pos_emb_head_dim, "rows of kv_lora_rank + qk_pos_emb_head_dim");
}

/// Throws Error where the ranks cannot share the experts.
inline void require_experts_divisible(const Experts& experts, const RankGrid& grid) {
    require_divides(grid.expert, experts.num_experts, "target_expert_parallel_size", "experts");
    require_divides(grid.expert_tensor, experts.ffn_hidden_size, "target_expert_tensor_parallel_size",
                    "rows of an expert (moe_ffn_hidden_size)");
    require_divides(grid.tensor, experts.shared_ffn_hidden_size, "target_tensor_parallel_size",
                    "rows of a shared expert");
}

/// Throws Error where the ranks cannot share a model that a dialect has a place for.
inline void require_shareable(const MegatronDialect& dialect, const ModelHeader& header, const RankGrid& grid) {
    require_divisible(header, grid.tensor, "target_tensor_parallel_size", dialect.shares_query_groups);
    require_experts_divisible(header.mlp.experts, grid);
    require_latents_divisible(dialect.table, header.attention.latent, grid);
}

}  // namespace crossdock::detail
