// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "crossdock/container/descriptor.hpp"
#include "crossdock/container/directory_tree.hpp"
#include "crossdock/container/foreign_files.hpp"
#include "crossdock/container/path_kind.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/source.hpp"
#include "crossdock/core/text.hpp"

namespace crossdock {

// What a folder is that is given as a checkpoint and is not one, by the names in it, and what to do about it.

namespace detail {

/// A name with at most one "*" in it.
inline bool matches(std::string_view name, std::string_view pattern) {
    const std::size_t star = pattern.find('*');
    if (star == pattern.npos) return name == pattern;
    const std::string_view ending = pattern.substr(star + 1);
    return name.size() >= pattern.size() - 1 && name.starts_with(pattern.substr(0, star)) && name.ends_with(ending);
}

/// The first name of the pattern; empty when there is none.
inline std::string find_name(std::span<const std::string> names, std::string_view pattern) {
    const auto found =
        std::find_if(names.begin(), names.end(), [&](const auto& name) { return matches(name, pattern); });
    return found == names.end() ? std::string() : *found;
}

/// Whether the names are those of a folder with a model that some loader may read.
inline bool holds_model(std::span<const std::string> names) {
    constexpr std::array marks{"config.json", "params.json", "latest_checkpointed_iteration.txt", "mp_rank_*"};
    return std::any_of(marks.begin(), marks.end(), [&](const char* mark) { return !find_name(names, mark).empty(); });
}

/// What a folder with such a name in it is.
struct ForeignMark {
    std::string_view pattern;
    std::string_view what;
};

inline constexpr std::string_view tf_weights =
    "holds weights of TensorFlow, which are not read; get the safetensors files";
inline constexpr std::string_view onnx_weights =
    "holds an exported graph, which is not read; get the safetensors files";
inline constexpr std::string_view archive = "holds an archive; unpack it and give the folder with the model";

/// In order: what says more about a folder comes first.
inline constexpr std::array foreign_marks{
    ForeignMark{"adapter_config.json",
                "holds a LoRA adapter and no model; merge it first (peft: merge_and_unload(), then "
                "save_pretrained()) and give the folder of the merged model"},
    ForeignMark{"adapter_model.*",
                "holds a LoRA adapter and no model; merge it first (peft: merge_and_unload(), then "
                "save_pretrained()) and give the folder of the merged model"},
    ForeignMark{"zero_to_fp32.py",
                "is a DeepSpeed checkpoint; run the script in it, which writes pytorch_model.bin, and "
                "put the model's config.json beside that"},
    ForeignMark{"zero_pp_rank_*", "is a DeepSpeed checkpoint; its zero_to_fp32.py writes a pytorch_model.bin"},
    ForeignMark{"mp_rank_*_model_states.pt",
                "is a DeepSpeed checkpoint; its zero_to_fp32.py writes a pytorch_model.bin"},
    ForeignMark{"global_step*", "is a DeepSpeed checkpoint; its zero_to_fp32.py writes a pytorch_model.bin"},
    ForeignMark{"*.distcp",
                "is a distributed checkpoint, of FSDP say, without the metadata.json of Megatron-Core's; python -m "
                "torch.distributed.checkpoint.format_utils dcp_to_torch joins it"},
    ForeignMark{"pytorch_model_fsdp*", "is an FSDP checkpoint; accelerate merge-weights joins it"},
    ForeignMark{"*_world_size_*_rank_*.pt", "is an FSDP checkpoint in parts, one for each rank; join it first"},
    ForeignMark{"model_index.json",
                "is a pipeline of diffusers, no language model; one of its parts may be a folder to give"},
    ForeignMark{"*.gguf",
                "holds a GGUF file of llama.cpp, which is not read; give the Hugging Face folder that it was "
                "made from"},
    ForeignMark{"lit_model.pth", "is a model of LitGPT; litgpt convert_from_litgpt writes one for Hugging Face"},
    ForeignMark{"tf_model*.h5", tf_weights},
    ForeignMark{"*.h5", tf_weights},
    ForeignMark{"*.ckpt.index", tf_weights},
    ForeignMark{"saved_model.pb", tf_weights},
    ForeignMark{"flax_model*.msgpack", "holds weights of Flax, which are not read; get the safetensors files"},
    ForeignMark{"*.onnx", onnx_weights},
    ForeignMark{"openvino_model*.xml", onnx_weights},
    ForeignMark{"rust_model.ot", "holds weights of rust-bert, which are not read; get the safetensors files"},
    ForeignMark{"*.mlmodel", onnx_weights},
    ForeignMark{"*.npz", "holds arrays of NumPy (perhaps of MLX), which are not read; get the safetensors files"},
    ForeignMark{"model_weights",
                "is an unpacked .nemo file, which is not read; export the model to Hugging Face with NeMo"},
    ForeignMark{"*.nemo", "holds a .nemo file, which is not read; export the model to Hugging Face with NeMo"},
    ForeignMark{"*.incomplete", "holds a download that did not finish; run it again"},
    ForeignMark{"*.zip", archive},
    ForeignMark{"*.tar", archive},
    ForeignMark{"*.gz", archive},
    ForeignMark{"*.xz", archive},
    ForeignMark{"*.zst", archive},
    ForeignMark{"*.tgz", archive},
    ForeignMark{"*.7z", archive},
};

/// The folder of a hub cache entry that its main branch names, or the only one.
inline std::string cache_snapshot(const std::filesystem::path& root) {
    std::vector<std::string> snapshots = names_in(root / "snapshots");
    if (const auto main = root / "refs" / "main"; is_anything_at(main)) {
        const FileSource file(main);
        std::string name(static_cast<std::size_t>(std::min<std::uint64_t>(file.size(), 64)), '\0');
        file.read(0, std::as_writable_bytes(std::span(name)));
        name = first_line(name);
        if (std::find(snapshots.begin(), snapshots.end(), name) != snapshots.end()) return "snapshots/" + name;
    }
    if (snapshots.empty()) return {};
    return "snapshots/" + joined_list(snapshots, " or snapshots/");
}

/// Folders in `directory`, two deep, that hold a model.
inline std::vector<std::string> models_below(const std::filesystem::path& directory, std::span<const std::string> names,
                                             int depth = 2) {
    std::vector<std::string> found;
    for (const std::string& name : names) {
        const auto below = directory / name;
        std::vector<std::string> inner;
        try {
            if (!is_directory_at(below)) continue;
            inner = names_in(below);
        } catch (const Error&) {
            continue;  // no permission, a link in a circle: another folder may do
        }
        if (holds_model(inner))
            found.push_back(name);
        else if (std::find(inner.begin(), inner.end(), "snapshots") != inner.end())
            found.push_back(to_text(name, '/', cache_snapshot(below)));
        else if (depth > 1)
            for (const std::string& deeper : models_below(below, inner, depth - 1))
                found.push_back(to_text(name, '/', deeper));
    }
    return found;
}

inline std::string some_folders(std::vector<std::string> folders) {
    constexpr std::size_t shown = 4;
    const std::size_t count = folders.size();
    folders.resize(std::min(count, shown));
    return count > shown ? to_text(joined_list(folders), " and ", count - shown, " more") : joined_list(folders);
}

/// Whether a file may be one of a checkpoint's, by its ending.
inline bool is_file_of_model(const std::filesystem::path& file) {
    constexpr std::array endings{".json", ".safetensors", ".bin", ".pt", ".pth"};
    return std::any_of(endings.begin(), endings.end(), [&](const char* ending) { return file.extension() == ending; });
}

/// Weights of a model that lacks the file that describes it.
inline std::string half_a_model(std::span<const std::string> names) {
    const bool has_config = !find_name(names, "config.json").empty();
    const bool has_params = !find_name(names, "params.json").empty();
    for (const char* weights : {"consolidated*", "*.safetensors", "*.bin", "*.pth"}) {
        const std::string file = find_name(names, weights);
        if (file.empty() || has_params || (has_config && !file.starts_with("consolidated"))) continue;
        return to_text("holds ", file, " but no ", file.starts_with("consolidated") ? "params.json" : "config.json",
                       ", which says what the model is; put it beside the weights");
    }
    return {};
}

}  // namespace detail

/// What a folder is that is not a checkpoint, or lacks one's weights, and what to do: "holds a LoRA adapter and …".
/// Empty where nothing is recognised. Throws Error where the folder cannot be read.
inline std::string foreign_directory(const std::filesystem::path& directory) {
    const std::vector<std::string> names = detail::names_in(directory);
    if (is_directory_at(directory / "snapshots")) {
        const std::string snapshot = detail::cache_snapshot(directory);
        return snapshot.empty()
                   ? "is the root of a hub cache entry whose snapshots are missing; download the model again"
                   : to_text("is the root of a hub cache entry; the model is in ", snapshot, ", give that folder");
    }
    for (const auto& [pattern, what] : detail::foreign_marks)
        if (const std::string name = detail::find_name(names, pattern); !name.empty())
            return to_text(what, " (found ", name, ")");
    if (std::string half = detail::half_a_model(names); !half.empty()) return half;
    const std::vector<std::string> below = detail::models_below(directory, names);
    if (below.empty()) return {};
    if (below.size() == 1) return to_text("holds no model itself; there is one in ", below[0], ", give that folder");
    return to_text("holds several folders with models, none itself: ", detail::some_folders(below),
                   "; give one of them");
}

/// Throws Error, which says what stands there, when `path` is not a folder that can be read.
inline void require_directory(const std::filesystem::path& path) {
    const auto kind = kind_at(path);
    if (kind == std::filesystem::file_type::directory) {
        detail::names_in(path);
        if (::access(path.c_str(), X_OK) != 0)
            throw detail::file_error(path, "cannot be read", errno);  // but be listed
        return;
    }
    if (kind != std::filesystem::file_type::regular) throw Error(to_text(path.string(), ": is not a directory"));
    const std::string what = detail::is_file_of_model(path) ? std::string() : foreign_content(FileSource(path));
    throw Error(to_text(path.string(), ": is not a directory; ",
                        what.empty() ? "give the folder that holds the file" : to_text("it ", what)));
}

}  // namespace crossdock
