// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/core/error.hpp"
#include "crossdock/core/text.hpp"
#include "crossdock/plugin/options.hpp"

namespace crossdock::cli {

// What epfLLM's tools/checkpoint_util.py and NVIDIA's tools/checkpoint/convert.py call their loaders, savers and
// options, and what that is here.

/// A loader or saver of one of these tools under a name that is not ours.
struct ReferencePlugin {
    std::string_view name;
    std::string_view plugin{};    ///< ours; empty: of Hugging Face's or the original format
    std::string_view not_read{};  ///< the models it is for, where we know none of these
};

inline const ReferencePlugin* find_reference_plugin(std::string_view name) {
    constexpr std::string_view images = "models that see images", hybrids = "hybrids of attention and state spaces";
    static const std::vector<ReferencePlugin> plugins{{"legacy", "megatron"},
                                                      {"core", "mcore"},
                                                      {"megatron_mcore", "mcore"},
                                                      {"megatron_core", "mcore"},
                                                      {"llama_mistral"},
                                                      {"hf", "hf"},
                                                      {"huggingface", "hf"},
                                                      {"meta"},
                                                      {"mixtral_hf"},
                                                      {"mixtral"},
                                                      {"hf_moe"},
                                                      {"llava", {}, images},
                                                      {"hf_llava", {}, images},
                                                      {"hf_moe_llava", {}, images},
                                                      {"eva_sat", {}, images},
                                                      {"eva_mcore", {}, images},
                                                      {"hf_hybrid", {}, hybrids},
                                                      {"parallelhybrid", {}, hybrids},
                                                      {"parallelhybrid_hf", {}, hybrids},
                                                      {"llama_nemotron_hf", {}, "Nemotron models"},
                                                      {"swissai_hf", {}, "Apertus models"},
                                                      {"apertus_hf", {}, "Apertus models"}};
    const auto found = std::find_if(plugins.begin(), plugins.end(), [&](const auto& p) { return p.name == name; });
    return found == plugins.end() ? nullptr : &*found;
}

/// The family in a name such as llama2_hf or llama3: one of `families`; empty when it is none.
inline std::string family_in(std::string_view name, const std::vector<std::string>& families) {
    constexpr std::string_view ending = "_hf";
    if (name.ends_with(ending)) name.remove_suffix(ending.size());
    const std::string stem(name.substr(0, name.find_last_not_of("0123456789.") + 1));
    for (const std::string& family : {std::string(name), stem})
        if (std::find(families.begin(), families.end(), family) != families.end()) return family;
    return {};
}

/// An option of these tools from which nothing follows here, and why.
struct ReferenceOption {
    OptionInfo info;
    std::string_view why;
};

/// Some of them are options of a plugin; these lines are for conversions without it.
inline const std::vector<ReferenceOption>& reference_options() {
    static const std::vector<ReferenceOption> options{
        {{"model_size", "NAME", "accepted, has no effect"}, "the sizes are read from the source"},
        {{"tokenizer_model", "FILE", "accepted, has no effect"},
         "no tokenizer is needed; the tokenizer's files beside the source are copied to the target"},
        {{"hf_tokenizer_path", "DIR", "accepted, has no effect"},
         "the tokenizer's files beside the source, or of --config DIR, are copied to the target"},
        {{"use_distributed_optimizer", "", "accepted, has no effect"}, "the optimizer's state is not converted"},
        {{"loader_transformer_impl", "local|transformer_engine", "accepted, has no effect"},
         "the names in the source's files tell it"},
        {{"saver_transformer_impl", "local|transformer_engine", "the same as --transformer_impl"},
         "only Megatron-Core has two spellings of its names"},
        {{"megatron_path", "DIR", "accepted, has no effect"}, "Megatron's code is not needed"},
        {{"checkpoint_type", "hf|meta", "which layout to read"}, "the source's files tell it"},
        {{"vocab_file", "FILE", "a vocabulary to be counted"}, "the source says how many words there are"},
        {{"position_embedding_type", "T", "overrides what the files tell"}, "the source says what its positions are"},
        {{"make_vocab_size_divisible_by", "N", "of Megatron's vocabularies"}, "only Megatron pads its vocabularies"},
        {{"target_tensor_parallel_size", "N", "of Megatron's targets"}, "the target has no ranks"},
        {{"target_pipeline_parallel_size", "N", "of Megatron's targets"}, "the target has no ranks"},
        {{"target_expert_parallel_size", "N", "of Megatron-Core's targets"}, "the target's experts are not shared"}};
    return options;
}

namespace detail {

/// Throws UsageError for a value that asks for what cannot be had.
inline void check_reference_value(const std::string& name, const std::string& value) {
    const auto require = [&](bool holds, std::string_view expected) {
        if (!holds) throw UsageError(to_text("--", name, " is '", value, "', expected ", expected));
    };
    if (name.ends_with("transformer_impl"))
        require(value == "local" || value == "transformer_engine", "transformer_engine or local");
    if (name == "checkpoint_type") require(value == "hf" || value == "meta", "hf or meta");
    if (name == "target_tensor_parallel_size" || name == "target_pipeline_parallel_size" ||
        name == "target_expert_parallel_size")
        require(value == "1", "1: the target is not cut into ranks");
}

}  // namespace detail

/// Why an option that no plugin at work knows has no effect; nothing where it is none of these tools'. Throws
/// UsageError where something would have to follow from its value.
inline std::optional<std::string> reason_without_effect(const std::string& name, const std::string& value) {
    for (const ReferenceOption& option : reference_options()) {
        if (option.info.name != name) continue;
        detail::check_reference_value(name, value);
        return to_text("--", name, " has no effect: ", option.why);
    }
    return std::nullopt;
}

}  // namespace crossdock::cli
