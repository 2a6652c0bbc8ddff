// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/core/compiled.hpp"
#include "crossdock/core/join_lists.hpp"
#include "crossdock/family/defaults.hpp"
#include "crossdock/family/entry_points.hpp"
#include "crossdock/family/family.hpp"
#include "crossdock/family/gemma/type.hpp"
#include "crossdock/family/gemma/windows.hpp"
#include "crossdock/family/hub/config.hpp"
#include "crossdock/family/hub/layout.hpp"
#include "crossdock/family/llama/hub.hpp"
#include "crossdock/family/requirements.hpp"
#include "crossdock/family/tensor_table.hpp"
#include "crossdock/protocol/header_fields.hpp"
#include "crossdock/protocol/layer_windows.hpp"

namespace crossdock {

// Gemma's models (transformers modeling_gemma.py, modeling_gemma2.py, modeling_gemma3.py) store norm weights less 1 and
// scale embeddings by √hidden_size when they run. Since the second generation they have
//     four norms a layer   post_attention_layernorm is the norm of what attention puts out, not the one before the MLP
//     caps                 of scores and of logits, and a scale of scores by itself (query_pre_attn_scalar)
//     windows              on some layers, which turn by another base in Gemma 3 (gemma/windows.hpp)
//     norms of q and k     in Gemma 3

namespace detail {

/// The names of Gemma 1, which are Llama's, or those of a layer with four norms.
inline const TensorTable& gemma_table(const ModelHeader& header) {
    static const TensorTable later = [&] {
        using L = TransformerLayer;
        const std::string layer = "model.layers.{}.";
        TensorTable table = llama_hub_table(header);
        Rows<L>& rows = table.rows<L>();
        std::erase_if(rows, [](const Row<L>& row) { return row.fields.front() == &L::post_norm_weight; });
        rows = join_lists(std::move(rows),
                          Rows<L>{{{&L::attention_output_norm_weight}, {layer + "post_attention_layernorm.weight"}},
                                  {{&L::post_norm_weight}, {layer + "pre_feedforward_layernorm.weight"}},
                                  {{&L::mlp_output_norm_weight}, {layer + "post_feedforward_layernorm.weight"}}},
                          hub_head_norm_rows());
        return table;
    }();
    return header.block_output_norms ? later : llama_hub_table(header);
}

/// Of Gemma 1. hidden_act "gelu" is a mistake of the first files for the tanh form, in which the model was trained: releases from
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

/// A cap or scale under `key`; null is `null`, an absent key `absent`.
inline std::optional<double> gemma_number(const Json& config, const char* key, std::optional<double> null,
                                          std::optional<double> absent) {
    const auto found = config.find(key);
    if (found == config.end()) return absent;
    if (found->is_null()) return null;
    const auto number = in_context(to_text("'", key, "'"), [&] { return json_as<double>(*found); });
    if (!(number > 0)) throw Error(to_text("'", key, "' is ", json_shown(*found), ", expected a number above 0"));
    return number;
}

/// What Gemma 2 and 3 have beyond the first. What is absent has the default of the class.
inline void read_gemma_since_2(ModelHeader& header, const Json& config, bool is_third, Notices& notices) {
    require_listable_layers(header);
    Attention& attention = header.attention;
    attention.qk_norm = is_third;
    if (!config.contains("num_key_value_heads")) attention.num_query_groups = 4;
    if (!config.contains("max_position_embeddings") && is_third) header.max_position_embeddings = 131072;
    const bool is_stated = !config.contains("hidden_activation") || !config.at("hidden_activation").is_null();
    if (!is_stated) throw Error("'hidden_activation' is null, expected the name of a function");
    header.mlp.activation =
        config.contains("hidden_activation")
            ? in_context("'hidden_activation'", [&] { return hub_activation(config.at("hidden_activation")); })
            : Activation::gelu_tanh;
    attention.query_pre_attn_scalar = gemma_number(config, "query_pre_attn_scalar", std::nullopt, 256);
    attention.logit_softcap = gemma_number(config, "attn_logit_softcapping", 0, is_third ? 0 : 50);
    if (is_third && *attention.logit_softcap > 0) {
        notices.push_back(to_text("config.json: attn_logit_softcapping ", json_shown(Json(*attention.logit_softcap)),
                                  " is left out: Gemma 3 caps no scores in transformers, whatever it says"));
        attention.logit_softcap = 0;
    }
    header.final_logit_softcap = gemma_number(config, "final_logit_softcapping", 0, is_third ? 0 : 30);
    if (!attention.query_pre_attn_scalar) throw Error("'query_pre_attn_scalar' is null, expected a number above 0");
    read_gemma_layers(header, config, notices);
}

/// What the model_type says and no key does. Layers come last: those that differ have all else of the others.
inline Notices read_gemma(ModelHeader& header, const Json& config) {
    const std::string type = hub_type_of(config);
    header.norm_zero_centered = true;
    header.embedding_multiplier = gemma_multiplier(header);
    header.other_layers.clear();
    header.block_output_norms = type != "gemma";
    header.attention.qk_norm = false;
    header.attention.sliding_window = 0;
    Notices notices;
    if (header.block_output_norms) {
        read_gemma_since_2(header, config, type == "gemma3_text", notices);
    } else {
        notices = read_gemma_activation(header, config);
        read_hub_rope(header, config, notices);
    }
    return notices;
}

/// A key of Gemma 2 and 3; in Gemma 1, where it counts for nothing, it stays as it is.
inline ConfigEntry gemma_2_entry(std::string_view key, Json (*value)(const ModelHeader&)) {
    return config::written(key, [key, value](const ModelHeader& h) {
        return h.block_output_norms ? value(h) : gemma_carried(h, std::string(key));
    });
}
inline Json gemma_cap(const std::optional<double>& cap) { return cap.value_or(0) > 0 ? Json(*cap) : Json(nullptr); }

inline ConfigTable gemma_config() {
    using namespace config;
    using H = ModelHeader;
    const auto activation = [](const H& h, std::string_view key) {
        return hub_activation_name(h, key, "gelu_pytorch_tanh");
    };
    return {written("hidden_act",
                    [activation](const H& h) {
                        const bool is_kept = !gemma_carried(h, "hidden_act").is_discarded();
                        return is_kept || !h.block_output_norms ? activation(h, "hidden_act") : left_out();
                    }),
            written("hidden_activation", [activation](const H& h) { return activation(h, "hidden_activation"); }),
            stated(entry({"rms_norm_eps"}, field::norm_epsilon, 1e-6)),
            stated(entry({"tie_word_embeddings"}, field::tied_embeddings, true)),
            bias_config("attention_bias", field::qkv_bias, field::dense_bias),
            gemma_2_entry("query_pre_attn_scalar",
                          [](const H& h) { return number(h.attention.query_pre_attn_scalar.value_or(0)); }),
            gemma_2_entry("attn_logit_softcapping", [](const H& h) { return gemma_cap(h.attention.logit_softcap); }),
            gemma_2_entry("final_logit_softcapping", [](const H& h) { return gemma_cap(h.final_logit_softcap); })};
}

/// Whether layers differ as this Gemma's may: the first's do not, the second's in a window, the third's in how positions
/// turn besides.
inline bool is_gemma_in_all_layers(const ModelHeader& h) {
    if (!h.block_output_norms) return h.other_layers.empty();
    const bool differs_so = h.attention.qk_norm ? differs_in_window_and_positions_alone(h) : differs_in_window_alone(h);
    return attends_in_two_ways(h) && differs_so &&
           std::none_of(h.other_layers.begin(), h.other_layers.end(),
                        [](const auto& other) { return other.second.mlp.has_value(); });
}

/// Of a Gemma 2 or 3 the source must say what no tensor tells: other values than the usual make other models.
inline std::vector<Requirement> gemma_requirements() {
    using H = ModelHeader;
    constexpr std::string_view remedy = "give the option config: the Hugging Face folder that the model comes from";
    return {
        require::zero_centered_norm,
        require::attention_biases_agree,
        {"biases in its MLP", [](const H& h) { return !h.mlp.fc1_bias && !h.mlp.fc2_bias; }},
        {"embeddings that are not scaled by √hidden_size (embedding_multiplier)",
         [](const H& h) {
             const double wanted = gemma_multiplier(h);
             return std::abs(h.embedding_multiplier.value_or(wanted) - wanted) < 1e-6 * wanted;
         }},
        {require::no_window.otherwise, [](const H& h) { return h.block_output_norms || require::no_window.holds(h); }},
        {"norms of queries and keys, but none of what attention and MLP put out",
         [](const H& h) { return h.block_output_norms || !h.attention.qk_norm; }},
        {require::uncapped_scores.otherwise,  // Gemma 3's class has the key, and does not read it
         [](const H& h) {
             return (h.block_output_norms && !h.attention.qk_norm) || require::uncapped_scores.holds(h);
         }},
        {require::uncapped_logits.otherwise,
         [](const H& h) { return h.block_output_norms || require::uncapped_logits.holds(h); }},
        {require::usual_scale.otherwise,
         [](const H& h) { return h.block_output_norms || require::usual_scale.holds(h); }},
        {"scores whose scale its source does not state (query_pre_attn_scalar)",
         [](const H& h) { return !h.block_output_norms || h.attention.query_pre_attn_scalar.has_value(); }, remedy},
        {"scores or logits of which its source does not state whether they are capped (logit_softcap, "
         "final_logit_softcap)",
         [](const H& h) { return !h.block_output_norms || (h.attention.logit_softcap && h.final_logit_softcap); },
         remedy},
        {"layers of which its source does not state whether they have a window (sliding_window)",
         [](const H& h) { return !h.block_output_norms || h.attention.sliding_window.has_value(); }, remedy},
        {"layers with a window whose rotary base its source does not state (rope_theta)",
         [](const H& h) {
             const Attention* windowed = windowed_attention(h);
             return !h.block_output_norms || !windowed || windowed->rope_theta;
         },
         remedy},
        {"scaled rotary positions on layers with a window (rope_scaling)",
         [](const H& h) {
             const Attention* windowed = windowed_attention(h);
             return !h.block_output_norms || !h.attention.qk_norm || !windowed ||
                    windowed->rope_scaling.value_or(RopeScaling{}).type == "default";
         }},
        {"layers that differ otherwise than those of a Gemma (other_layers)", is_gemma_in_all_layers}};
}

}  // namespace detail

/// Gemma 1 and CodeGemma, Gemma 2, and the language models of Gemma 3.
CROSSDOCK_ENTRY_POINT const Family& gemma_family() {
    static const Family family{
        .name = "gemma",
        .model_types = {"gemma", "gemma2", "gemma3_text"},
        .defaults = defaults::rms_decoder,
        .requirements = join_lists(require::rms_decoder(), detail::gemma_requirements()),
        .layouts = {{.kind = &hugging_face,
                     .types = {"gemma", "gemma2", "gemma3_text"},
                     .relatives = {"recurrent_gemma", "gemma3n_text", "t5gemma"},
                     .config =
                         join_lists(detail::llama_sizes({.key_value_heads = 16, .head_size = 256, .positions = 8192}),
                                    rope_config(), detail::gemma_config(), detail::gemma_layers_config()),
                     .switches = {{"use_bidirectional_attention", false}},
                     .layers_may_differ = true,
                     .says_caps = true,
                     .after_config = detail::read_gemma,
                     .type = detail::gemma_type,
                     .architecture =
                         [](const ModelHeader& h) {
                             const std::string generation = !h.block_output_norms ? ""
                                                            : h.attention.qk_norm ? "3"
                                                                                  : "2";
                             return to_text("Gemma", generation, "ForCausalLM");
                         },
                     .table = detail::gemma_table,
                     .spellings = {.base = "model.", .heads = {"lm_head."}}}},
        .guessed_model_type = detail::gemma_type};
    return family;
}

}  // namespace crossdock
