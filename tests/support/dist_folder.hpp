// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "crossdock/container/dcp/metadata_reader.hpp"
#include "crossdock/container/dcp/metadata_writer.hpp"
#include "crossdock/container/torch/reader.hpp"
#include "crossdock/container/torch/writer.hpp"
#include "crossdock/plugin/megatron/args_in_pickle.hpp"
#include "support/conversion.hpp"

namespace crossdock::test {

/// A copy of a golden torch_dist checkpoint that tests change.
class DistFolder {
public:
    explicit DistFolder(std::string_view name) : root_(copied("megatron-dist/" + std::string(name), scratch_)) {
        for (const auto& entry : std::filesystem::directory_iterator(root_))
            if (entry.is_directory()) directory_ = entry.path();
    }

    const std::filesystem::path& root() const { return root_; }
    /// Of the iteration.
    const std::filesystem::path& directory() const { return directory_; }
    std::filesystem::path operator/(const char* name) const { return directory_ / name; }

    /// Writes the index anew.
    void edit_index(const std::function<void(dcp::Metadata&)>& edit) const {
        dcp::Metadata metadata = dcp::read_metadata(directory_ / ".metadata");
        edit(metadata);
        std::filesystem::remove(directory_ / ".metadata");
        dcp::write_metadata(directory_ / ".metadata", metadata);
    }

    /// Changes one tensor in the index.
    void edit_tensor(const std::string& name, const std::function<void(dcp::TensorItem&)>& edit) const {
        edit_index([&](dcp::Metadata& metadata) { edit(tensor(metadata, name)); });
    }

    /// Renames tensors in the index; the first name that fits counts.
    void rename(const std::function<std::string(const std::string&)>& name) const {
        edit_index([&](dcp::Metadata& metadata) {
            for (dcp::TensorItem& item : metadata.tensors) item.name = name(item.name);
        });
    }

    /// Writes common.pt anew: the arguments that `edit` leaves, and what else there is.
    void edit_common(const std::function<void(Json& args)>& edit, const pickle::Value& content_metadata = {}) const {
        const auto file = directory_ / "common.pt";
        const pickle::Value root = torch::read(file);
        Json args = read_args(root.find("args")).values;
        edit(args);
        std::filesystem::remove(file);
        torch::Writer writer(file);
        writer.put("args", namespace_of_json(args));
        writer.put("checkpoint_version", 3.0);
        writer.put("iteration", std::int64_t{1});
        if (!content_metadata.is_none()) writer.put("content_metadata", content_metadata);
        writer.finish();
    }

    static dcp::TensorItem& tensor(dcp::Metadata& metadata, const std::string& name) {
        const auto found = std::find_if(metadata.tensors.begin(), metadata.tensors.end(),
                                        [&](const dcp::TensorItem& item) { return item.name == name; });
        if (found == metadata.tensors.end()) throw Error("no " + name);
        return *found;
    }

private:
    TemporaryDirectory scratch_;
    std::filesystem::path root_, directory_;
};

}  // namespace crossdock::test
