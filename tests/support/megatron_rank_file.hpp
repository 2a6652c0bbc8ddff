// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "crossdock/container/torch/reader.hpp"
#include "crossdock/container/torch/writer.hpp"
#include "support/conversion.hpp"

namespace crossdock::test {

/// The file of a rank below a checkpoint's root.
inline std::filesystem::path rank_file(const std::filesystem::path& root, std::string_view rank) {
    for (const auto& file : std::filesystem::recursive_directory_iterator(root))
        if (file.path().parent_path().filename() == rank && file.path().extension() == ".pt") return file.path();
    throw std::runtime_error("no rank " + std::string(rank));
}

/// What one rank's file holds.
struct RankFile {
    pickle::Value args, version, iteration;
    std::string chunk = "model";  ///< empty: the tensors lie in no entry
    std::vector<NamedTensor> tensors{};

    NamedTensor& tensor(const std::string& name) {
        for (NamedTensor& entry : tensors)
            if (entry.name == name) return entry;
        throw Error("no " + name);
    }
    void set_arg(const char* name, pickle::Value value) {
        auto& entries = args.edit<pickle::Object>()->state.edit<pickle::Dict>()->entries;
        for (pickle::Entry& entry : entries)
            if (*entry.key.as_string() == name) return void(entry.value = value);
        entries.push_back({pickle::Value(name), value});
    }
};

inline pickle::Value or_none(const pickle::Value* value) { return value ? *value : pickle::Value(); }

/// Writes a rank's file anew.
inline void edit_rank(const std::filesystem::path& file, const std::function<void(RankFile&)>& edit) {
    const auto edited = file.parent_path() / "edited.pt";
    {
        const pickle::Value root = torch::read(file);
        RankFile rank;
        rank.args = or_none(root.find("args"));
        rank.version = or_none(root.find("checkpoint_version"));
        rank.iteration = or_none(root.find("iteration"));
        const TensorDict dict = torch::tensors(*root.find("model"), file.string());
        rank.tensors = dict.entries();
        edit(rank);
        torch::Writer writer(edited);
        if (!rank.args.is_none()) writer.put("args", rank.args);
        if (!rank.version.is_none()) writer.put("checkpoint_version", rank.version);
        if (!rank.iteration.is_none()) writer.put("iteration", rank.iteration);
        for (const NamedTensor& entry : rank.tensors)
            add_tensor(writer, (rank.chunk.empty() ? "" : rank.chunk + "/") + entry.name, entry.tensor);
        writer.finish();
    }
    std::filesystem::rename(edited, file);
}

}  // namespace crossdock::test
