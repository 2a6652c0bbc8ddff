// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "crossdock/family/family.hpp"
#include "crossdock/family/hub_config.hpp"
#include "crossdock/family/llama.hpp"
#include "crossdock/family/llama_original.hpp"

namespace crossdock {

namespace detail {

/// sliding_window: null is none, and none is 0 in the header.
inline ConfigEntry window_config(std::vector<std::string_view> keys, Json absent) {
    return {
        std::move(keys), std::move(absent),
        [](const Json& value, ModelHeader& h) {
            h.sliding_window = value.is_null() ? 0 : json_as<std::uint64_t>(value);
        },
        [](const ModelHeader& h) { return h.sliding_window.value_or(0) ? Json(*h.sliding_window) : Json(nullptr); }};
}

/// In mistralai's params.json the window may be a list, one entry for each layer in turn.
inline void read_mistral_window(const Json& value, ModelHeader& header) {
    if (value.is_array()) {
        for (const Json& layer : value)
            if (layer != value[0])
                throw Error(text("is ", json_shown(value), "; layers with windows of their own are not supported"));
        if (!value.empty()) read_mistral_window(value[0], header);
    } else {
        header.sliding_window = value.is_null() ? 0 : json_as<std::uint64_t>(value);
    }
}

/// A key of params.json whose models are of another kind.
inline ConfigEntry refused_config(std::string_view key, std::string_view what) {
    return understood({key}, [what](const Json& value, ModelHeader&) {
        if (!value.is_null()) throw Error(text("asks for ", what, ", which is not supported"));
    });
}

/// mistral-inference took 1e4 for an absent rope_theta where there was a window and 1e6 where there was none, until
/// 0e5b458 (May 2024) made it 1e6 throughout; files without the key are older.
inline std::vector<std::string> read_mistral_tensors(ModelHeader& header, std::span<const TensorDict> ranks) {
    if (const NamedTensor* word = ranks[0].find("tok_embeddings.weight"); word && word->tensor.shape().rank() == 2)
        header.vocab_rows = word->tensor.shape()[0];
    if (!header.true_vocab_size) header.true_vocab_size = header.vocab_rows;
    if (!ranks[0].find("output.weight")) header.tied_embeddings = true;
    header.activation = Activation::silu;
    header.rope_scaling = RopeScaling{};
    if (!header.max_position_embeddings) header.max_position_embeddings = 32768;
    if (header.rope_theta) return {};
    header.rope_theta = header.sliding_window.value_or(0) > 0 ? 1e4 : 1e6;
    return {text("params.json has no rope_theta; ", header.sliding_window.value_or(0) > 0 ? "10000" : "1000000",
                 " is taken, as mistral-inference did for models with", header.sliding_window.value_or(0) ? "" : "out",
                 " a sliding window")};
}

}  // namespace detail

/// mistralai's own layout (mistralai/mistral-inference@2557e12, src/mistral_inference/{args,transformer}.py).
inline OriginalFormat mistral_original() {
    using H = ModelHeader;
    namespace require = detail::require;
    return {.table = [](const H&) -> const TensorTable& { return detail::llama_original_table(Cut::columns); },
            .params = {entry({"dim"}, &H::hidden_size),
                       entry({"n_layers"}, &H::num_layers),
                       entry({"head_dim"}, &H::kv_channels),
                       entry({"hidden_dim"}, &H::ffn_hidden_size),
                       entry({"n_heads"}, &H::num_attention_heads),
                       entry({"n_kv_heads"}, &H::num_query_groups),
                       entry({"norm_eps"}, &H::norm_epsilon),
                       vocab_size_config(),
                       entry({"rope_theta"}, &H::rope_theta),
                       {{"sliding_window", "_sliding_window"},
                        nullptr,
                        detail::read_mistral_window,
                        [](const H& h) { return h.sliding_window.value_or(0) ? Json(*h.sliding_window) : left_out(); }},
                       entry({"max_seq_len"}, &H::max_position_embeddings),
                       detail::refused_config("yarn", "scaled rotary positions (yarn)"),
                       detail::refused_config("quantization", "quantized weights (quantization)"),
                       detail::refused_config("moe", "a mixture of experts (moe)"),
                       detail::refused_config("lora", "LoRA adapters (lora)"),
                       detail::refused_config("vision_encoder", "images (vision_encoder)")},
            .requirements = {require::no_rope_scaling, require::silu},
            .safetensors = true,
            .recognises = [](const Json& params) { return params.contains("dim") && params.contains("hidden_dim"); },
            .from_tensors = detail::read_mistral_tensors};
}

/// Mistral 7B in its versions, Nemo, and what else has their architecture.
inline const Family& mistral_family() {
    using H = ModelHeader;
    namespace require = detail::require;
    static const Family family{
        .name = "mistral",
        .hub_types = {"mistral"},
        .model_types = {"mistral"},
        .config =
            chained(chained(detail::llama_sizes({.key_value_heads = 8, .positions = 131072}), rope_config(10000.0)),
                    {activation_config("hidden_act", "silu"), entry({"rms_norm_eps"}, &H::norm_epsilon, 1e-6),
                     entry({"tie_word_embeddings"}, &H::tied_embeddings, false),
                     detail::window_config({"sliding_window"}, 4096)}),
        .before_config = detail::rms_decoder_defaults,
        .after_config = [](H&, const Json&) {},
        .hub_table = detail::llama_hub_table,
        .architecture = [](const H&) { return std::string("MistralForCausalLM"); },
        .requirements = chained(detail::rms_decoder_requirements(), {require::plain_norm, require::plain_embeddings,
                                                                     require::known_activation, require::no_bias}),
        .original = mistral_original(),
        .relatives = {"mistral3", "ministral", "ministral3", "mixtral"}};
    return family;
}

}  // namespace crossdock
