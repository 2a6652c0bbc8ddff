// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>

#include "crossdock/container/directory_tree.hpp"
#include "crossdock/container/path_kind.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/text.hpp"
#include "crossdock/plugin/megatron/dist_folder.hpp"

namespace crossdock::detail {

/// What a directory holds of formats that are refused by their name.
struct OtherFormats {
    std::filesystem::path deepspeed{};  ///< a file of DeepSpeed's
    bool has_shards = false;            ///< .distcp files
    bool has_index = false;             ///< the .metadata of a distributed checkpoint
    bool has_format = false;            ///< the metadata.json of Megatron-Core's

    bool any() const { return !deepspeed.empty() || has_shards || has_index; }
};

inline OtherFormats other_formats(const std::filesystem::path& directory) {
    OtherFormats found{.has_index = is_anything_at(directory / dist_index_name),
                       .has_format = is_anything_at(directory / dist_format_name)};
    for (const std::string& name : names_in(directory)) {
        if (name.ends_with("model_states.pt")) found.deepspeed = directory / name;
        if (name.ends_with(".distcp")) found.has_shards = true;
    }
    return found;
}

/// Throws Error for a directory in a format that is not read, or with a distributed checkpoint that is not whole.
inline void refuse_other_formats(const std::filesystem::path& directory) {
    const auto refuse = [&](std::string_view what) { throw Error(to_text(directory.string(), ": ", what)); };
    const OtherFormats found = other_formats(directory);
    if (found.has_format) {
        require_known_backend(directory);
        refuse(
            "holds a metadata.json of torch_dist but no .metadata, which says where each tensor lies; its name begins "
            "with a dot, so that copying with * leaves it out; copy it too");
    }
    if (!found.deepspeed.empty())
        throw Error(to_text(found.deepspeed.string(),
                            ": is DeepSpeed's, whose files are not read; convert the checkpoint with "
                            "Megatron-DeepSpeed's tools/convert_checkpoint/deepspeed_to_megatron.py first, or run "
                            "the zero_to_fp32.py that lies beside that of a Hugging Face model"));
    if (found.has_index)
        refuse(
            "is a distributed checkpoint of PyTorch (.metadata) without the metadata.json that Megatron-Core writes "
            "last: it is that of FSDP or another program, which is not read (python -m "
            "torch.distributed.checkpoint.format_utils dcp_to_torch joins it), or of a save that was interrupted; "
            "then choose an earlier iteration with the option load_iters");
    if (found.has_shards)
        refuse(
            "holds .distcp files without .metadata and metadata.json, which are written last: the save was interrupted "
            "or is still going on; choose an earlier iteration with the option load_iters");
}

}  // namespace crossdock::detail
