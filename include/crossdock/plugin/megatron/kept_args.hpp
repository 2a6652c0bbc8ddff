// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "crossdock/container/pickle/value.hpp"
#include "crossdock/family/description.hpp"
#include "crossdock/family/megatron/dialects.hpp"
#include "crossdock/plugin/megatron/args_in_pickle.hpp"
#include "crossdock/plugin/megatron/kept_values.hpp"

namespace crossdock::detail {

/// What tells how the old files were laid out, where they lay and who wrote them: it is not true of the new ones.
/// NVIDIA's tools/checkpoint/saver_base.py replaces these too.
inline Json layout_args(std::uint64_t ranks, std::uint64_t stages) {
    return {{"world_size", ranks * stages},
            {"rank", 0},
            {"local_rank", 0},
            {"data_parallel_size", 1},
            {"context_parallel_size", 1},
            {"transformer_pipeline_model_parallel_size", stages},
            {"model_parallel_size", nullptr},
            {"encoder_tensor_model_parallel_size", 0},
            {"encoder_pipeline_model_parallel_size", 0},
            {"expert_tensor_parallel_size", nullptr},
            {"pipeline_model_parallel_split_rank", nullptr},
            {"pipeline_model_parallel_layout", nullptr},
            {"num_virtual_stages_per_pipeline_rank", nullptr},
            {"num_layers_in_first_pipeline_stage", nullptr},
            {"num_layers_in_last_pipeline_stage", nullptr},
            {"account_for_embedding_in_pipeline_split", false},
            {"account_for_loss_in_pipeline_split", false},
            {"standalone_embedding_stage", false},
            {"save", nullptr},
            {"load", nullptr},
            {"pretrained_checkpoint", nullptr},
            {"tensorboard_dir", nullptr},
            {"wandb_save_dir", nullptr}};
}

/// Whether the target's own word counts whatever the source states.
inline bool describes_files(std::string_view name) {
    constexpr std::array<std::string_view, 16> names{"params_dtype",
                                                     "bf16",
                                                     "fp16",
                                                     "padded_vocab_size",
                                                     "expert_model_parallel_size",
                                                     "transformer_impl",
                                                     "ckpt_format",
                                                     "no_save_optim",
                                                     "no_save_rng",
                                                     "ckpt_fully_parallel_save",
                                                     "use_distributed_optimizer",
                                                     "encoder_num_layers",
                                                     "encoder_seq_length",
                                                     "tensor_model_parallel_size",
                                                     "pipeline_model_parallel_size",
                                                     "iteration"};
    return std::find(names.begin(), names.end(), name) != names.end();
}

/// The dialect of a Megatron source; null for other sources.
inline const MegatronDialect* source_dialect(const ModelHeader& header) {
    return header.origin.megatron ? &megatron_dialect(*header.origin.megatron) : nullptr;
}

/// Takes out of the args what says something of the model to one of the two codes.
inline void erase_model_args(const MegatronDialect& source, const MegatronDialect& target, Json& args) {
    for (const ConfigEntry& line : source.args)
        for (const std::string_view key : line.keys) args.erase(std::string(key));
    for (const auto* others : {&source.other_args, &target.other_args})
        for (const OtherArgument& other : *others) args.erase(std::string(other.name));
}

/// The source's arguments that the target keeps: all that a code of its line stated, and what says nothing of the
/// model where another did, as that is translated.
inline Json source_args(const MegatronDialect& target, const ModelHeader& header) {
    const MegatronDialect* source = source_dialect(header);
    if (!source) return Json::object();
    Json args = carried_json(header, "args");
    if (source->line != target.line) erase_model_args(*source, target, args);
    return args;
}

/// The target's args: what the dialect's table says of the header, over what the source states. Where the word of the
/// same code comes to the same, it stays as it is.
inline Json combined_args(const MegatronDialect& target, const ModelHeader& header, std::uint64_t ranks,
                          std::uint64_t stages) {
    Json args = source_args(target, header), plain = Json::object();
    for (const auto& [name, value] : args.items()) plain[name] = plain_of_kept(value);
    ModelHeader said;
    target.constants(said);
    read_config(target.args, plain, said, "args of the source");
    said.block_output_norms = header.block_output_norms;
    said.attention.qk_norm = header.attention.qk_norm;
    if (said.num_layers > 0) target.read_of_layers(plain, ModelHeader(said), said);
    Json before = Json::object(), now = Json::object();
    write_config(target.args, said, before);
    write_config(target.args, header, now);
    const bool is_same_code = header.origin.megatron == target.code;
    for (const auto& [name, value] : now.items()) {
        const bool is_right = is_same_code && args.contains(name) && !describes_files(name) && before.contains(name) &&
                              before.at(name) == value;
        if (!is_right) args[name] = kept_of_plain(value);
    }
    Json layout = layout_args(ranks, stages);
    if (!is_same_code) layout["use_legacy_models"] = target.legacy_models;
    for (const auto& [name, value] : layout.items())
        if (args.contains(name)) args[name] = value;
    return args;
}

/// An argparse.Namespace with these attributes.
inline pickle::Value namespace_of_kept(const Json& args) {
    pickle::Dict attributes;
    for (const auto& [name, value] : args.items())
        attributes.entries.push_back({pickle::Value(std::string_view(name)), value_of_kept(value)});
    pickle::Value made = namespace_of_json(Json::object());
    made.edit<pickle::Object>()->state = std::move(attributes);
    return made;
}

}  // namespace crossdock::detail
