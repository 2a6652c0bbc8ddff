// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <vector>

#include "crossdock/container/dcp/writer.hpp"
#include "crossdock/container/pickle/value.hpp"
#include "crossdock/container/tensor_writer.hpp"
#include "crossdock/container/text_file.hpp"
#include "crossdock/container/torch/writer.hpp"
#include "crossdock/core/checked.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/text.hpp"
#include "crossdock/family/apply_table.hpp"
#include "crossdock/family/megatron/dialects.hpp"
#include "crossdock/family/megatron/dist_names.hpp"
#include "crossdock/family/megatron/mtp.hpp"
#include "crossdock/family/tensor_table.hpp"
#include "crossdock/plugin/megatron/target.hpp"
#include "crossdock/protocol/model_header.hpp"

namespace crossdock::detail {

/// How tensor-parallel ranks share what a distributed checkpoint stores under one name.
struct RankShare {
    std::optional<std::size_t> axis{};  ///< each rank holds a part along it; none: all hold the same
    /// How many of the message's fields lie one below the other on axis 0 (gate and up). A rank's rows of one field do
    /// not touch those of the next in the whole, so each is a chunk of its own.
    std::uint64_t fields = 1;
};

/// Along which axis of a stored tensor the ranks that it is written for have parts. An expert's lacks the axis on which
/// the message has all of them.
inline std::optional<std::size_t> shared_axis(const Cuts& cuts, std::string_view pattern) {
    if (!numbers_elements(pattern)) return cuts.of(Group::tensor).axis;
    const auto axis = cuts.of(Group::expert_tensor).axis;
    return axis ? std::optional(*axis - 1) : std::nullopt;
}

/// Calls visit(row, index, times) for each row that stores something of a model's messages. Layers that are alike are
/// visited once: `index` is the first of them, `times` how many there are.
template <class Visit>
void for_each_stored_row(const TensorTable& table, const ModelHeader& header, Visit&& visit) {
    for_each_message_type([&]<class M>() {
        const auto visit_rows = [&](std::uint64_t index, std::uint64_t times) {
            for (const Row<M>& row : table.rows<M>())
                if (row.counts_in(header, index) && !blank_fields(row, header, index).empty()) visit(row, index, times);
        };
        if constexpr (!std::is_same_v<M, TransformerLayer>) return visit_rows(0, 1);
        const auto behind = header.other_layers.lower_bound(header.num_layers);
        for (auto other = header.other_layers.begin(); other != behind; ++other) visit_rows(other->first, 1);
        std::uint64_t first = 0;
        while (header.other_layers.contains(first)) ++first;
        const auto others = static_cast<std::uint64_t>(std::distance(header.other_layers.begin(), behind));
        if (first < header.num_layers) visit_rows(first, header.num_layers - others);
        for (std::uint64_t layer = header.num_layers; layer < all_layers(header); ++layer) visit_rows(layer, 1);
    });
}

/// By the names in the distributed checkpoint, what a model of this header stores.
inline std::unordered_map<std::string, RankShare> rank_shares(const TensorTable& table, const ModelHeader& header,
                                                              const std::vector<LayerPlace>& layers, bool keeps_norms) {
    std::unordered_map<std::string, RankShare> shares;
    for_each_stored_row(table, header, [&](const auto& row, std::uint64_t index, std::uint64_t) {
        const std::uint64_t fields = row.names.size() == 1 ? row.fields.size() : 1;
        for (const std::string& pattern : row.names)
            shares[dist_name(layers[index].scope.name(pattern), keeps_norms).name] = {shared_axis(row.cuts, pattern),
                                                                                      fields};
    });
    return shares;
}

/// Where the layers of a distributed checkpoint stand: all in one place, those that predict further tokens behind.
inline std::vector<LayerPlace> dist_places(const ModelHeader& header) {
    std::vector<LayerPlace> places;
    for (std::uint64_t layer = 0; layer < header.num_layers; ++layer) places.push_back({0, {.layer = layer}});
    for (std::uint64_t index = 0; index < header.mtp_num_layers; ++index)
        places.push_back({0, mtp_scope("", index, MtpLayerName::transformer_layer)});
    return places;
}

/// The bytes of a model's weights, if all are of its params_dtype.
inline std::uint64_t weight_bytes(const TensorTable& table, const ModelHeader& header) {
    std::uint64_t elements = 0;
    for_each_stored_row(table, header, [&](const auto& row, std::uint64_t index, std::uint64_t times) {
        for (const Tensor& field : blank_fields(row, header, index))
            elements = checked_add(elements, checked_multiply(times, field.element_count(), "elements of a model"),
                                   "elements of a model");
    });
    return checked_multiply(elements, item_size(header.params_dtype), "bytes of a model");
}

/// Whether some of the decoder's layers have experts and others do not.
inline bool has_mixed_layers(const ModelHeader& header) {
    return std::any_of(header.other_layers.begin(), header.other_layers.end(), [&](const auto& other) {
        return !is_mtp_layer(header, other.first) &&
               has_experts(mlp_of(header, other.first)) != has_experts(header.mlp);
    });
}

/// One tensor-parallel rank: what rank files would hold, as chunks of the whole model's tensors.
class DistRank final : public TensorWriter {
public:
    struct Grid {
        std::uint64_t ranks, layers, experts;
        bool keeps_norms;       ///< as dist_name() does
        bool layers_are_apart;  ///< each layer's tensors stand by themselves
        std::unordered_map<std::string, RankShare> shares;

        /// Under which name a layer's tensor stands.
        DistName placed(const DistName& name) const { return layers_are_apart ? by_itself(name) : name; }
    };

    DistRank(dcp::Writer& files, const Grid& grid, std::uint64_t rank) : files_(files), grid_(grid), rank_(rank) {}

    /// Null where rank 0 stores it for all.
    std::shared_ptr<TensorSlot> add(const std::string& name, DType dtype, const Shape& shape) override {
        const DistName stacked = dist_name(name, grid_.keeps_norms), dist = grid_.placed(stacked);
        const auto found = grid_.shares.find(stacked.name);
        if (found == grid_.shares.end()) throw Error(to_text("the header speaks of no tensor '", name, "'"));
        const RankShare& share = found->second;
        if (!share.axis && rank_ > 0) return nullptr;
        std::vector<std::shared_ptr<TensorSlot>> slots;
        for (std::uint64_t field = 0; field < share.fields; ++field)
            slots.push_back(add_field(dist, share, field, dtype, shape));
        if (slots.size() == 1) return slots.front();
        const std::uint64_t bytes = shape.element_count() * item_size(dtype);
        return std::make_shared<StackedSlots>(std::move(slots), bytes / share.fields);
    }

    void finish() override {}  // the ranks share their files

private:
    std::shared_ptr<TensorSlot> add_field(const DistName& name, const RankShare& share, std::uint64_t field,
                                          DType dtype, const Shape& shape) {
        const std::size_t axes = share.axis ? *share.axis + 1 : share.fields > 1 ? 1 : 0;
        if (shape.rank() < axes)
            throw Error(to_text("tensor '", name.name, "' has ", shape.rank(), " axes, expected at least ", axes));
        std::vector<std::uint64_t> sizes, whole, offsets;
        for (auto* extents : {&sizes, &whole, &offsets}) extents->reserve(shape.rank() + 2);
        const auto add_axis = [&](std::uint64_t size, std::uint64_t all, std::uint64_t offset) {
            sizes.push_back(size);
            whole.push_back(all);
            offsets.push_back(offset);
        };
        if (name.layer) add_axis(1, grid_.layers, *name.layer);
        if (name.expert) add_axis(1, grid_.experts, *name.expert);
        for (std::size_t axis = 0; axis < shape.rank(); ++axis) {
            const std::uint64_t fields = axis == 0 ? share.fields : 1, ranks = share.axis == axis ? grid_.ranks : 1;
            const std::uint64_t size = fields > 1 ? checked_divide(shape[0], fields, "rows of a stack") : shape[axis];
            const std::uint64_t rank = ranks > 1 ? rank_ : 0;
            add_axis(size, size * ranks * fields, (axis == 0 ? field * ranks + rank : rank) * size);
        }
        return files_.add_chunk(name.name, dtype, Shape(whole), offsets, Shape(sizes));
    }

    dcp::Writer& files_;
    const Grid& grid_;
    std::uint64_t rank_;
};

/// A distributed checkpoint: Megatron-Core's format "torch_dist". Pipeline stages leave no trace in it, and
/// tensor-parallel ranks none but the sizes of its chunks: Megatron-Core loads it at any size.
class DistTarget final : public IterationFiles {
public:
    /// The norms in front of experts keep the names of their own that Transformer Engine's layers give them where
    /// `keeps_norms`.
    DistTarget(const MegatronDialect& dialect, const ModelHeader& header, std::uint64_t ranks, std::uint64_t files,
               bool keeps_norms, SavedState common)
        : layers_(dist_places(header)),
          grid_{ranks,       header.num_layers,        header.mlp.experts.num_experts,
                keeps_norms, has_mixed_layers(header), rank_shares(dialect.table, header, layers_, keeps_norms)},
          header_(header),
          placeholders_(megatron_core_te(is_bert(header)).layer_placeholders),
          file_count_(files),
          common_(std::move(common)) {}

    TargetCheckpoint open(const OutputPath& folder) override {
        folder_.emplace(folder);
        files_.emplace(folder, file_count_);
        TargetCheckpoint target{.layers = layers_};
        for (std::uint64_t rank = 0; rank < grid_.ranks; ++rank)
            target.writers[{.tensor = rank, .expert_tensor = rank}] = std::make_unique<DistRank>(*files_, grid_, rank);
        return target;
    }

    void add_rest() override {
        add_placeholders();
        files_->write_index();
    }

    /// metadata.json comes last: it says that the rest is there.
    void close() override {
        files_->finish();
        write_common();
        write_text(*folder_ / "metadata.json", R"({"sharded_backend": "torch_dist", "sharded_backend_version": 1, )"
                                               R"("common_backend": "torch", "common_backend_version": 1})");
    }

private:
    /// Megatron-Core asks for each linear's _extra_state by its layer, whichever layers it has; it is [None] where
    /// there is none to restore (core/dist_checkpointing/strategies/torch.py, _mcore_to_torch_sharded_object).
    void add_placeholders() {
        const pickle::Value none = pickle::List{{pickle::Value()}};
        for (std::uint64_t layer = 0; layer < layers_.size(); ++layer)
            for (const std::string& pattern : placeholders_of(placeholders_, header_, layer, grid_.experts))
                files_->put(shard_name(grid_.placed(dist_name(layers_[layer].scope.name(pattern), grid_.keeps_norms))),
                            none);
    }

    /// "…/shard_0.3_2.8": its place along each of the axes in front, and how long these are.
    std::string shard_name(const DistName& name) const {
        const auto joined = [](const std::string& a, const std::string& b) { return a.empty() ? b : a + '.' + b; };
        std::string at, of;
        if (name.layer) at = std::to_string(*name.layer), of = std::to_string(grid_.layers);
        if (name.expert) at = joined(at, std::to_string(*name.expert)), of = joined(of, std::to_string(grid_.experts));
        return to_text(name.name, "/shard_", at.empty() ? "0" : at, '_', of.empty() ? "1" : of);
    }

    /// What Megatron-Core saves beside the shards. content_metadata says how the tensors are named.
    void write_common() {
        torch::Writer common(*folder_ / "common.pt");
        common.put("args", common_.args);
        common.put("checkpoint_version", common_.checkpoint_version);
        common.put("iteration", common_.iteration);
        common.put("content_metadata/singleton_local_shards", false);
        if (grid_.layers_are_apart) common.put("content_metadata/non_homogeneous_layers", true);
        common.put("content_metadata/chained_optim_avoid_prefix", true);
        common.finish();
    }

    std::vector<LayerPlace> layers_;
    DistRank::Grid grid_;
    ModelHeader header_;
    std::vector<LayerPlaceholder> placeholders_;
    std::uint64_t file_count_;
    SavedState common_;
    std::optional<OutputPath> folder_;
    std::optional<dcp::Writer> files_;
};

}  // namespace crossdock::detail
