// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "crossdock/container/output_path.hpp"
#include "crossdock/container/torch/writer.hpp"
#include "crossdock/family/megatron/dialect.hpp"
#include "crossdock/family/megatron/mtp.hpp"
#include "crossdock/plugin/megatron/pipeline.hpp"
#include "crossdock/plugin/megatron/rank_grid.hpp"
#include "crossdock/plugin/megatron/target.hpp"

namespace crossdock::detail {

/// Rank files: Megatron's format "torch".
class RankTarget final : public IterationFiles {
public:
    RankTarget(const MegatronDialect& dialect, const ModelHeader& header, const RankGrid& grid,
               const Pipeline& pipeline, SavedState common)
        : dialect_(dialect),
          header_(header),
          grid_(grid),
          pipeline_(pipeline),
          layers_(pipeline.layers()),
          common_(std::move(common)) {
        const auto name = header.origin.mtp_layer_name.value_or(MtpLayerName::transformer_layer);
        for (std::uint64_t index = 0; index < header.mtp_num_layers; ++index)
            layers_.push_back({grid.pipeline - 1, mtp_scope(last_prefix(), index, name)});
    }

    TargetCheckpoint open(const OutputPath& folder) override {
        TargetCheckpoint target;
        target.first.prefix = pipeline_.chunk_prefix(0);
        target.last.prefix = last_prefix();
        target.layers = layers_;
        writers_.resize(grid_.pipeline);
        for (std::uint64_t stage = 0; stage < grid_.pipeline; ++stage)
            for (const RankCoordinates& at : grid_.ranks_of(stage)) {
                auto writer = open_rank(folder.in_turn(stage) / rank_folder(at, grid_));
                writers_[stage].push_back(writer.get());
                target.writers[at] = std::move(writer);
            }
        return target;
    }

    void add_rest() override {
        const std::uint64_t experts = header_.mlp.experts.num_experts / grid_.expert;
        for (std::uint64_t layer = 0; layer < layers_.size(); ++layer) {
            const LayerPlace& place = layers_[layer];
            for (const std::string& pattern : placeholders_of(dialect_.layer_placeholders, header_, layer, experts))
                for (torch::Writer* writer : writers_[place.stage]) writer->put(place.scope.name(pattern), {});
        }
    }

private:
    std::string last_prefix() const { return pipeline_.chunk_prefix(pipeline_.chunks() - 1); }

    std::unique_ptr<torch::Writer> open_rank(const OutputPath& folder) const {
        make_folders(folder);
        auto writer = std::make_unique<torch::Writer>(folder / "model_optim_rng.pt");
        writer->put("args", common_.args);
        writer->put("checkpoint_version", common_.checkpoint_version);
        writer->put("iteration", common_.iteration);
        return writer;
    }

    const MegatronDialect& dialect_;
    ModelHeader header_;
    RankGrid grid_;
    Pipeline pipeline_;
    std::vector<LayerPlace> layers_;
    SavedState common_;
    std::vector<std::vector<torch::Writer*>> writers_;  ///< of each stage; the target owns them
};

}  // namespace crossdock::detail
