// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/container/torch/reader.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/text.hpp"

namespace crossdock::detail {

/// The entry of a file that holds a chunk of the model; the file itself where its tensors lie in no entry.
inline const pickle::Value* chunk_of(const pickle::Value& root, const std::string& chunk) {
    return chunk.empty() ? &root : root.find(chunk);
}

/// What stands in front of the names of a chunk's tensors.
inline std::string chunk_prefix(const std::string& chunk, char separator) {
    return chunk.empty() ? chunk : chunk + separator;
}

/// Under which keys a file holds the model: "model", "model0" and more with a virtual pipeline, or what other programs
/// and scripts call it. An empty key stands for the file itself: a state_dict.
inline std::vector<std::string> chunk_keys(const pickle::Value& root, const std::string& file) {
    if (root.find("model")) return {"model"};
    std::vector<std::string> keys;
    while (root.find(to_text("model", keys.size()))) keys.push_back(to_text("model", keys.size()));
    if (!keys.empty()) return keys;
    for (const char* key : {"module", "state_dict", "model_state_dict"})
        if (root.find(key)) return {key};
    const auto* entries = root.entries();
    const bool has_tensors = entries && std::any_of(entries->begin(), entries->end(), [](const pickle::Entry& entry) {
                                 return entry.value.get<Tensor>() != nullptr;
                             });
    const auto* apart = root.tensors_apart();
    if (has_tensors || (apart && !apart->empty())) return {""};
    std::vector<std::string> names;
    if (entries)
        for (const pickle::Entry& entry : *entries)
            if (const std::string* name = entry.key.as_string(); name && names.size() < 5)
                names.push_back(shortened(*name));
    throw Error(to_text(file, ": holds neither 'model' nor 'model0'; it is no Megatron checkpoint; it is ",
                        root.describe(), names.empty() ? "" : " of ", joined_list(names)));
}

/// What wrappers of modules put in front of every name.
inline constexpr std::array<std::string_view, 5> wrapper_names{"module.", "model.", "_orig_mod.", "_forward_module.",
                                                               "_fsdp_wrapped_module."};

/// How much of the beginning of all names wrappers made.
inline std::size_t wrapper_length(const std::vector<NamedTensor>& tensors) {
    std::size_t length = 0;
    if (tensors.empty()) return length;
    const auto all_begin = [&](std::string_view wrapper) {
        return std::all_of(tensors.begin(), tensors.end(), [&](const NamedTensor& entry) {
            return std::string_view(entry.name).substr(std::min(length, entry.name.size())).starts_with(wrapper);
        });
    };
    for (bool found = true; found;) {
        const auto wrapper = std::find_if(wrapper_names.begin(), wrapper_names.end(), all_begin);
        found = wrapper != wrapper_names.end();
        if (found) length += wrapper->size();
    }
    return length;
}

/// Tensors of kinds of models that are refused by their name; they would be found to have no place later.
struct ForeignTensors {
    std::vector<std::string_view> name_parts;  ///< each begins with a point
    std::string_view verdict;                  ///< what they are and what to do, behind the tensor's name
};

inline const std::vector<ForeignTensors>& foreign_tensors() {
    static const std::vector<ForeignTensors> all{
        {{".lora_", ".base_layer.", ".adapter.", ".to_wrap."},
         " belongs to an adapter (LoRA), which is not read; merge it into the weights with the program that trained "
         "it, and convert the result"},
        {{".self_attention.key_value.", ".attention.key_value."},
         ": query and key_value are stored apart, as multi-query attention of bigcode-project/Megatron-LM is; that is "
         "not read, only query_key_value in one"},
        {{".mixer."}, " belongs to a Mamba or hybrid model, which is not read"}};
    return all;
}

/// The kind that a name is of; null for most. A letter is compared first: there may be a million names.
inline const ForeignTensors* foreign_kind(std::string_view name) {
    for (std::size_t at = name.find('.'); at < name.size(); at = name.find('.', at + 1))
        for (const ForeignTensors& foreign : foreign_tensors())
            for (const std::string_view part : foreign.name_parts)
                if (name.substr(at + 1, 1) == part.substr(1, 1) && name.substr(at).starts_with(part)) return &foreign;
    return nullptr;
}

inline void refuse_foreign(const std::string& name, const std::string& file) {
    if (const ForeignTensors* foreign = foreign_kind(name))
        throw Error(to_text(file, ": tensor '", shortened(name), "'", foreign->verdict));
}

/// A rank's tensors, named "model.decoder.…" by the chunk that holds them, and taken out of it.
inline std::vector<NamedTensor> take_model_tensors(const pickle::Value& root, const std::vector<std::string>& chunks,
                                                   const std::string& file) {
    std::vector<NamedTensor> all;
    for (const std::string& chunk : chunks) {
        const pickle::Value* model = chunk_of(root, chunk);
        if (!model) throw Error(to_text(file, ": '", chunk, "' is missing, another rank has it"));
        if (!model->entries() && model->get<pickle::Object>())
            throw Error(to_text(file, ": '", chunk, "' is ", model->describe(),
                                ", expected a dict of tensors; save the module's state_dict()"));
        std::vector<NamedTensor> tensors = torch::take_tensors(*model, file).entries();
        const std::size_t wrapped = wrapper_length(tensors);
        const std::string prefix = chunk_prefix(chunk, '.');
        for (NamedTensor& entry : tensors) {
            entry.name.replace(0, wrapped, prefix);
            refuse_foreign(entry.name, file);
        }
        if (all.empty())
            all = std::move(tensors);
        else
            all.insert(all.end(), std::make_move_iterator(tensors.begin()), std::make_move_iterator(tensors.end()));
    }
    return all;
}

}  // namespace crossdock::detail
