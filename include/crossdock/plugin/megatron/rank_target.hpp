// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <utility>
#include <vector>

#include "crossdock/container/torch/writer.hpp"
#include "crossdock/family/megatron/dialect.hpp"
#include "crossdock/plugin/megatron/files.hpp"
#include "crossdock/plugin/megatron/pipeline.hpp"
#include "crossdock/plugin/megatron/target.hpp"

namespace crossdock::detail {

/// Rank files: Megatron's format "torch".
class RankTarget final : public IterationFiles {
public:
    RankTarget(const MegatronDialect& dialect, std::uint64_t ranks, const Pipeline& pipeline, SavedState common)
        : dialect_(dialect),
          ranks_(ranks),
          pipeline_(pipeline),
          layers_(pipeline.layers()),
          common_(std::move(common)) {}

    TargetCheckpoint open(const OutputPath& folder) override {
        TargetCheckpoint target;
        target.first.prefix = pipeline_.chunk_prefix(0);
        target.last.prefix = pipeline_.chunk_prefix(pipeline_.chunks() - 1);
        target.layers = layers_;
        writers_.resize(pipeline_.stages());
        for (std::uint64_t stage = 0; stage < pipeline_.stages(); ++stage)
            for (std::uint64_t rank = 0; rank < ranks_; ++rank) {
                auto writer = open_rank(folder.in_turn(stage) / rank_folder(rank, stage, pipeline_.stages()));
                writers_[stage].push_back(writer.get());
                target.writers[{.pipeline = stage, .tensor = rank}] = std::move(writer);
            }
        return target;
    }

    void close() override {
        for (const LayerPlace& place : layers_)
            for (torch::Writer* writer : writers_[place.stage])
                for (const std::string& pattern : dialect_.layer_placeholders)
                    writer->put(place.scope.name(pattern), {});
    }

private:
    std::unique_ptr<torch::Writer> open_rank(const OutputPath& folder) const {
        std::filesystem::create_directories(folder.path());
        auto writer = std::make_unique<torch::Writer>(folder / "model_optim_rng.pt");
        writer->put("args", common_.args);
        writer->put("checkpoint_version", common_.checkpoint_version);
        writer->put("iteration", common_.iteration);
        return writer;
    }

    const MegatronDialect& dialect_;
    std::uint64_t ranks_;
    Pipeline pipeline_;
    std::vector<LayerPlace> layers_;
    SavedState common_;
    std::vector<std::vector<torch::Writer*>> writers_;  ///< of each stage; the target owns them
};

}  // namespace crossdock::detail
