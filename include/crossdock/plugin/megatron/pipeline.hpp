// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "crossdock/core/checked.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/text.hpp"
#include "crossdock/plugin/table_loader.hpp"

namespace crossdock::detail {

/// How a target's layers are asked to be shared among pipeline stages.
struct PipelineRequest {
    std::uint64_t stages = 1;
    std::uint64_t chunks = 1;  ///< of each stage: virtual pipeline stages
    std::optional<std::uint64_t> layers_in_first{}, layers_in_last{};
};

/// How many layers the first stage takes where all cannot hold as many, so that the others can: the longest stage is as
/// short as it can be, and of two such ways the first stage is the longer. Nothing where all can, or no way leads there.
inline std::optional<std::uint64_t> uneven_first_stage(std::uint64_t layers, std::uint64_t stages) {
    if (stages < 2 || layers < stages || layers % stages == 0) return std::nullopt;
    const std::uint64_t fewer = layers / stages, more = fewer + 1, others = stages - 1;
    const std::uint64_t long_first = layers - fewer * others;
    return more < long_first && more * others < layers ? layers - more * others : long_first;
}

/// How many layers each pipeline stage holds. Throws Error where they cannot be shared as asked.
inline std::vector<std::uint64_t> share_layers(std::uint64_t layers, const PipelineRequest& asked) {
    const std::uint64_t stages = asked.stages;
    const auto &first = asked.layers_in_first, &last = asked.layers_in_last;
    const std::uint64_t named = (first ? 1U : 0U) + (last ? 1U : 0U);
    if (named > 0 && stages < 2)
        throw UsageError(
            "num_layers_in_first_pipeline_stage and num_layers_in_last_pipeline_stage need at least 2 "
            "pipeline stages");
    if (first == 0U || last == 0U) throw UsageError("a pipeline stage holds at least 1 layer");
    const std::uint64_t taken = checked_add(first.value_or(0), last.value_or(0), "layers of the named stages");
    const std::uint64_t others = stages - named, rest = taken > layers ? 0 : layers - taken;
    const bool fits = taken <= layers && (others == 0 ? rest == 0 : rest > 0 && rest % others == 0);
    if (!fits && named == 0)
        throw Error(to_text("target_pipeline_parallel_size ", stages, " does not divide the model's ", layers,
                            " layers; choose a divisor"));
    if (!fits)
        throw Error(to_text("of the model's ", layers, " layers, the first and last stage take ", taken,
                            ", which leaves ", rest, " for ", others,
                            " other stages; choose numbers that leave each as many"));
    std::vector<std::uint64_t> shares(stages, others == 0 ? 0 : rest / others);
    if (first) shares.front() = *first;
    if (last) shares.back() = *last;
    return shares;
}

/// Where the layers of a model stand that is cut into stages, and these into chunks.
class Pipeline {
public:
    Pipeline() = default;

    /// Throws Error or UsageError where the layers cannot be shared as asked.
    Pipeline(std::uint64_t layers, const PipelineRequest& asked)
        : chunks_(asked.chunks),
          shares_(share_layers(layers, asked)) {
        if (chunks_ == 0) throw UsageError("target_virtual_pipeline_parallel_size is 0, expected at least 1");
        if (chunks_ > 1 && stages() < 2)
            throw UsageError("target_virtual_pipeline_parallel_size needs at least 2 pipeline stages");
        for (const std::uint64_t share : shares_)
            if (share % chunks_ != 0)
                throw Error(to_text("target_virtual_pipeline_parallel_size ", chunks_, " does not divide the ", share,
                                    " layers of a pipeline stage; choose a divisor"));
    }

    std::uint64_t stages() const { return shares_.size(); }
    std::uint64_t chunks() const { return chunks_; }
    std::uint64_t layers_per_chunk() const { return shares_.front() / chunks_; }

    /// "model/", or "model0/", "model1/" … with a virtual pipeline.
    std::string chunk_prefix(std::uint64_t chunk) const {
        return chunks_ == 1 ? std::string("model/") : to_text("model", chunk, "/");
    }

    /// Stages take turns: the model runs through the first chunk of each, then through the second of each …
    std::vector<LayerPlace> layers() const {
        std::vector<LayerPlace> places;
        for (std::uint64_t chunk = 0; chunk < chunks_; ++chunk)
            for (std::uint64_t stage = 0; stage < stages(); ++stage)
                for (std::uint64_t index = 0; index < shares_[stage] / chunks_; ++index)
                    places.push_back({stage, {chunk_prefix(chunk), index}});
        return places;
    }

private:
    std::uint64_t chunks_ = 1;
    std::vector<std::uint64_t> shares_;  ///< layers of each stage
};

}  // namespace crossdock::detail
