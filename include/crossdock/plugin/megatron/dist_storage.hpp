// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "crossdock/container/dcp/metadata.hpp"
#include "crossdock/core/text.hpp"
#include "crossdock/plugin/storage.hpp"

namespace crossdock::detail {

/// What an item of Megatron-Core's distributed checkpoint is beside the model's weights: "optimizer", "rng state"…;
/// empty for a weight. Chained optimizers have their number in front: "chained_0.optimizer.state.…".
inline std::string_view kind_beside_model(std::string_view item) {
    constexpr std::array<std::pair<std::string_view, std::string_view>, 6> kinds{
        {{"optimizer", "optimizer"},
         {"opt_param_scheduler", "scheduler"},
         {"rng_state", "rng state"},
         {"rerun_state_machine_state", "rerun state"},
         {"common_state", "common state"},
         {"_extra_state", "extra state"}}};
    for (const auto& [part, kind] : kinds)
        for (std::size_t at = item.find(part); at != item.npos; at = item.find(part, at + 1)) {
            const std::string_view rest = item.substr(at + part.size());
            const bool begins = at == 0 || item[at - 1] == '.', ends = rest.empty() || rest[0] == '.' || rest[0] == '/';
            if (begins && ends) return kind;
        }
    return {};
}

/// How many chunks lie along each axis; empty where they form no grid.
inline std::vector<std::uint64_t> grid_of(const dcp::TensorItem& item) {
    std::vector<std::uint64_t> grid;
    std::uint64_t cells = 1;
    for (std::size_t axis = 0; axis < item.shape.rank(); ++axis) {
        std::set<std::uint64_t> begins;
        for (const dcp::Chunk& chunk : item.chunks) begins.insert(chunk.offsets[axis]);
        grid.push_back(begins.size());
        cells *= begins.size();  // at most chunks to the power of axes, and a wrong product only hides the grid
    }
    if (cells != item.chunks.size()) grid.clear();
    return grid;
}

/// Counts what a distributed checkpoint holds, by kinds.
class DistInventory {
public:
    explicit DistInventory(const dcp::Metadata& metadata) {
        for (const dcp::TensorItem& item : metadata.tensors) add(item);
        for (const dcp::BytesItem& item : metadata.bytes) {
            const std::string_view kind = kind_beside_model(item.name);
            count(kind.empty() ? "other objects" : kind, item.place);
        }
        storage_.files = files_.size();
    }

    const std::vector<SourceTensor>& beside_model() const noexcept { return beside_; }
    DistributedStorage take() && { return std::move(storage_); }

private:
    void add(const dcp::TensorItem& item) {
        const std::string_view kind = kind_beside_model(item.name);
        StoredKind& stored = this->kind(kind.empty() ? model : kind);
        ++stored.items;
        stored.chunks += item.chunks.size();
        std::uint64_t bytes = 0;
        for (const dcp::Chunk& chunk : item.chunks) {
            bytes += chunk.place.length;
            files_.insert(chunk.place.file.str());
        }
        stored.bytes += bytes;
        if (kind.empty())
            storage_.tensors.push_back({item.name, item.shape, item.chunks.size(), grid_of(item)});
        else
            beside_.push_back({.name = item.name,
                               .file = item.chunks.empty() ? std::string() : item.chunks.front().place.file.str(),
                               .dtype = item.dtype,
                               .use = TensorUse::ignored,
                               .shape = item.shape,
                               .bytes = bytes,
                               .why = to_text("not of the model: ", kind)});
    }

    void count(std::string_view kind, const dcp::Place& place) {
        StoredKind& stored = this->kind(kind);
        ++stored.items;
        stored.bytes += place.length;
        files_.insert(place.file.str());
    }

    StoredKind& kind(std::string_view name) {
        auto& kinds = storage_.kinds;
        const auto found =
            std::find_if(kinds.begin(), kinds.end(), [&](const StoredKind& each) { return each.kind == name; });
        return found != kinds.end() ? *found : kinds.emplace_back(StoredKind{.kind = std::string(name)});
    }

    static constexpr std::string_view model = "model";
    DistributedStorage storage_{.files = 0, .kinds = {{.kind = std::string(model)}}, .tensors = {}};
    std::vector<SourceTensor> beside_;
    std::unordered_set<std::string_view> files_;
};

}  // namespace crossdock::detail
