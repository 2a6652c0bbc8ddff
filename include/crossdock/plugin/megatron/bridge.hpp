// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/container/json.hpp"
#include "crossdock/container/json_text.hpp"
#include "crossdock/container/text_file.hpp"
#include "crossdock/container/torch/writer.hpp"
#include "crossdock/core/dtype.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/text.hpp"
#include "crossdock/family/megatron/args.hpp"
#include "crossdock/family/megatron/expert_args.hpp"
#include "crossdock/family/megatron/flags.hpp"
#include "crossdock/family/megatron/gemma_args.hpp"
#include "crossdock/plugin/megatron/iteration.hpp"
#include "crossdock/protocol/layer_windows.hpp"
#include "crossdock/protocol/model_header.hpp"

namespace crossdock::detail {

// What NVIDIA's Megatron-Bridge (067f987) reads beside the tensors of a torch_dist checkpoint:
//     iter_0000001/run_config.yaml     the model as a GPTModelProvider (training/model_load_save.py, load_model_config)
//     iter_0000001/train_state.pt      counters, each a tensor (training/state.py, TrainState)
//     latest_train_state.pt            the same, in place of Megatron's tracker (training/checkpointing.py)

/// A number as YAML 1.1 takes it for one: PyYAML reads 1e-05 as a text, and 1.0e-05 as a number.
inline std::string yaml_number(double number) {
    std::string text = json_text(Json(number));
    if (const std::size_t exponent = text.find('e'); exponent != text.npos && text.find('.') == text.npos)
        text.insert(exponent, ".0");
    return text;
}

inline std::string yaml_value(const Json& value) {
    return value.is_number_float() ? yaml_number(value.get<double>()) : json_text(value);
}

/// One of Python's objects by its name: "torch.bfloat16".
inline std::string yaml_name(std::string_view name) { return to_text("{_target_: ", name, ", _call_: false}"); }

using YamlFields = std::vector<std::pair<std::string_view, std::string>>;

/// The function that stands for an activation; empty where there is none.
inline std::optional<std::string_view> bridge_activation(Activation activation) {
    switch (activation) {
        case Activation::silu: return "torch.nn.functional.silu";
        case Activation::gelu_erf: return "torch.nn.functional.gelu";
        case Activation::gelu_tanh: return "megatron.core.activations.fast_gelu";
        case Activation::relu: return "torch.nn.functional.relu";
        case Activation::quick_gelu: return "megatron.core.activations.quick_gelu";
        case Activation::squared_relu: return "megatron.core.activations.squared_relu";
        case Activation::linear: return std::nullopt;
    }
    return std::nullopt;
}

/// Throws Error where a GPTModelProvider's fields cannot describe the model: Bridge would make another one of it.
inline void require_bridge(const ModelHeader& header, const Iteration& iteration) {
    const auto refuse = [](std::string_view what) {
        throw Error(to_text("bridge: ", what,
                            ", which Megatron-Bridge's GPTModelProvider cannot express; leave the "
                            "option out"));
    };
    if (iteration.release)
        throw UsageError("Megatron-Bridge knows no iteration called release; give the option iteration a number");
    if (is_bert(header)) refuse("the model is a BERT");
    if (is_latent(header.attention)) refuse("the model has latent attention");
    if (header.embedding_multiplier && *header.embedding_multiplier != 1) refuse("the model scales its embeddings");
    if (header.block_output_norms) refuse("the model is a Gemma 2 or 3");
    if (header.mlp.activation && !bridge_activation(*header.mlp.activation))
        refuse(to_text("the activation is ", enum_name(*header.mlp.activation)));
    const auto& scaling = header.attention.rope_scaling;
    if (scaling && scaling->type != "default" && scaling->type != "llama3" && scaling->type != "linear")
        refuse(to_text("the rotary scaling is ", scaling->type));
    if (const auto constants = unsaid::llama3_constants(header)) refuse(to_text("the model has ", *constants));
    constexpr std::uint64_t most = std::numeric_limits<std::int32_t>::max();  // its counters are of this type
    for (const std::uint64_t count : {header.training.consumed_train_samples.value_or(0),
                                      header.training.consumed_valid_samples.value_or(0), iteration.number})
        if (count > most) refuse(to_text("the training has counted to ", count));
}

inline void add_sizes(const ModelHeader& h, YamlFields& fields) {
    const bool has_true_size = h.true_vocab_size.has_value();
    fields.insert(fields.end(),
                  {{"num_layers", to_text(h.num_layers)},
                   {"hidden_size", to_text(h.hidden_size)},
                   {"ffn_hidden_size", to_text(h.mlp.ffn_hidden_size)},
                   {"num_attention_heads", to_text(h.attention.num_attention_heads)},
                   {"num_query_groups", to_text(h.attention.num_query_groups)},
                   {"kv_channels", to_text(h.attention.kv_channels)},
                   {"vocab_size", to_text(h.true_vocab_size.value_or(h.vocab_rows))},
                   {"should_pad_vocab", has_true_size ? "true" : "false"},
                   {"make_vocab_size_divisible_by", to_text(h.training.make_vocab_size_divisible_by.value_or(128))},
                   {"share_embeddings_and_output_weights", h.tied_embeddings ? "true" : "false"}});
    if (h.mtp_num_layers > 0) fields.emplace_back("mtp_num_layers", to_text(h.mtp_num_layers));
    if (const auto length = h.max_position_embeddings ? h.max_position_embeddings : h.training.seq_length)
        fields.emplace_back("seq_length", to_text(*length));
}

inline void add_positions(const ModelHeader& h, YamlFields& fields) {
    const bool rope = h.positions == PositionKind::rope;
    fields.emplace_back("position_embedding_type", rope                                   ? "rope"
                                                   : h.positions == PositionKind::learned ? "learned_absolute"
                                                                                          : "none");
    if (!rope) return;
    fields.emplace_back("rotary_base", yaml_value(h.attention.rope_theta.value_or(10000)));
    fields.emplace_back("rotary_percent", yaml_value(h.attention.rotary_percent.value_or(1)));
    fields.emplace_back("rotary_interleaved", h.attention.rotary_interleaved.value_or(false) ? "true" : "false");
    const auto& scaling = h.attention.rope_scaling;
    if (!scaling || !scaling->factor) return;
    if (scaling->type == "llama3") {
        fields.emplace_back("rope_scaling", "true");
        fields.emplace_back("rope_scaling_factor", yaml_value(*scaling->factor));
    } else if (scaling->type == "linear") {
        fields.emplace_back("seq_len_interpolation_factor", yaml_value(*scaling->factor));
    }
}

inline void add_layers(const ModelHeader& h, YamlFields& fields) {
    const bool biases = h.attention.dense_bias || h.mlp.fc1_bias || h.mlp.fc2_bias;
    fields.insert(fields.end(),
                  {{"normalization", h.norm == NormKind::rms ? "RMSNorm" : "LayerNorm"},
                   {"layernorm_epsilon", yaml_value(h.norm_epsilon.value_or(1e-5))},
                   {"layernorm_zero_centered_gamma", h.norm_zero_centered.value_or(false) ? "true" : "false"},
                   {"gated_linear_unit", h.mlp.gated ? "true" : "false"},
                   {"add_bias_linear", biases ? "true" : "false"},
                   {"add_qkv_bias", h.attention.qkv_bias ? "true" : "false"},
                   {"qk_layernorm", h.attention.qk_norm ? "true" : "false"},
                   {"hidden_dropout", yaml_value(h.training.hidden_dropout.value_or(0))},
                   {"attention_dropout", yaml_value(h.training.attention_dropout.value_or(0))}});
    if (h.mlp.activation)
        if (const auto function = bridge_activation(*h.mlp.activation))
            fields.emplace_back("activation_func", yaml_name(*function));
    if (const std::uint64_t window = window_of(h)) {
        fields.emplace_back("window_size", to_text('[', window - 1, ", 0]"));
        if (const Json frequency = window_frequency(h); !frequency.is_null())
            fields.emplace_back("window_attn_skip_freq", yaml_value(frequency));
    }
}

inline void add_experts(const ModelHeader& h, YamlFields& fields) {
    if (!has_experts(h.mlp)) return;
    const Experts& experts = h.mlp.experts;
    const auto add_size = [&](std::string_view name, std::uint64_t size) {
        if (size > 0) fields.emplace_back(name, to_text(size));
    };
    add_size("num_moe_experts", experts.num_experts);
    add_size("moe_router_topk", experts.router_topk);
    add_size("moe_ffn_hidden_size", experts.ffn_hidden_size);
    add_size("moe_shared_expert_intermediate_size", experts.shared_ffn_hidden_size);
    add_size("moe_router_num_groups", experts.num_groups);
    add_size("moe_router_group_topk", experts.group_topk);
    fields.insert(fields.end(), {{"moe_layer_freq", yaml_value(layer_frequency(h))},
                                 {"moe_router_score_function", to_text(enum_name(experts.score))},
                                 {"moe_router_pre_softmax", experts.pre_softmax ? "true" : "false"},
                                 {"moe_router_enable_expert_bias", experts.router_bias ? "true" : "false"},
                                 {"moe_shared_expert_gate", experts.shared_gate ? "true" : "false"},
                                 {"moe_grouped_gemm", "true"}});
    if (experts.scaling_factor)
        fields.emplace_back("moe_router_topk_scaling_factor", yaml_value(*experts.scaling_factor));
}

inline void add_types(const ModelHeader& h, YamlFields& fields) {
    const std::string type = yaml_name(to_text("torch.", torch_name(h.params_dtype)));
    for (const std::string_view name : {"params_dtype", "pipeline_dtype", "autocast_dtype"})
        fields.emplace_back(name, type);
    fields.emplace_back("bf16", h.params_dtype == DType::bf16 ? "true" : "false");
    fields.emplace_back("fp16", h.params_dtype == DType::f16 ? "true" : "false");
}

/// run_config.yaml: the model, and that nothing but its weights was saved.
inline std::string bridge_run_config(const ModelHeader& header, std::uint64_t ranks, std::uint64_t stages) {
    YamlFields model{{"_target_", "megatron.bridge.models.gpt_provider.GPTModelProvider"},
                     {"tensor_model_parallel_size", to_text(ranks)},
                     {"pipeline_model_parallel_size", to_text(stages)}};
    add_sizes(header, model);
    add_positions(header, model);
    add_layers(header, model);
    add_experts(header, model);
    add_types(header, model);
    std::string out = "model:\n";
    for (const auto& [name, value] : model) out += to_text("  ", name, ": ", value, '\n');
    return out + "checkpoint:\n  save_optim: false\n  save_rng: false\n  fully_parallel_save: false\n";
}

/// Writes a TrainState: each counter is a tensor of no axes.
inline void write_train_state(const OutputPath& file, const ModelHeader& header, const Iteration& iteration) {
    torch::Writer writer(file);
    const auto put = [&]<class T>(const std::string& name, DType dtype, T value) {
        writer.add(name, dtype, Shape{})->write(0, std::as_bytes(std::span(&value, 1)));
    };
    const auto count = [](std::optional<std::uint64_t> number) {
        return static_cast<std::int32_t>(number.value_or(0));
    };
    put("step", DType::i32, count(iteration.number));
    put("consumed_train_samples", DType::i32, count(header.training.consumed_train_samples));
    put("skipped_train_samples", DType::i32, std::int32_t{0});
    put("consumed_valid_samples", DType::i32, count(header.training.consumed_valid_samples));
    put("floating_point_operations_so_far", DType::f64, 0.0);
    for (const char* name : {"do_train", "do_valid", "do_test"}) put(name, DType::boolean, std::uint8_t{0});
    writer.finish();
}

/// Writes what Megatron-Bridge reads beside the tensors of an iteration below `root`.
inline void write_bridge_files(const OutputPath& root, const Iteration& iteration, const ModelHeader& header,
                               std::uint64_t ranks, std::uint64_t stages) {
    const OutputPath folder = root / iteration.directory();
    write_text(folder / "run_config.yaml", bridge_run_config(header, ranks, stages));
    write_train_state(folder / "train_state.pt", header, iteration);
    write_train_state(root / "latest_train_state.pt", header, iteration);
}

}  // namespace crossdock::detail
