// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "crossdock/container/json.hpp"
#include "crossdock/container/json_text.hpp"
#include "crossdock/container/path_kind.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/text.hpp"

namespace crossdock::detail {

// Megatron-Core's distributed format, torch_dist:
//     .metadata                                 what PyTorch's distributed checkpoints are read by
//     __0_0.distcp, __0_1.distcp …              the weights
//     common.pt                                 what is not cut, args say; in .distcp files since core_v0.19
//     metadata.json                             the format's name and version, written last
// (megatron/core/dist_checkpointing/core.py)

inline constexpr std::string_view dist_index_name = ".metadata", dist_format_name = "metadata.json";

/// Whether both of the files are there without which nothing else can be read.
inline bool is_torch_dist(const std::filesystem::path& directory) {
    return is_file_at(directory / dist_index_name) && is_file_at(directory / dist_format_name);
}

/// Throws Error where metadata.json names another format than torch_dist, or a version that is not known.
inline void require_known_backend(const std::filesystem::path& directory) {
    const auto file = directory / dist_format_name;
    const Json json = read_json_object(file);
    const auto stated = [&](const char* key) { return json.contains(key) ? json[key] : Json(nullptr); };
    const Json backend = stated("sharded_backend");
    if (backend == Json("zarr"))
        throw Error(to_text(directory.string(),
                            ": is a distributed checkpoint of the old zarr format, which is not read; load it with "
                            "the Megatron-Core that wrote it and save it with --ckpt-format torch_dist"));
    if (backend != Json("torch_dist"))
        throw Error(to_text(file.string(), ": 'sharded_backend' is ", json_shown(backend),
                            ", expected \"torch_dist\"; it is a distributed checkpoint of a format that is not read; "
                            "save it with --ckpt-format torch_dist"));
    for (const char* key : {"sharded_backend_version", "common_backend_version"}) {
        const Json version = stated(key);
        const bool may_be_missing = key == std::string_view("common_backend_version");
        if (version != Json(1) && !(may_be_missing && version.is_null()))
            throw Error(to_text(file.string(), ": '", key, "' is ", json_shown(version),
                                ", expected 1; a newer Megatron-Core wrote it in a way that is not known here"));
    }
}

}  // namespace crossdock::detail
