// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/family/family.hpp"
#include "crossdock/family/hub/config.hpp"
#include "crossdock/family/llama/original.hpp"
#include "crossdock/family/original/layout.hpp"
#include "crossdock/family/original/params.hpp"
#include "crossdock/protocol/header_fields.hpp"

namespace crossdock {

// mistralai's own layout (mistralai/mistral-inference@2557e12, src/mistral_inference/{args,transformer}.py; later keys
// as vLLM and transformers read them): Meta's names and rotary order, every size stated, one part.

namespace detail {

/// A whole number, which newer files may write as a text.
inline std::uint64_t number_or_text(const Json& value) {
    if (!value.is_string()) return json_as<std::uint64_t>(value);
    const auto& digits = value.get_ref<const std::string&>();
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (error != std::errc() || end != digits.data() + digits.size())
        throw Error(to_text("is ", json_shown(value), ", expected a whole number"));
    return number;
}

/// A window: null is none, and none is 0. A list has one entry for each layer in turn.
inline std::uint64_t mistral_window(const Json& value) {
    if (value.is_null()) return 0;
    if (!value.is_array()) return number_or_text(value);
    for (const Json& layer : value)
        if (layer != value[0])
            throw Error(to_text("is ", json_shown(value), "; layers with windows of their own are not supported"));
    return value.empty() ? 0 : mistral_window(value[0]);
}

/// sliding_window, or _sliding_window where the former says nothing; mistral-inference allows one of them.
inline void read_mistral_window(ModelHeader& header, const Json& params) {
    std::optional<std::uint64_t> found;
    for (const char* key : {"sliding_window", "_sliding_window"}) {
        const auto value = params.find(key);
        if (value == params.end()) continue;
        const std::uint64_t window = in_context(to_text("'", key, "'"), [&] { return mistral_window(*value); });
        if (found.value_or(0) != 0 && window != 0 && window != *found)
            throw Error(to_text("sliding_window is ", *found, ", _sliding_window ", window, "; expected one of them"));
        if (found.value_or(0) == 0) found = window;
    }
    if (found) header.attention.sliding_window = found;
}

/// The context under its two names.
inline Notices read_mistral_context(ModelHeader& header, const Json& params) {
    std::optional<std::uint64_t> positions, length;
    read_parameter(params, "max_position_embeddings", positions);
    read_parameter(params, "max_seq_len", length);
    if (positions || length) header.max_position_embeddings = positions ? positions : length;
    if (!positions || !length || positions == length) return {};
    return {to_text("params.json has max_position_embeddings ", *positions, " and max_seq_len ", *length,
                    "; the former is taken")};
}

inline Notices read_mistral_params(ModelHeader& header, const Json& params) {
    read_mistral_window(header, params);
    std::optional<bool> tied;
    read_parameter(params, "tied_embeddings", tied);
    header.tied_embeddings = tied.value_or(true);  // as far as the tensors agree
    if (!tied) header.origin.assumed.insert("tied_embeddings");
    return read_mistral_context(header, params);
}

/// Tied, if that or nothing is said, and if the head does not differ.
inline Notices read_mistral_head(ModelHeader& header, std::span<const TensorDict> parts) {
    const bool is_stated = header.origin.assumed.erase("tied_embeddings") == 0;
    if (!header.tied_embeddings || head_is_embeddings(llama_original_table(Cut::columns), parts, Cut::none)) return {};
    header.tied_embeddings = false;
    if (!is_stated) return {};
    return {"params.json says tied_embeddings, but output.weight differs from tok_embeddings.weight; both are kept"};
}

/// mistral-inference took 1e4 for an absent rope_theta where there was a window and 1e6 where there was none, until
/// 0e5b458 (May 2024) made it 1e6 throughout; files without the key are older.
inline Notices read_mistral_tensors(ModelHeader& header, std::span<const TensorDict> parts) {
    header.vocab_rows = stored_matrix(parts[0], stored_name(llama_original_table(Cut::columns), &Embeddings::word))[0];
    if (!header.true_vocab_size) header.true_vocab_size = header.vocab_rows;
    Notices notices = read_mistral_head(header, parts);
    if (!header.mlp.activation) header.mlp.activation = Activation::silu;
    header.attention.rope_scaling = RopeScaling{};
    const bool has_window = header.attention.sliding_window.value_or(0) > 0;
    if (!header.max_position_embeddings)
        assume(header, field::max_position_embeddings, "max_position_embeddings", std::uint64_t{32768},
               "32768 is taken, as in most of mistralai's models", notices);
    if (!header.attention.rope_theta)
        assume(header, field::rope_theta, "rope_theta", has_window ? 1e4 : 1e6,
               to_text(has_window ? "10000" : "1000000", " is taken, as mistral-inference did for models with",
                       has_window ? "" : "out", " a sliding window"),
               notices);
    return notices;
}

inline ConfigTable mistral_sizes() {
    using namespace config;
    using H = ModelHeader;
    return {entry({"dim"}, field::hidden_size),
            entry({"n_layers"}, field::num_layers),
            entry({"head_dim"}, field::kv_channels),
            entry({"hidden_dim"}, field::ffn_hidden_size),
            entry({"n_heads"}, field::num_attention_heads),
            entry({"n_kv_heads"}, field::num_query_groups),
            entry({"norm_eps"}, field::norm_epsilon),
            vocab_size_config(),
            entry({"rope_theta"}, field::rope_theta),
            written("sliding_window",
                    [](const H& h) {
                        return h.attention.sliding_window.value_or(0) ? Json(*h.attention.sliding_window) : left_out();
                    }),
            written("max_seq_len", [](const H& h) { return json_of(h.max_position_embeddings); }),
            understood({"activation"}, [](const Json& value, H& h) { h.mlp.activation = hub_activation(value); })};
}

/// Models that params.json describes as well and that have another architecture.
inline ConfigTable refused_mistral_params() {
    using namespace config;
    return {original_type_config({"transformer", "mistral"}),
            refused_config("yarn", "scaled rotary positions (yarn)"),
            refused_config("rope_scaling", "scaled rotary positions (rope_scaling)"),
            refused_config("llama_4_scaling", "scaled attention (llama_4_scaling)"),
            refused_config("quantization", "quantized weights (quantization)"),
            refused_config("quantization_config", "quantized weights (quantization_config)"),
            refused_config("moe", "a mixture of experts (moe)"),
            refused_config("lora", "LoRA adapters (lora)"),
            refused_config("vision_encoder", "images (vision_encoder)"),
            refused_config("multimodal", "sound or images (multimodal)"),
            understood({"causal"}, [](const Json& value, ModelHeader&) {
                if (value.is_boolean() && !value.get<bool>())
                    throw Error("is false: attention to later tokens is not supported");
            })};
}

}  // namespace detail

inline Layout mistral_original() {
    return {
        .kind = &mistralai_release,
        .recognises = [](const Json& params) { return params.contains("dim") && params.contains("hidden_dim"); },
        .types = {"mistral"},
        .config = join_lists(detail::refused_mistral_params(), detail::mistral_sizes()),
        .inert = {"_sliding_window", "max_position_embeddings", "tied_embeddings", "max_batch_size", "dtype",
                  "torch_dtype"},
        .after_config = detail::read_mistral_params,
        .table = [](const ModelHeader&) -> const TensorTable& { return detail::llama_original_table(Cut::columns); },
        .from_tensors = detail::read_mistral_tensors,
        .requirements = {require::no_rope_scaling, require::silu, require::head}};
}

}  // namespace crossdock
