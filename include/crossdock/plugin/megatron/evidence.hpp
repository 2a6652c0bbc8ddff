// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "crossdock/family/evidence.hpp"
#include "crossdock/plugin/megatron/wrappers.hpp"
#include "crossdock/plugin/table_loader.hpp"

namespace crossdock::detail {

/// Layers in the order of the model: chunk by chunk, stage by stage, as many as each one holds.
inline std::vector<LayerPlace> place_layers(const std::vector<StageTensors>& stages,
                                            const std::vector<std::string>& chunks, const TensorTable& table) {
    const std::string pattern(row_of(table, &TransformerLayer::qkv_weight)->names[0]);
    std::vector<LayerPlace> places;
    for (const std::string& chunk : chunks)
        for (std::size_t stage = 0; stage < stages.size(); ++stage) {
            const std::uint64_t count = count_layers(stages[stage], chunk_prefix(chunk, '.'), pattern);
            for (std::uint64_t index = 0; index < count; ++index)
                places.push_back({stage, {chunk_prefix(chunk, '/'), index}});
        }
    return places;
}

/// The header's switches and sizes that the tensors tell better than args, which tools write in part.
class TensorEvidence {
public:
    explicit TensorEvidence(OpenCheckpoint& open) : open_(open), header_(open.header) {}

    void apply(const std::filesystem::path& directory) {
        using L = TransformerLayer;
        const NamedTensor word =
            required_tensor(open_.stages.front(), name_of(&Embeddings::word, open_.first), directory);
        header_.vocab_rows = checked_multiply(word.tensor.shape()[0], ranks(), "vocabulary rows");
        header_.norm = has(&L::input_norm_bias) || has(&L::output_norm_bias) ? NormKind::layer : NormKind::rms;
        header_.parallel_norm = has(&L::mlp_norm_weight);
        header_.parallel_attention = !has(&L::post_norm_weight);
        header_.post_norm = !has(&L::input_norm_weight);
        header_.block_output_norms = has(&L::attention_output_norm_weight);
        // A latent's norm may have the same name.
        header_.attention.qk_norm = has(&L::q_norm_weight) && !is_latent(header_.attention);
        header_.final_norm = has_stored(*open_.table, open_.stages.back(), open_.last, &FinalNorm::weight);
        find_biases(*open_.table, layer_stage(), layer().scope, 0, header_);
        find_mlps(directory);
        find_groups(directory);
        find_embeddings();
        find_heads();
        header_.params_dtype = prevailing_dtype(layer_stage());
    }

private:
    template <class M>
    std::string name_of(std::optional<Tensor> M::*field, const NameScope& scope) const {
        return scope.name(row_of(*open_.table, field)->names[0]);
    }
    const LayerPlace& layer() const { return open_.layers.front(); }
    const StageTensors& layer_stage() const { return open_.stages[layer().stage]; }
    std::uint64_t ranks() const { return open_.stages.front().count(Group::tensor); }
    bool has(std::optional<Tensor> TransformerLayer::*field) const {
        return has_stored(*open_.table, layer_stage(), layer().scope, field);
    }

    const StageTensors& stage_of(const LayerPlace& place) const { return open_.stages[place.stage]; }
    bool has(const LayerPlace& place, std::optional<Tensor> TransformerLayer::*field) const {
        return has_stored(*open_.table, stage_of(place), place.scope, field);
    }
    /// A matrix of a layer, of whose last axis the ranks of a group may each have a part. Throws Error where it is none.
    NamedTensor matrix(const LayerPlace& place, std::optional<Tensor> TransformerLayer::*field,
                       const std::filesystem::path& directory) const {
        NamedTensor found = required_tensor(stage_of(place), name_of(field, place.scope), directory);
        if (found.tensor.shape().rank() != 2 || found.tensor.shape()[1] == 0)
            throw Error(to_text(found.file, ": tensor '", found.name, "' has shape ", found.tensor.shape(),
                                ", expected a matrix"));
        return found;
    }

    /// Which layers have experts; the others have one MLP.
    void find_mlps(const std::filesystem::path& directory) {
        using L = TransformerLayer;
        header_.other_layers.clear();
        std::vector<std::uint64_t> with_experts, dense;
        for (std::uint64_t index = 0; index < open_.layers.size(); ++index)
            (has(open_.layers[index], &L::router_weight) ? with_experts : dense).push_back(index);
        const Experts said = std::exchange(header_.mlp.experts, {});
        if (!dense.empty()) find_mlp(open_.layers[dense.front()], directory);
        if (with_experts.empty()) return;
        const Mlp without = header_.mlp;
        header_.mlp.experts = said;
        find_experts(open_.layers[with_experts.front()], directory);
        for (const std::uint64_t index : dense) header_.other_layers[index].mlp = without;
    }

    /// fc1 has twice as many rows as fc2 has columns where it holds gate and up.
    void find_mlp(const LayerPlace& place, const std::filesystem::path& directory) {
        using L = TransformerLayer;
        const NamedTensor fc1 = required_tensor(stage_of(place), name_of(&L::fc1_weight, place.scope), directory);
        const std::uint64_t columns = matrix(place, &L::fc2_weight, directory).tensor.shape()[1];
        header_.mlp.gated = fc1.tensor.shape()[0] == checked_multiply(2, columns, "MLP rows");
        if (header_.mlp.ffn_hidden_size == 0)
            header_.mlp.ffn_hidden_size = checked_multiply(columns, ranks(), "MLP rows");
    }

    void find_experts(const LayerPlace& place, const std::filesystem::path& directory) {
        using L = TransformerLayer;
        Experts& experts = header_.mlp.experts;
        experts.num_experts = matrix(place, &L::router_weight, directory).tensor.shape()[0];
        experts.router_bias = has(place, &L::router_bias);
        const std::uint64_t in_one = numbers_elements(row_of(*open_.table, &L::experts_fc2_weight)->names[0])
                                         ? 1
                                         : experts.num_experts / open_.stages.front().count(Group::expert);
        const std::uint64_t elements = matrix(place, &L::experts_fc2_weight, directory).tensor.element_count();
        experts.ffn_hidden_size = checked_multiply(
            elements / std::max<std::uint64_t>(checked_multiply(in_one, header_.hidden_size, "experts"), 1),
            open_.stages.front().count(Group::expert_tensor), "rows of an expert");
        experts.shared_gate = has(place, &L::shared_expert_gate);
        const bool has_shared = has(place, &L::shared_fc2_weight);
        experts.shared_ffn_hidden_size =
            has_shared ? checked_multiply(matrix(place, &L::shared_fc2_weight, directory).tensor.shape()[1], ranks(),
                                          "rows of a shared expert")
                       : 0;
        header_.mlp.gated = true;
    }

    void find_groups(const std::filesystem::path& directory) {
        if (header_.attention.num_query_groups != 0 || header_.attention.num_attention_heads == 0) return;
        if (header_.attention.kv_channels == 0)
            header_.attention.kv_channels = header_.hidden_size / header_.attention.num_attention_heads;
        const NamedTensor qkv =
            required_tensor(layer_stage(), name_of(&TransformerLayer::qkv_weight, layer().scope), directory);
        const std::uint64_t heads =
            header_.attention.kv_channels == 0
                ? 0
                : checked_multiply(qkv.tensor.shape()[0], ranks(), "qkv rows") / header_.attention.kv_channels;
        if (heads > header_.attention.num_attention_heads)
            header_.attention.num_query_groups = (heads - header_.attention.num_attention_heads) / 2;
    }

    void find_embeddings() {
        const NamedTensor* position = open_.stages.front().find(0, name_of(&Embeddings::position, open_.first));
        if (position && position->tensor.shape().rank() == 2) {
            header_.positions = PositionKind::learned;
            header_.max_position_embeddings = position->tensor.shape()[0];
        } else if (header_.positions == PositionKind::learned) {
            header_.positions = PositionKind::rope;
        }
        const NamedTensor* types = open_.stages.front().find(0, name_of(&Embeddings::token_type, open_.first));
        header_.num_token_types = types && types->tensor.shape().rank() == 2 ? types->tensor.shape()[0] : 0;
    }

    void find_heads() {
        const TensorTable& table = *open_.table;
        const StageTensors& stage = open_.stages.back();
        const bool has_output = has_stored(table, stage, open_.last, &OutputLayer::weight);
        // Megatron-Core keeps a tied model's copy under the head's own name, so there only args can tell.
        const bool may_be_copy =
            table.rows<OutputLayer>().front().names[0] == table.tied_copy && open_.stages.size() > 1;
        header_.tied_embeddings = has_output && may_be_copy ? header_.tied_embeddings : !has_output;
        header_.bert.pooler = has_stored(table, stage, open_.last, &BertPooler::weight);
        header_.bert.lm_head = has_stored(table, stage, open_.last, &BertLmHead::dense_weight);
        header_.bert.binary_head = has_stored(table, stage, open_.last, &BertBinaryHead::weight);
    }

    OpenCheckpoint& open_;
    ModelHeader& header_;
};

}  // namespace crossdock::detail
