// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "crossdock/core/recipe.hpp"
#include "crossdock/protocol/message_list.hpp"

namespace crossdock::test {

/// A model of any header with random content: any bits, so that a value that is looked at instead of moved shows.
class SyntheticLoader {
public:
    SyntheticLoader(ModelHeader header, std::uint32_t seed) : header_(std::move(header)), seed_(seed) {}

    ModelHeader header() { return header_; }
    Embeddings embeddings() { return make<Embeddings>(1); }
    TransformerLayer layer(std::uint64_t index) {
        auto message = make<TransformerLayer>(100 + static_cast<std::uint32_t>(index), index);
        message.index = index;
        return message;
    }
    FinalNorm final_norm() { return make<FinalNorm>(2); }
    OutputLayer output_layer() { return make<OutputLayer>(3); }
    BertPooler pooler() { return make<BertPooler>(4); }
    BertLmHead bert_lm_head() { return make<BertLmHead>(5); }
    BertBinaryHead bert_binary_head() { return make<BertBinaryHead>(6); }

private:
    template <class M>
    M make(std::uint32_t number, std::uint64_t layer = 0) const {
        M message;
        std::mt19937 random(seed_ * 1000 + number);
        for (const auto& field : tensor_fields<M>)
            if (const auto shape = field.expected(header_, layer))
                message.*field.tensor = tensor(*shape, field.always_f32 ? DType::f32 : header_.params_dtype, random);
        return message;
    }

    Tensor tensor(const Shape& shape, DType dtype, std::mt19937& random) const {
        auto bytes = std::make_shared<std::vector<std::byte>>(shape.element_count() * item_size(dtype));
        for (std::size_t at = 0; at < bytes->size(); at += sizeof(std::uint32_t)) {
            const auto bits = static_cast<std::uint32_t>(random());
            std::memcpy(bytes->data() + at, &bits, std::min(sizeof bits, bytes->size() - at));
        }
        const std::span<const std::byte> view(*bytes);
        return region(std::make_shared<MemorySource>(view, std::move(bytes)), 0, dtype, shape);
    }

    ModelHeader header_;
    std::uint32_t seed_;
};

/// A header of Llama's kind with these sizes; everything else follows.
inline ModelHeader llama_header(std::uint64_t layers, std::uint64_t heads, std::uint64_t groups,
                                std::uint64_t head_size, std::uint64_t hidden, std::uint64_t ffn, std::uint64_t vocab,
                                DType dtype) {
    ModelHeader header;
    header.family = "llama";
    header.num_layers = layers;
    header.attention.num_attention_heads = heads;
    header.attention.num_query_groups = groups;
    header.attention.kv_channels = head_size;
    header.hidden_size = hidden;
    header.mlp.ffn_hidden_size = ffn;
    header.vocab_rows = vocab;
    header.true_vocab_size = vocab;
    header.max_position_embeddings = 2048;
    header.norm_epsilon = 1e-6;
    header.norm_zero_centered = false;
    header.mlp.activation = Activation::silu;
    header.attention.rope_theta = 500000.0;
    header.attention.rope_scaling = RopeScaling{};
    header.attention.rotary_percent = 1.0;
    header.attention.sliding_window = 0;
    header.embedding_multiplier = 1.0;
    header.params_dtype = dtype;
    return header;
}

}  // namespace crossdock::test
