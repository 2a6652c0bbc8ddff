// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "crossdock/core/checked.hpp"
#include "crossdock/family/config_table.hpp"
#include "crossdock/protocol/header_fields.hpp"

namespace crossdock {

// Megatron's args Namespace as a JSON object: torch.bfloat16 is "torch.bfloat16", an enumeration's member its name, a
// tuple an array. Sources: epfLLM/Megatron-LLM@806a833 megatron/checkpointing.py, NVIDIA/Megatron-LM core_v0.9.0
// megatron/training/{checkpointing,arguments}.py.

namespace detail {

/// What a switch says; None is off.
inline bool is_on(const Json& value) { return !value.is_null() && json_as<bool>(value); }

/// Reads a number that is above 0; None says nothing.
inline auto read_positive(const HeaderField<std::optional<double>>& field) {
    return [field](const Json& value, ModelHeader& header) {
        if (value.is_null()) return;
        const auto number = json_as<double>(value);
        if (!(number > 0)) throw Error(to_text("is ", json_shown(value), ", expected a number above 0"));
        field(header) = number;
    };
}

/// Words without padding. NullTokenizer adds one, for the end of a document.
inline void read_vocab_size(const Json& value, ModelHeader& header) {
    if (value.is_null()) return;
    const std::uint64_t end = header.training.tokenizer_type == "NullTokenizer" ? 1 : 0;
    header.true_vocab_size = checked_add(json_as<std::uint64_t>(value), end, "words");
}

/// "rotary", "absolute", "PositionEmbeddingType.rotary", "rope", "learned_absolute", or Megatron-LLM's numbers. What
/// mrope and yarn add to rope stands in other_args.hpp.
inline void read_positions(const Json& value, ModelHeader& header) {
    const std::string name = value.is_string() ? value.get<std::string>() : json_shown(value);
    if (value.is_null()) return;
    if (name.ends_with("rotary") || name == "rope" || name == "mrope" || name == "yarn" || name == "1")
        header.positions = PositionKind::rope;
    else if (name.ends_with("absolute") || name == "2")
        header.positions = PositionKind::learned;
    else if (name == "none")
        header.positions = PositionKind::none;
    else
        throw Error(to_text("is ", json_shown(value), ", expected rotary, rope, absolute, learned_absolute or none"));
}

/// Whether positions are turned as they are.
inline bool is_unscaled(const std::optional<RopeScaling>& scaling) { return !scaling || scaling->type == "default"; }

/// Reads a factor of linear scaling over what is known of the scaling. What a crossdock.json states of a scaling by the
/// same factor stays as it is: it may have parameters that args have not. A factor of 1, or None, states nothing beyond
/// "no linear scaling": other scalings have no argument here.
inline void read_linear_factor(const Json& value, std::optional<RopeScaling>& scaling) {
    const double factor = value.is_null() ? 1.0 : json_as<double>(value);
    if (!(factor > 0)) throw Error(to_text("is ", json_shown(value), ", expected a number above 0"));
    const bool is_linear = scaling && scaling->type == "linear";
    if (is_linear ? scaling->factor == factor : scaling && factor == 1.0) return;
    scaling = RopeScaling{};
    if (factor == 1.0) return;
    scaling->type = "linear";
    scaling->factor = factor;
}

inline void read_linear_scaling(const Json& value, ModelHeader& header) {
    read_linear_factor(value, header.attention.rope_scaling);
}

inline std::optional<double> linear_factor(const ModelHeader& header) {
    return header.attention.rope_scaling && header.attention.rope_scaling->type == "linear"
               ? header.attention.rope_scaling->factor
               : std::nullopt;
}

inline Json or_null(const auto& value) { return value ? Json(*value) : Json(nullptr); }

/// A size or number whose 0 is Megatron's None.
inline ConfigEntry number_or_none(std::string_view key, const HeaderField<std::uint64_t>& field) {
    return {
        {key},
        nullptr,
        [field](const Json& value, ModelHeader& h) { field(h) = value.is_null() ? 0 : json_as<std::uint64_t>(value); },
        [field](const ModelHeader& h) { return field(h) > 0 ? Json(field(h)) : Json(nullptr); }};
}

/// Whether Megatron's BERT code is to load the model: it has what no decoder has.
inline bool is_bert(const ModelHeader& header) {
    return header.bert.lm_head || header.bert.binary_head || header.bert.pooler || header.num_token_types > 0;
}

/// Megatron's ungated MLP computes the exact gelu unless it is told to take the tanh form, which its own model code
/// knows by two names: openai_gelu, and the kernel that bias_gelu_fusion stands for
/// (megatron/model/fused_bias_gelu.py). Megatron-Core knows only the kernel.
inline ConfigTable gelu_args(bool knows_openai_gelu = true) {
    using namespace config;
    const auto read = [](const Json& value, ModelHeader& h) {
        const bool is_decided = h.mlp.activation && (h.mlp.gated || h.mlp.activation == Activation::squared_relu);
        if (is_on(value) && !is_decided) h.mlp.activation = Activation::gelu_tanh;
    };
    // Neither of the two is the exact form, whatever a crossdock.json has of the model as it was before.
    const auto read_kernel = [read](const Json& value, ModelHeader& h) {
        if (!is_on(value) && !h.mlp.gated && h.mlp.activation == Activation::gelu_tanh)
            h.mlp.activation = Activation::gelu_erf;
        read(value, h);
    };
    const auto is_tanh = [](const ModelHeader& h) {
        return Json(!h.mlp.gated && h.mlp.activation == Activation::gelu_tanh);
    };
    ConfigTable table{fixed("openai_gelu", false), {{"bias_gelu_fusion"}, nullptr, read_kernel, is_tanh}};
    if (knows_openai_gelu) table.push_back(understood({"openai_gelu"}, read));
    return table;
}

/// The lines that all Megatron code shares.
inline ConfigTable megatron_common_args() {
    using namespace config;
    using H = ModelHeader;
    return {
        entry({"num_layers", "encoder_num_layers"}, field::num_layers),
        entry({"hidden_size"}, field::hidden_size),
        {{"ffn_hidden_size"},
         nullptr,
         read_into(field::ffn_hidden_size),
         [](const H& h) { return h.mlp.ffn_hidden_size > 0 ? Json(h.mlp.ffn_hidden_size) : Json(nullptr); }},
        entry({"num_attention_heads"}, field::num_attention_heads),
        entry({"kv_channels"}, field::kv_channels),
        {{"seq_length", "encoder_seq_length"},
         nullptr,
         read_into(field::seq_length),
         [](const H& h) { return or_null(h.training.seq_length ? h.training.seq_length : h.max_position_embeddings); }},
        entry({"max_position_embeddings"}, field::max_position_embeddings),
        entry_or({"tokenizer_type"}, field::tokenizer_type, nullptr),
        understood({"vocab_size"}, read_vocab_size),
        understood({"orig_vocab_size"}, read_vocab_size),
        written("padded_vocab_size", [](const H& h) { return Json(h.vocab_rows); }),
        entry_or({"make_vocab_size_divisible_by"}, field::make_vocab_size_divisible_by, 128),
        written("params_dtype", [](const H& h) { return Json(to_text("torch.", torch_name(h.params_dtype))); }),
        written("bf16", [](const H& h) { return Json(h.params_dtype == DType::bf16); }),
        written("fp16", [](const H& h) { return Json(h.params_dtype == DType::f16); }),
        entry({"hidden_dropout"}, field::hidden_dropout),
        entry({"attention_dropout"}, field::attention_dropout),
        written("encoder_num_layers", [](const H& h) { return Json(h.num_layers); }),
        written("encoder_seq_length",
                [](const H& h) {
                    return or_null(h.training.seq_length ? h.training.seq_length : h.max_position_embeddings);
                }),
        fixed("sequence_parallel", false),
        written("bert_binary_head", [](const H& h) { return Json(h.bert.binary_head || !is_bert(h)); }),
        entry_or({"consumed_train_samples"}, field::consumed_train_samples, 0),
        entry_or({"consumed_valid_samples"}, field::consumed_valid_samples, 0),
        understood({"tensor_model_parallel_size", "model_parallel_size"},
                   read_into(field::previous_tensor_parallel_size)),
        understood({"pipeline_model_parallel_size"}, read_into(field::previous_pipeline_parallel_size)),
    };
}

}  // namespace detail

}  // namespace crossdock
