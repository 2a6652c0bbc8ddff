// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/container/torch/reader.hpp"
#include "crossdock/family/megatron.hpp"
#include "crossdock/layout/qkv_version.hpp"
#include "crossdock/plugin/megatron_files.hpp"
#include "crossdock/plugin/megatron_kept_args.hpp"
#include "crossdock/plugin/megatron_namespace.hpp"

namespace crossdock::detail {

/// What the pickles of a Megatron checkpoint hold beside the optimizer.
struct MegatronContent {
    std::vector<std::vector<TensorDict>> stages;  ///< [stage][rank], names as "model.language_model.…"
    std::vector<std::string> chunks;              ///< "model", or "model0", "model1" … with a virtual pipeline
    Json args;
    Json kept_args = Json::object();     ///< the same with Python's types, for a reshard
    std::vector<std::string> left_args;  ///< names of arguments that hold classes, which no reshard keeps
    double checkpoint_version = 0;
    std::optional<Iteration> iteration;
};

inline std::vector<std::string> chunk_keys(const pickle::Value& root, const std::string& file) {
    if (root.find("model")) return {"model"};
    std::vector<std::string> keys;
    while (root.find(text("model", keys.size()))) keys.push_back(text("model", keys.size()));
    if (keys.empty()) throw Error(text(file, ": holds neither 'model' nor 'model0'; it is no Megatron checkpoint"));
    return keys;
}

inline TensorDict model_tensors(const pickle::Value& root, const std::vector<std::string>& chunks,
                                const std::string& file) {
    TensorDict dict;
    for (const std::string& chunk : chunks) {
        const pickle::Value* model = root.find(chunk);
        if (!model) throw Error(text(file, ": '", chunk, "' is missing, another rank has it"));
        const TensorDict tensors = torch::tensors(*model, file);
        for (NamedTensor entry : tensors.entries()) {
            entry.name = text(chunk, ".", entry.name);
            dict.add(std::move(entry));
        }
    }
    return dict;
}

inline std::optional<Iteration> stored_iteration(const pickle::Value& root) {
    for (const char* key : {"iteration", "total_iters"}) {
        const pickle::Value* value = root.find(key);
        if (!value) continue;
        if (const std::string* name = value->as_string()) return parse_iteration(*name);
        if (const auto number = value->as_integer(); number && *number >= 0)
            return Iteration{static_cast<std::uint64_t>(*number), false};
    }
    return std::nullopt;
}

/// The attributes of an args Namespace, or the entries of a dict in its place.
inline const std::vector<pickle::Entry>* namespace_attributes(const pickle::Value* args) {
    if (!args) return nullptr;
    const auto* object = args->get<pickle::Object>();
    return object ? object->state.entries() : args->entries();
}

inline MegatronContent read_megatron_files(const MegatronFiles& files) {
    MegatronContent content;
    for (const auto& stage : files.stages) {
        content.stages.emplace_back();
        for (const auto& file : stage) {
            const pickle::Value root = torch::read(file);
            if (content.chunks.empty()) {
                content.chunks = chunk_keys(root, file.string());
                content.args = json_of_namespace(root.find("args"));
                if (const auto* attributes = namespace_attributes(root.find("args")))
                    content.kept_args = kept_args(*attributes, content.left_args);
                content.iteration = stored_iteration(root);
                if (const auto* version = root.find("checkpoint_version"))
                    content.checkpoint_version = version->as_float().value_or(0);
            }
            content.stages.back().push_back(model_tensors(root, content.chunks, file.string()));
        }
    }
    return content;
}

/// Rows of q, k and v in the order of version 2.0 and later.
inline Tensor in_latest_order(const Tensor& rows, double version, const ModelHeader& header, const std::string& name) {
    if (version >= 2.0) return rows;
    if (header.num_query_groups != header.num_attention_heads)
        throw Error(text("tensor '", name, "': checkpoint versions below 2.0 know no grouped queries"));
    if (header.kv_channels == 0) throw Error(text("tensor '", name, "': its head size is missing; give --kv_channels"));
    const std::uint64_t count = rows.shape().rank() == 0 ? 0 : rows.shape()[0];
    if (count == 0 || count % 3 != 0 || count / 3 % header.kv_channels != 0)
        throw Error(text("tensor '", name, "' has shape ", rows.shape(), ", expected a multiple of 3 × ",
                         header.kv_channels, " rows"));
    return version < 1.0 ? qkv_from_version_0(rows, header.kv_channels) : qkv_from_version_1(rows, header.kv_channels);
}

/// The same tensors under the names that the dialect's table has.
inline TensorDict in_latest_spelling(const TensorDict& from, const MegatronDialect& dialect, double version,
                                     const ModelHeader& header) {
    TensorDict dict;
    for (NamedTensor entry : from.entries()) {
        for (const auto& [older, latest] : dialect.older_spellings)
            entry.name = replaced(std::move(entry.name), older, latest);
        if (entry.name.find(".query_key_value.") != std::string::npos)
            entry.tensor = in_latest_order(entry.tensor, version, header, entry.name);
        dict.add(std::move(entry));
    }
    return dict;
}

}  // namespace crossdock::detail
