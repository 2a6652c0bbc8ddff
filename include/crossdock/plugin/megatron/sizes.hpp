// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "crossdock/core/checked.hpp"
#include "crossdock/plugin/megatron/content.hpp"
#include "crossdock/plugin/megatron/evidence.hpp"
#include "crossdock/plugin/megatron/loader_options.hpp"
#include "crossdock/plugin/table_loader.hpp"
#include "crossdock/protocol/header_fields.hpp"

namespace crossdock {

namespace detail {

/// The user's word in place of what args say.
inline void apply_sizes(const MegatronSizeOptions& options, ModelHeader& header) {
    const auto apply = [&](const auto& option, const HeaderField<std::uint64_t>& field, const char* name) {
        if (!option) return;
        if (*option == 0) throw UsageError(to_text(name, " is 0, expected at least 1"));
        field(header) = *option;
        header.origin.given.insert(name);
    };
    // Groups that follow from the number of heads follow from the new one.
    if (options.num_attention_heads && header.attention.num_query_groups == header.attention.num_attention_heads)
        header.attention.num_query_groups = 0;
    apply(options.num_attention_heads, field::num_attention_heads, "num_attention_heads");
    apply(options.num_query_groups, field::num_query_groups, "num_query_groups");
    apply(options.kv_channels, field::kv_channels, "kv_channels");
}

/// The extents of a checkpoint's matrices that its sizes can be told from.
class TensorSizes {
public:
    TensorSizes(const OpenCheckpoint& open, const std::filesystem::path& directory)
        : open_(open),
          directory_(directory) {}

    std::uint64_t hidden_size() const {
        const auto& word = tensor(open_.stages.front(), &Embeddings::word, open_.first);
        if (word.tensor.shape().rank() != 2) refuse(word);
        return word.tensor.shape()[1];
    }
    /// Attention heads × rows of one.
    std::uint64_t attention_columns() const { return columns(&TransformerLayer::dense_weight); }
    /// Whether the first layer is narrower than the model: tensor-parallel ranks are missing. A layer with experts tells
    /// it by its attention.
    bool is_cut(const ModelHeader& said) const {
        const LayerPlace& place = open_.layers.front();
        if (has_stored(*open_.table, open_.stages[place.stage], place.scope, &TransformerLayer::fc2_weight))
            return columns(&TransformerLayer::fc2_weight) < said.mlp.ffn_hidden_size;
        return attention_columns() <
               checked_multiply(said.attention.num_attention_heads, said.attention.kv_channels, "attention columns");
    }

    std::string attention_name() const { return layer_tensor(&TransformerLayer::dense_weight).name; }

private:
    template <class M>
    const NamedTensor& tensor(const StageTensors& stage, std::optional<Tensor> M::*field,
                              const NameScope& scope) const {
        return required_tensor(stage, scope.name(row_of(*open_.table, field)->names[0]), directory_);
    }
    const NamedTensor& layer_tensor(std::optional<Tensor> TransformerLayer::*field) const {
        const LayerPlace& place = open_.layers.front();
        return tensor(open_.stages[place.stage], field, place.scope);
    }
    std::uint64_t columns(std::optional<Tensor> TransformerLayer::*field) const {
        const NamedTensor& matrix = layer_tensor(field);
        if (matrix.tensor.shape().rank() != 2) refuse(matrix);
        return checked_multiply(matrix.tensor.shape()[1], open_.stages.front().count(Group::tensor), "columns");
    }
    [[noreturn]] static void refuse(const NamedTensor& entry) {
        throw Error(
            to_text(entry.file, ": tensor '", entry.name, "' has shape ", entry.tensor.shape(), ", expected a matrix"));
    }

    const OpenCheckpoint& open_;
    const std::filesystem::path& directory_;
};

/// The hidden size, the number of heads and the rows of one, where args do not state them. Throws Error that asks for
/// one of the last two where neither is known.
inline void find_sizes(const TensorSizes& sizes, bool has_args, std::string_view where, ModelHeader& header) {
    if (header.hidden_size == 0) header.hidden_size = sizes.hidden_size();
    if (header.attention.num_attention_heads != 0 && header.attention.kv_channels != 0) return;
    const std::uint64_t columns = sizes.attention_columns();
    if (header.attention.num_attention_heads == 0 && header.attention.kv_channels == 0)
        throw Error(to_text(where,
                            has_args ? " do not state num_attention_heads"
                                     : " are missing, and no tensor tells the "
                                       "number of attention heads",
                            "; give the option num_attention_heads, or kv_channels for the rows of "
                            "one head (heads × rows are ",
                            columns, ", the columns of '", sizes.attention_name(), "')"));
    const bool has_heads = header.attention.num_attention_heads != 0;
    const std::uint64_t known = has_heads ? header.attention.num_attention_heads : header.attention.kv_channels;
    if (columns == 0 || columns % known != 0)
        throw Error(to_text(where, ": '", sizes.attention_name(), "' has ", columns,
                            " columns, which do not divide into ", known,
                            has_heads ? " attention heads" : " rows of a head",
                            "; see the options num_attention_heads and "
                            "kv_channels"));
    (has_heads ? header.attention.kv_channels : header.attention.num_attention_heads) = columns / known;
}

/// What Megatron's command line has for models whose files state nothing, told to the user.
inline void assume_defaults(bool has_statements, std::string_view where, ModelHeader& header,
                            std::vector<std::string>& notices) {
    if (has_statements) return;
    std::vector<std::string> assumed;
    const auto assume = [&](const char* field, const std::string& value, const char* option) {
        if (header.origin.given.contains(field)) return;
        header.origin.assumed.insert(field);
        assumed.push_back(to_text(field, " ", value, " (option ", option, ")"));
    };
    if (!header.mlp.activation && !header.block_output_norms)
        header.mlp.activation = header.mlp.gated      ? Activation::silu
                                : header.mlp.fc1_bias ? Activation::gelu_tanh  // bias_gelu_fusion, on by default
                                                      : Activation::gelu_erf;
    if (header.mlp.activation) assume("activation", std::string(enum_name(*header.mlp.activation)), "activation");
    if (header.norm_epsilon) assume("norm_epsilon", Json(*header.norm_epsilon).dump(), "norm_epsilon");
    if (header.positions == PositionKind::rope) {
        assume("positions", "rope", "position_embedding_type");
        if (header.attention.rope_theta) assume("rope_theta", Json(*header.attention.rope_theta).dump(), "rope_theta");
    }
    if (!header.max_position_embeddings && !header.origin.given.contains("max_position_embeddings"))
        assumed.emplace_back("no max_position_embeddings (option max_position_embeddings)");
    if (assumed.empty()) return;
    notices.push_back(to_text(where, " are missing: taken from the tensors is what they tell, assumed is ",
                              joined_list(assumed),
                              "; give the options where the model was trained with other values"));
}

}  // namespace detail

}  // namespace crossdock
