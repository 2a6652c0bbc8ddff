// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/container/dcp/reader.hpp"
#include "crossdock/container/path_kind.hpp"
#include "crossdock/container/torch/reader.hpp"
#include "crossdock/plugin/megatron/content.hpp"
#include "crossdock/plugin/megatron/dist_folder.hpp"
#include "crossdock/plugin/megatron/dist_storage.hpp"
#include "crossdock/plugin/megatron/dist_tensors.hpp"
#include "crossdock/plugin/megatron/files.hpp"

namespace crossdock::detail {

/// What a distributed checkpoint stores once for all ranks, and the file that holds it: common.pt, or since core_v0.19
/// an item, a list with the same dict (megatron/core/dist_checkpointing/strategies/common.py). None: neither is there.
struct CommonState {
    std::string file;
    pickle::Value root;
};

inline CommonState read_common_state(const dcp::Reader& reader, const std::filesystem::path& directory) {
    if (const auto common = directory / "common.pt"; is_anything_at(common))
        return {common.string(), torch::read(common)};
    const std::string index = (directory / dist_index_name).string();
    for (const dcp::BytesItem& item : reader.metadata().bytes) {
        if (!item.name.starts_with("common_state/")) continue;
        const std::string file = to_text(index, ": '", item.name, "'");
        const pickle::Value list = reader.value(item);
        const auto* items = list.items();
        if (!items || items->size() != 1 || !items->front().entries())
            throw Error(to_text(file, " is ", list.describe(), ", expected a list with one dict"));
        return {file, items->front()};
    }
    return {index, {}};
}

/// Throws Error where content_metadata says another spelling than the tensors have: one of the two is of another save.
inline void check_content_metadata(const CommonState& common, const DistTensors& tensors) {
    const pickle::Value* stated = common.root.find("content_metadata");
    const auto says = [&](std::string_view key, bool value) {
        const pickle::Value* found = stated ? stated->find(key) : nullptr;
        return found && found->as_bool() == value;
    };
    const auto contradict = [&](std::string_view what) {
        throw Error(to_text(common.file, ": content_metadata says ", what,
                            "; the files are of different checkpoints, or one is damaged"));
    };
    if (tensors.has_halves() && says("singleton_local_shards", false))
        contradict("singleton_local_shards False, but gate and up are stored apart (weight_w, weight_v)");
    if (tensors.is_stacked() && says("non_homogeneous_layers", true))
        contradict("non_homogeneous_layers True, but layers are stored in one tensor");
}

/// Reads a distributed checkpoint as if one rank held the whole model. Throws Error naming the file where one is damaged
/// or no Megatron's.
inline MegatronContent read_dist_files(const MegatronFiles& files) {
    const dcp::Reader reader(files.directory);
    const CommonState common = read_common_state(reader, files.directory);
    DistTensors tensors((files.directory / dist_index_name).string());
    for (const dcp::TensorItem& item : reader.metadata().tensors)
        if (kind_beside_model(item.name).empty()) tensors.add(item.name, reader.tensor(item));
    check_content_metadata(common, tensors);
    MegatronContent content{.chunks = {"model"}};
    add_rank({}, common.file, common.root, content).tensors = std::move(tensors).take();
    DistInventory inventory(reader.metadata());
    content.beside = inventory.beside_model();
    content.distributed = std::move(inventory).take();
    return content;
}

}  // namespace crossdock::detail
