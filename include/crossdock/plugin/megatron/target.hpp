// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>

#include "crossdock/container/pickle/value.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/text.hpp"
#include "crossdock/plugin/table_saver.hpp"
#include "crossdock/protocol/model_header.hpp"

namespace crossdock::detail {

/// What a saver of Megatron checkpoints is asked, whichever dialect it writes.
struct MegatronTarget {
    std::optional<std::uint64_t> tensor_parallel_size{}, pipeline_parallel_size{}, virtual_pipeline_parallel_size{};
    std::optional<std::uint64_t> expert_parallel_size{}, expert_tensor_parallel_size{};
    std::optional<std::uint64_t> layers_in_first_stage{}, layers_in_last_stage{};
    std::optional<std::uint64_t> make_vocab_size_divisible_by{};
    std::string iteration{};  ///< a number or release; empty: the source's
    std::string ckpt_format = "torch";
    std::optional<std::uint64_t> num_files{};
    bool bridge = false;
    /// Of torch_dist: norms in front of experts keep names of their own, as with Transformer Engine; none: nobody said.
    std::optional<bool> keeps_norms{};

    bool has_sizes() const {
        return tensor_parallel_size || pipeline_parallel_size || virtual_pipeline_parallel_size ||
               expert_parallel_size || expert_tensor_parallel_size || layers_in_first_stage || layers_in_last_stage;
    }
};

template <class Options>
MegatronTarget megatron_target(const Options& options) {
    MegatronTarget target{.tensor_parallel_size = options.target_tensor_parallel_size,
                          .pipeline_parallel_size = options.target_pipeline_parallel_size,
                          .virtual_pipeline_parallel_size = options.target_virtual_pipeline_parallel_size,
                          .make_vocab_size_divisible_by = options.make_vocab_size_divisible_by,
                          .iteration = options.iteration};
    if constexpr (requires { options.ckpt_format; }) {
        target.layers_in_first_stage = options.num_layers_in_first_pipeline_stage;
        target.layers_in_last_stage = options.num_layers_in_last_pipeline_stage;
        target.expert_parallel_size = options.target_expert_parallel_size;
        target.expert_tensor_parallel_size = options.target_expert_tensor_parallel_size;
        target.ckpt_format = options.ckpt_format;
        if (!options.transformer_impl.empty()) target.keeps_norms = options.transformer_impl == "transformer_engine";
        target.num_files = options.num_files;
        target.bridge = options.bridge;
    }
    return target;
}

/// Whether a distributed checkpoint is to be written. Unless a format is named, Megatron-Core's own checkpoints keep
/// theirs, and others get rank files only where somebody asks how many ranks there are to be.
inline bool is_torch_dist(const MegatronTarget& asked, const ModelHeader& header) {
    if (asked.ckpt_format == "torch_dist") return true;
    if (asked.ckpt_format == "torch") return false;
    if (!asked.ckpt_format.empty())
        throw UsageError(to_text("ckpt_format is '", asked.ckpt_format, "', expected torch_dist or torch"));
    return header.origin.megatron == MegatronCode::core ? header.origin.torch_dist : !asked.has_sizes();
}

/// What an iteration's files say beside the tensors.
struct SavedState {
    pickle::Value args, iteration;
    double checkpoint_version = 3.0;
};

/// The files of one iteration, in one of Megatron's formats.
class IterationFiles {
public:
    virtual ~IterationFiles() = default;

    /// Opens them in `folder`, which is there.
    virtual TargetCheckpoint open(const OutputPath& folder) = 0;

    /// Adds what stands beside the tensors, when all of these have their places; they may be on their way still.
    virtual void add_rest() = 0;

    /// All tensors are written by then; the files of `open`'s writers are finished after it.
    virtual void close() {}
};

}  // namespace crossdock::detail
