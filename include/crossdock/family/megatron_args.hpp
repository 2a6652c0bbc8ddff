// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cmath>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/family/hub_config.hpp"

namespace crossdock {

// Megatron's args Namespace as a JSON object: torch.bfloat16 is "torch.bfloat16", an enumeration's member its name, a
// tuple an array. Sources: epfLLM/Megatron-LLM@806a833 megatron/checkpointing.py, NVIDIA/Megatron-LM core_v0.9.0
// megatron/training/{checkpointing,arguments}.py.

namespace detail {

inline constexpr std::array<std::pair<std::string_view, Activation>, 4> glu_activations{{
    {"swiglu", Activation::silu},
    {"geglu", Activation::gelu_erf},
    {"reglu", Activation::relu},
    {"liglu", Activation::linear},
}};

inline void read_glu_activation(const Json& value, ModelHeader& header) {
    header.gated_mlp = !value.is_null();
    if (!header.gated_mlp) return;
    const auto name = json_as<std::string>(value);
    for (const auto& [known, activation] : glu_activations)
        if (known == name) return void(header.activation = activation);
    throw Error(text("is '", name, "', expected swiglu, geglu, reglu, liglu or None"));
}

inline Json write_glu_activation(const ModelHeader& header) {
    if (!header.gated_mlp) return nullptr;
    for (const auto& [name, activation] : glu_activations)
        if (activation == header.activation) return name;
    return nullptr;
}

/// "rotary", "absolute", "PositionEmbeddingType.rotary", "rope", "learned_absolute", or Megatron-LLM's numbers.
inline void read_positions(const Json& value, ModelHeader& header) {
    const std::string name = value.is_string() ? value.get<std::string>() : json_shown(value);
    if (name.ends_with("rotary") || name == "rope" || name == "1")
        header.positions = PositionKind::rope;
    else if (name.ends_with("absolute") || name == "2")
        header.positions = PositionKind::learned;
    else if (name == "none")
        header.positions = PositionKind::none;
    else
        throw Error(text("is ", json_shown(value), ", expected rotary, rope, absolute, learned_absolute or none"));
}

/// A factor of 1 states nothing beyond "no linear scaling": other scalings have no argument here.
inline void read_linear_scaling(const Json& value, ModelHeader& header) {
    if (value.is_null() || json_as<double>(value) == 1.0) {
        if (!header.rope_scaling || header.rope_scaling->type == "linear") header.rope_scaling = RopeScaling{};
    } else {
        header.rope_scaling = RopeScaling{};
        header.rope_scaling->type = "linear";
        header.rope_scaling->factor = json_as<double>(value);
    }
}

inline std::optional<double> linear_factor(const ModelHeader& header) {
    return header.rope_scaling && header.rope_scaling->type == "linear" ? header.rope_scaling->factor : std::nullopt;
}

inline bool has_llama3_scaling(const ModelHeader& header) {
    return header.rope_scaling && header.rope_scaling->type == "llama3";
}

/// A whole number where it is one: Megatron's parser takes rotary_base and the interpolation factor as int.
inline Json number(double value) {
    if (value == std::floor(value) && std::abs(value) < 0x1p53) return static_cast<std::int64_t>(value);
    return value;
}

inline Json or_null(const auto& value) { return value ? Json(*value) : Json(nullptr); }

/// Whether Megatron's BERT code is to load the model: it has what no decoder has.
inline bool is_bert(const ModelHeader& header) {
    return header.bert_lm_head || header.bert_binary_head || header.pooler || header.num_token_types > 0;
}

/// Megatron's ungated MLP computes the exact gelu unless it is told to take the tanh form, which it knows by two names:
/// openai_gelu, and the kernel that bias_gelu_fusion stands for (megatron/model/fused_bias_gelu.py).
inline ConfigTable gelu_args() {
    const auto read = [](const Json& value, ModelHeader& h) {
        const bool is_decided = h.gated_mlp && h.activation;  // by swiglu or glu_activation
        if (value == Json(true) && !is_decided) h.activation = Activation::gelu_tanh;
    };
    const auto is_tanh = [](const ModelHeader& h) {
        return Json(!h.gated_mlp && h.activation == Activation::gelu_tanh);
    };
    return {
        understood({"openai_gelu"}, read), fixed("openai_gelu", false), {{"bias_gelu_fusion"}, nullptr, read, is_tanh}};
}

/// The lines that all Megatron code shares.
inline ConfigTable megatron_common_args() {
    using H = ModelHeader;
    return {
        entry({"num_layers", "encoder_num_layers"}, &H::num_layers),
        entry({"hidden_size"}, &H::hidden_size),
        entry({"ffn_hidden_size"}, &H::ffn_hidden_size),
        entry({"num_attention_heads"}, &H::num_attention_heads),
        entry({"kv_channels"}, &H::kv_channels),
        {{"seq_length", "encoder_seq_length"},
         nullptr,
         read_into(&H::seq_length),
         [](const H& h) { return or_null(h.seq_length ? h.seq_length : h.max_position_embeddings); }},
        entry({"max_position_embeddings"}, &H::max_position_embeddings),
        written("padded_vocab_size", [](const H& h) { return Json(h.vocab_rows); }),
        entry_or({"make_vocab_size_divisible_by"}, &H::make_vocab_size_divisible_by, 128),
        entry_or({"tokenizer_type"}, &H::tokenizer_type, nullptr),
        written("params_dtype", [](const H& h) { return Json(text("torch.", torch_name(h.params_dtype))); }),
        written("bf16", [](const H& h) { return Json(h.params_dtype == DType::bf16); }),
        written("fp16", [](const H& h) { return Json(h.params_dtype == DType::f16); }),
        entry({"hidden_dropout"}, &H::hidden_dropout),
        entry({"attention_dropout"}, &H::attention_dropout),
        written("encoder_num_layers", [](const H& h) { return Json(h.num_layers); }),
        written("encoder_seq_length",
                [](const H& h) { return or_null(h.seq_length ? h.seq_length : h.max_position_embeddings); }),
        fixed("sequence_parallel", false),
        written("bert_binary_head", [](const H& h) { return Json(h.bert_binary_head || !is_bert(h)); }),
        entry_or({"consumed_train_samples"}, &H::consumed_train_samples, 0),
        entry_or({"consumed_valid_samples"}, &H::consumed_valid_samples, 0),
        understood({"tensor_model_parallel_size", "model_parallel_size"}, read_into(&H::previous_tensor_parallel_size)),
        understood({"pipeline_model_parallel_size"}, read_into(&H::previous_pipeline_parallel_size)),
    };
}

}  // namespace detail

/// Whether glu_activation, or the ungated gelu, says what the model computes.
inline bool megatron_llm_knows_activation(const ModelHeader& header) {
    if (!header.gated_mlp)
        return !header.activation || header.activation == Activation::gelu_erf ||
               header.activation == Activation::gelu_tanh;
    return !detail::write_glu_activation(header).is_null();
}

/// The args of epfLLM Megatron-LLM. What is absent has the default of its command line.
inline ConfigTable megatron_llm_args() {
    using H = ModelHeader;
    return chained(
        chained(detail::megatron_common_args(),
                {{{"num_attention_heads_kv"},
                  nullptr,
                  [](const Json& value, H& h) {
                      h.num_query_groups =
                          value.is_null() ? h.num_attention_heads : detail::json_as<std::uint64_t>(value);
                  },
                  [](const H& h) { return Json(h.num_query_groups); }},
                 {{"position_embedding_type"},
                  "absolute",
                  detail::read_positions,
                  [](const H& h) { return Json(h.positions == PositionKind::rope ? "rotary" : "absolute"); }},
                 {{"use_rms_norm"},
                  false,
                  [](const Json& value, H& h) {
                      h.norm = !value.is_null() && detail::json_as<bool>(value) ? NormKind::rms : NormKind::layer;
                  },
                  [](const H& h) { return Json(h.norm == NormKind::rms); }},
                 written("use_bias",
                         [](const H& h) { return Json(h.qkv_bias || h.dense_bias || h.fc1_bias || h.fc2_bias); }),
                 entry({"parallel_attn"}, &H::parallel_attention, false),
                 entry({"parallel_layernorm"}, &H::parallel_norm, false),
                 entry({"use_post_ln"}, &H::post_norm, false),
                 entry({"tie_embed_logits"}, &H::tied_embeddings, true),
                 entry_or({"use_flash_attn"}, &H::use_flash_attn, false),
                 entry_or({"lima_dropout"}, &H::lima_dropout, false),
                 {{"glu_activation"}, nullptr, detail::read_glu_activation, detail::write_glu_activation},
                 {{"sliding_window_size"},
                  nullptr,
                  [](const Json& value, H& h) {
                      h.sliding_window = value.is_null() ? 0 : detail::json_as<std::uint64_t>(value);
                  },
                  [](const H& h) { return h.sliding_window.value_or(0) ? Json(*h.sliding_window) : Json(nullptr); }},
                 entry({"layernorm_epsilon"}, &H::norm_epsilon, 1e-5),
                 entry({"rope_theta"}, &H::rope_theta, 1e4),
                 {{"rope_scaling_factor"},
                  1.0,
                  detail::read_linear_scaling,
                  [](const H& h) { return Json(detail::linear_factor(h).value_or(1.0)); }},
                 fixed("bias_dropout_fusion", false),
                 fixed("use_distributed_optimizer", false)}),
        detail::gelu_args());
}

/// The args of NVIDIA Megatron-LM, for its own model code and for Megatron-Core. Either spelling of a renamed argument
/// is read and both are written.
inline ConfigTable megatron_lm_args(std::string_view transformer_impl) {
    using H = ModelHeader;
    const auto zero_centered = [](const Json& value, H& h) {
        if (value.is_boolean()) h.norm_zero_centered = value.get<bool>();
    };
    const auto write_zero_centered = [](const H& h) { return Json(h.norm_zero_centered.value_or(false)); };
    return chained(
        chained(detail::megatron_common_args(),
                {entry({"num_query_groups"}, &H::num_query_groups),
                 // num_query_groups is 1 by default and means nothing where group_query_attention is false.
                 {{"group_query_attention"},
                  false,
                  [](const Json& value, H& h) {
                      if (value.is_null() || !detail::json_as<bool>(value)) h.num_query_groups = h.num_attention_heads;
                  },
                  [](const H& h) { return Json(h.num_query_groups != h.num_attention_heads); }},
                 {{"position_embedding_type"},
                  nullptr,
                  detail::read_positions,
                  [](const H& h) {
                      if (h.positions == PositionKind::rope) return Json("rope");
                      return Json(h.positions == PositionKind::learned ? "learned_absolute" : "none");
                  }},
                 fixed("add_position_embedding", true),
                 written("use_rotary_position_embeddings",
                         [](const H& h) { return Json(h.positions == PositionKind::rope); }),
                 {{"rotary_base"},
                  10000,
                  read_into(&H::rope_theta),
                  [](const H& h) { return detail::number(h.rope_theta.value_or(10000.0)); }},
                 entry_or({"rotary_percent"}, &H::rotary_percent, 1.0, 1.0),
                 fixed("rotary_interleaved", false),
                 {{"rotary_seq_len_interpolation_factor"},
                  nullptr,
                  detail::read_linear_scaling,
                  [](const H& h) {
                      const auto factor = detail::linear_factor(h);
                      return factor ? detail::number(*factor) : Json(nullptr);
                  }},
                 written("use_rope_scaling", [](const H& h) { return Json(detail::has_llama3_scaling(h)); }),
                 written("rope_scaling_factor",
                         [](const H& h) {
                             return Json(detail::has_llama3_scaling(h) ? h.rope_scaling->factor.value_or(8.0) : 8.0);
                         }),
                 written("add_bias_linear", [](const H& h) { return Json(h.dense_bias || h.fc1_bias || h.fc2_bias); }),
                 written("add_qkv_bias", [](const H& h) { return Json(h.qkv_bias); }),
                 {{"swiglu"},
                  false,
                  [](const Json& value, H& h) {
                      h.gated_mlp = !value.is_null() && detail::json_as<bool>(value);
                      if (h.gated_mlp) h.activation = Activation::silu;
                  },
                  [](const H& h) { return Json(h.gated_mlp && h.activation == Activation::silu); }},
                 {{"squared_relu"},
                  nullptr,
                  [](const Json& value, H& h) {
                      if (value == Json(true)) h.activation = Activation::squared_relu;
                  },
                  [](const H& h) { return Json(h.activation == Activation::squared_relu); }},
                 {{"untie_embeddings_and_output_weights"},
                  false,
                  [](const Json& value, H& h) { h.tied_embeddings = value.is_null() || !detail::json_as<bool>(value); },
                  [](const H& h) { return Json(!h.tied_embeddings); }},
                 {{"normalization"},
                  "LayerNorm",
                  [](const Json& value, H& h) { h.norm = value == Json("RMSNorm") ? NormKind::rms : NormKind::layer; },
                  [](const H& h) { return Json(h.norm == NormKind::rms ? "RMSNorm" : "LayerNorm"); }},
                 entry({"norm_epsilon", "layernorm_epsilon"}, &H::norm_epsilon, 1e-5),
                 written("layernorm_epsilon", [](const H& h) { return detail::or_null(h.norm_epsilon); }),
                 {{"apply_layernorm_1p"}, nullptr, zero_centered, write_zero_centered},
                 {{"layernorm_zero_centered_gamma"}, nullptr, zero_centered, write_zero_centered},
                 fixed("apply_query_key_layer_scaling", false),
                 {{"window_size"},
                  nullptr,
                  [](const Json& value, H& h) {
                      if (value.is_null()) h.sliding_window = 0;
                      if (value.is_array() && !value.empty() && value[0].is_number_integer() &&
                          value[0].get<std::int64_t>() >= 0)
                          h.sliding_window = value[0].get<std::uint64_t>() + 1;
                  },
                  [](const H& h) {
                      const auto window = h.sliding_window.value_or(0);
                      return window ? Json::array({window - 1, 0}) : Json(nullptr);
                  }},
                 fixed("num_experts", nullptr),
                 fixed("expert_model_parallel_size", 1),
                 fixed("transformer_impl", transformer_impl),
                 fixed("ckpt_format", "torch"),
                 fixed("no_save_optim", true),
                 fixed("no_save_rng", true),
                 fixed("ckpt_fully_parallel_save", false),
                 fixed("use_distributed_optimizer", false)}),
        detail::gelu_args());
}

}  // namespace crossdock
