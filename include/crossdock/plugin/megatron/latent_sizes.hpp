// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "crossdock/core/checked.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/text.hpp"
#include "crossdock/family/apply_table.hpp"
#include "crossdock/family/megatron/dialect.hpp"
#include "crossdock/plugin/placement.hpp"
#include "crossdock/plugin/table_loader.hpp"

namespace crossdock::detail {

/// What the matrices of the first layer tell of latent attention: whether there is any, its sizes, and whether ranks
/// share its down projections.
class LatentSizes {
public:
    LatentSizes(OpenCheckpoint& open, const std::filesystem::path& directory) : open_(open), directory_(directory) {}

    /// Fills the header, whose heads must be known, and chooses the table that fits the files.
    void apply(const MegatronDialect& dialect) {
        using L = TransformerLayer;
        Attention& attention = open_.header.attention;
        attention.latent = {};
        if (!has(&L::kv_down_weight)) return;
        require_norms();
        const bool has_query_latent = has(&L::q_down_weight);
        const auto query = has_query_latent ? &L::q_up_weight : &L::q_weight;
        LatentAttention& latent = attention.latent;
        latent.kv_lora_rank = matrix(&L::kv_up_weight).tensor.shape()[1];
        latent.q_lora_rank = has_query_latent ? matrix(query).tensor.shape()[1] : 0;
        latent.v_head_dim = of_one_head(&L::dense_weight, 1, 0);
        latent.qk_head_dim = of_one_head(&L::kv_up_weight, 0, latent.v_head_dim);
        latent.qk_pos_emb_head_dim = of_one_head(query, 0, latent.qk_head_dim);
        attention.kv_channels = latent.v_head_dim;
        attention.num_query_groups = attention.num_attention_heads;
        choose_table(dialect);
    }

private:
    const LayerPlace& layer() const { return open_.layers.front(); }
    const StageTensors& stage() const { return open_.stages[layer().stage]; }
    bool has(std::optional<Tensor> TransformerLayer::*field) const {
        return has_stored(*open_.table, stage(), layer().scope, field);
    }
    std::uint64_t ranks() const { return open_.stages.front().count(Group::tensor); }

    NamedTensor matrix(std::optional<Tensor> TransformerLayer::*field) const {
        NamedTensor found =
            required_tensor(stage(), layer().scope.name(row_of(*open_.table, field)->names[0]), directory_);
        if (found.tensor.shape().rank() != 2)
            throw Error(to_text(found.file, ": tensor '", found.name, "' has shape ", found.tensor.shape(),
                                ", expected a matrix"));
        return found;
    }

    /// How much of a matrix that ranks share along an axis belongs to one head, without `others`.
    std::uint64_t of_one_head(std::optional<Tensor> TransformerLayer::*field, std::size_t axis,
                              std::uint64_t others) const {
        const NamedTensor found = matrix(field);
        const std::uint64_t heads = open_.header.attention.num_attention_heads;
        const std::uint64_t extent = checked_multiply(found.tensor.shape()[axis], ranks(), "rows of heads");
        if (heads == 0 || extent % heads != 0 || extent / heads <= others)
            throw Error(to_text(found.file, ": tensor '", found.name, "' has ", extent,
                                axis == 0 ? " rows" : " columns", " on all ranks, expected ", heads,
                                " heads of more than ", others));
        return extent / heads - others;
    }

    void require_norms() const {
        using L = TransformerLayer;
        if (!has(&L::kv_latent_norm_weight) || (has(&L::q_down_weight) && !has(&L::q_latent_norm_weight)))
            throw Error(to_text(directory_.string(),
                                ": has latent attention without norms of its latents (qk_layernorm false), which is "
                                "not supported: no other format has such models"));
    }

    /// Files of one rank do not tell the two tables apart, and do not need to.
    void choose_table(const MegatronDialect& dialect) {
        const Row<TransformerLayer>& row = *row_of(*open_.table, &TransformerLayer::kv_down_weight);
        const LatentAttention& latent = open_.header.attention.latent;
        const bool is_whole = matrix(&TransformerLayer::kv_down_weight).tensor.shape()[0] ==
                              latent.kv_lora_rank + latent.qk_pos_emb_head_dim;
        const bool is_expected_whole = !row.cuts.of(Group::tensor).axis;
        if (ranks() > 1 && is_whole != is_expected_whole && dialect.other_down_cut)
            open_.table = &*dialect.other_down_cut;
    }

    OpenCheckpoint& open_;
    const std::filesystem::path& directory_;
};

}  // namespace crossdock::detail
