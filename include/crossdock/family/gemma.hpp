// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "crossdock/core/compiled.hpp"
#include "crossdock/family/defaults.hpp"
#include "crossdock/family/entry_points.hpp"
#include "crossdock/family/family.hpp"
#include "crossdock/family/hub/config.hpp"
#include "crossdock/family/hub/layout.hpp"
#include "crossdock/family/llama/hub.hpp"
#include "crossdock/protocol/header_fields.hpp"

namespace crossdock {

namespace detail {

/// hidden_act "gelu" is a mistake of the first files for the tanh form, in which the model was trained: releases from
/// 4.39 to 4.47 corrected it, or took hidden_activation; all others read hidden_act alone.
inline Notices read_gemma_activation(ModelHeader& header, const Json& config) {
    const auto named = [&](const char* key) {
        const auto found = config.find(key);
        if (found == config.end() || found->is_null()) return std::optional<Activation>();
        return std::optional(in_context(to_text("'", key, "'"), [&] { return hub_activation(*found); }));
    };
    const auto act = named("hidden_act"), activation = named("hidden_activation");
    header.mlp.activation = act.value_or(Activation::gelu_tanh);
    if (act == Activation::gelu_erf && activation != Activation::gelu_erf) {
        header.mlp.activation = Activation::gelu_tanh;
        return {
            "config.json: hidden_act \"gelu\" is rewritten as gelu_pytorch_tanh, the form in which Gemma was trained"};
    }
    if (activation && activation != header.mlp.activation)
        return {to_text("config.json: hidden_activation is ", json_shown(config.at("hidden_activation")),
                        "; what hidden_act says is used, as transformers does since 4.48")};
    return {};
}

inline double gemma_multiplier(const ModelHeader& header) { return std::sqrt(static_cast<double>(header.hidden_size)); }

}  // namespace detail

/// Gemma 1 and CodeGemma. Norm weights are stored less 1, embeddings are scaled by √hidden_size when the model runs.
CROSSDOCK_ENTRY_POINT const Family& gemma_family() {
    using namespace config;
    using H = ModelHeader;
    static const auto write_activation = [](std::string_view key) {
        return written(key, [key](const H& h) { return detail::hub_activation_name(h, key, "gelu_pytorch_tanh"); });
    };
    static const Family family{
        .name = "gemma",
        .model_types = {"gemma"},
        .defaults = defaults::rms_decoder,
        .requirements =
            join_lists(require::rms_decoder(),
                       {require::zero_centered_norm,
                        require::no_window,
                        require::attention_biases_agree,
                        {"biases in its MLP", [](const H& h) { return !h.mlp.fc1_bias && !h.mlp.fc2_bias; }},
                        {"embeddings that are not scaled by √hidden_size (embedding_multiplier)",
                         [](const H& h) {
                             const double wanted = detail::gemma_multiplier(h);
                             return std::abs(h.embedding_multiplier.value_or(wanted) - wanted) < 1e-6 * wanted;
                         }}}),
        .layouts = {{.kind = &hugging_face,
                     .types = {"gemma"},
                     .relatives = {"gemma2", "gemma3", "gemma3_text", "gemma3n", "recurrent_gemma", "paligemma"},
                     .config = join_lists(
                         join_lists(detail::llama_sizes({.key_value_heads = 16, .head_size = 256, .positions = 8192}),
                                    rope_config()),
                         {write_activation("hidden_act"), write_activation("hidden_activation"),
                          stated(entry({"rms_norm_eps"}, field::norm_epsilon, 1e-6)),
                          stated(entry({"tie_word_embeddings"}, field::tied_embeddings, true)),
                          detail::bias_config("attention_bias", field::qkv_bias, field::dense_bias)}),
                     .switches = {{"use_bidirectional_attention", false}},
                     .after_config =
                         [](H& header, const Json& config) {
                             header.norm_zero_centered = true;
                             header.embedding_multiplier = detail::gemma_multiplier(header);
                             Notices notices = detail::read_gemma_activation(header, config);
                             read_hub_rope(header, config, notices);
                             return notices;
                         },
                     .architecture = [](const H&) { return std::string("GemmaForCausalLM"); },
                     .table = detail::llama_hub_table,
                     .spellings = {.base = "model.", .heads = {"lm_head."}}}}};
    return family;
}

}  // namespace crossdock
