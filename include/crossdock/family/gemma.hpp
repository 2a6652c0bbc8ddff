// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <string>

#include "crossdock/family/family.hpp"
#include "crossdock/family/hub_config.hpp"
#include "crossdock/family/llama.hpp"

namespace crossdock {

namespace detail {

/// hidden_activation, where it is stated; of hidden_act "gelu" is an early mistake for the tanh form, which every
/// release of transformers corrects (modeling_gemma.py, later configuration_gemma.py).
inline void read_gemma_activation(ModelHeader& header, const Json& config) {
    header.activation = Activation::gelu_tanh;
    for (const char* key : {"hidden_activation", "hidden_act"})
        if (const auto name = config.find(key); name != config.end() && !name->is_null()) {
            if (key == std::string_view("hidden_activation") || *name != "gelu")
                within(text("'", key, "'"), [&] { header.activation = hub_activation(*name); });
            return;
        }
}

inline double gemma_multiplier(const ModelHeader& header) { return std::sqrt(static_cast<double>(header.hidden_size)); }

}  // namespace detail

/// Gemma 1 and CodeGemma. Norm weights are stored less 1, embeddings are scaled by √hidden_size when the model runs.
inline const Family& gemma_family() {
    using H = ModelHeader;
    namespace require = detail::require;
    static const auto write_activation = [](std::string_view key) {
        return written(key, [key](const H& h) { return detail::hub_activation_name(h, key, "gelu_pytorch_tanh"); });
    };
    static const Family family{
        .name = "gemma",
        .hub_types = {"gemma"},
        .model_types = {"gemma"},
        .config = chained(
            chained(detail::llama_sizes({.key_value_heads = 16, .head_size = 256, .positions = 8192}),
                    rope_config(10000.0)),
            {write_activation("hidden_act"), write_activation("hidden_activation"),
             entry({"rms_norm_eps"}, &H::norm_epsilon, 1e-6), entry({"tie_word_embeddings"}, &H::tied_embeddings, true),
             detail::bias_config("attention_bias", &H::qkv_bias, &H::dense_bias)}),
        .before_config = detail::rms_decoder_defaults,
        .after_config =
            [](H& header, const Json& config) {
                header.norm_zero_centered = true;
                header.embedding_multiplier = detail::gemma_multiplier(header);
                detail::read_gemma_activation(header, config);
            },
        .hub_table = detail::llama_hub_table,
        .architecture = [](const H&) { return std::string("GemmaForCausalLM"); },
        .requirements = chained(detail::rms_decoder_requirements(),
                                {require::zero_centered_norm,
                                 require::no_window,
                                 require::attention_biases_agree,
                                 {"biases in its MLP", [](const H& h) { return !h.fc1_bias && !h.fc2_bias; }},
                                 {"embeddings that are not scaled by √hidden_size (embedding_multiplier)",
                                  [](const H& h) {
                                      const double wanted = detail::gemma_multiplier(h);
                                      return std::abs(h.embedding_multiplier.value_or(wanted) - wanted) < 1e-6 * wanted;
                                  }}}),
        .relatives = {"gemma2", "gemma3", "gemma3_text", "gemma3n", "recurrent_gemma", "paligemma"}};
    return family;
}

}  // namespace crossdock
