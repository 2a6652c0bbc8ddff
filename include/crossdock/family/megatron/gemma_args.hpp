// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/core/error.hpp"
#include "crossdock/core/text.hpp"
#include "crossdock/family/config_table.hpp"
#include "crossdock/family/megatron/args.hpp"
#include "crossdock/family/megatron/other_args.hpp"
#include "crossdock/protocol/layer_windows.hpp"
#include "crossdock/protocol/model_header.hpp"

namespace crossdock::detail {

// Which layers have a window (window_attn_skip_freq, since core_v0.15), and what Megatron-LM has no option for: Gemma 2
// and 3, which Megatron-Bridge builds of Megatron-Core's parts. Its names for them are kept where it has some
// (query_pre_attn_scalar, attn_logit_softcapping, final_logit_softcapping); gemma_version, rope_local_base_freq, which
// is Hugging Face's name, and rope_global_linear_factor are ours. They mean something where blocks have output norms,
// which only the tensors tell, so that all of this is read when these have told it.

/// Whether the model is a Gemma 3: of those with norms of the blocks' outputs, the one with norms of queries and keys.
inline bool is_gemma_3(const ModelHeader& header) { return header.block_output_norms && header.attention.qk_norm; }

/// The layers that window_attn_skip_freq gives the window to: 1 in a list of layers, or all but each N-th.
inline std::vector<bool> unskipped_layers(const Json& frequency, std::uint64_t layers) {
    std::vector<bool> unskipped(layers, true);
    if (frequency.is_null()) return unskipped;
    const bool is_list = frequency.is_array() && frequency.size() == layers;
    if (!is_list && !(frequency.is_number_integer() && frequency.get<std::int64_t>() > 0))
        throw Error(to_text("'window_attn_skip_freq' is ", json_shown(frequency), ", expected a list of ", layers,
                            " numbers, 0 or 1, or a number above 0"));
    for (std::uint64_t layer = 0; layer < layers; ++layer)
        unskipped[layer] = is_list ? !is_off(frequency[layer]) : (layer + 1) % frequency.get<std::uint64_t>() != 0;
    return unskipped;
}

/// An argument's number above 0. None is `none`; nothing is read where there is no such argument.
inline void read_number(const Json& args, std::string_view name, std::optional<double>& number,
                        std::optional<double> none = 0.0) {
    const auto found = args.find(std::string(name));
    if (found == args.end()) return;
    if (found->is_null()) return void(number = none);
    number = in_context(to_text("'", name, "'"), [&] { return json_as<double>(*found); });
    if (!(*number > 0)) throw Error(to_text("'", name, "' is ", json_shown(*found), ", expected a number above 0"));
}

/// What holds of all layers of a Gemma 2 or 3.
inline void read_gemma_args(const Json& args, ModelHeader& header) {
    read_number(args, "query_pre_attn_scalar", header.attention.query_pre_attn_scalar, std::nullopt);
    read_number(args, "attn_logit_softcapping", header.attention.logit_softcap);
    read_number(args, "final_logit_softcapping", header.final_logit_softcap);
    if (argument(args, "gemma_version").is_null()) return;
    if (header.family.empty()) header.family = "gemma";
    header.mlp.activation = Activation::gelu_tanh;
    if (!header.embedding_multiplier) header.embedding_multiplier = std::sqrt(static_cast<double>(header.hidden_size));
}

/// A Gemma 3 turns by a base of its own where it has a window, and stretches its positions where it has none.
inline void read_gemma_3_positions(const Json& args, const ModelHeader& known, Attention& windowed, Attention& full) {
    windowed.rope_theta.reset();
    read_number(args, "rope_local_base_freq", windowed.rope_theta, std::nullopt);
    const Attention* const known_windowed = windowed_attention(known);
    const bool is_known = known_windowed && known_windowed->rope_scaling && is_unscaled(known_windowed->rope_scaling);
    windowed.rope_scaling = is_known ? *known_windowed->rope_scaling : RopeScaling{};
    if (is_unscaled(full.rope_scaling)) full.rope_scaling = full_attention(known).rope_scaling;
    const auto factor = args.find("rope_global_linear_factor");
    if (factor == args.end()) return;
    in_context("'rope_global_linear_factor'", [&] { read_linear_factor(*factor, full.rope_scaling); });
}

/// MegatronDialect::read_of_layers of Megatron-Core. rotary_base is of the layers without a window.
inline void read_core_layers(const Json& args, const ModelHeader& known, ModelHeader& header) {
    if (header.block_output_norms) read_gemma_args(args, header);
    Attention windowed = header.attention, full = header.attention;
    if (is_gemma_3(header)) read_gemma_3_positions(args, known, windowed, full);
    if (!has_window(header.attention)) return void(header.attention = full);
    full.sliding_window = 0;
    const Json& frequency = argument(args, "window_attn_skip_freq");
    give_attention(header, unskipped_layers(frequency, header.num_layers), windowed, full);
}

/// A line that read_core_layers() reads.
inline ConfigEntry layers_arg(std::string_view name, Json (*write)(const ModelHeader&)) {
    return {{name}, nullptr, [](const Json&, ModelHeader&) {}, write};
}

/// The layers that have the window, where not all that there are have it.
inline Json window_frequency(const ModelHeader& header) {
    Json list = Json::array();
    bool is_mixed = false;
    const std::vector<bool> with_window = layers_with_window(header);
    for (const bool has_it : with_window) {
        is_mixed |= has_it != with_window.front();
        list.push_back(has_it ? 1 : 0);
    }
    return is_mixed ? list : Json(nullptr);
}

/// 0 is Megatron's None.
inline Json cap_or_null(const std::optional<double>& cap) { return cap.value_or(0) > 0 ? Json(*cap) : Json(nullptr); }

/// What is written of a Gemma 2 or 3 alone.
template <Json (*value)(const ModelHeader&)>
ConfigEntry gemma_arg(std::string_view name) {
    return layers_arg(name, [](const ModelHeader& h) { return h.block_output_norms ? value(h) : config::left_out(); });
}
template <Json (*value)(const ModelHeader&)>
ConfigEntry gemma_3_arg(std::string_view name) {
    return layers_arg(name, [](const ModelHeader& h) { return is_gemma_3(h) ? value(h) : config::left_out(); });
}

namespace gemma_value {
inline Json version(const ModelHeader& h) {
    if (!h.mlp.gated || h.mlp.activation != Activation::gelu_tanh) return config::left_out();  // no Gemma that is known
    return is_gemma_3(h) ? 3 : 2;
}
inline Json scale(const ModelHeader& h) {
    return h.attention.query_pre_attn_scalar ? number(*h.attention.query_pre_attn_scalar) : Json(nullptr);
}
inline Json score_cap(const ModelHeader& h) { return cap_or_null(h.attention.logit_softcap); }
inline Json logit_cap(const ModelHeader& h) { return cap_or_null(h.final_logit_softcap); }
inline Json local_base(const ModelHeader& h) {
    const Attention* windowed = windowed_attention(h);
    return or_null(windowed ? windowed->rope_theta : h.attention.rope_theta);
}
inline Json global_factor(const ModelHeader& h) {
    const auto& scaling = full_attention(h).rope_scaling;
    return scaling && scaling->type == "linear" ? or_null(scaling->factor) : Json(nullptr);
}
}  // namespace gemma_value

inline ConfigTable megatron_gemma_args() {
    return {layers_arg("window_attn_skip_freq", window_frequency),
            gemma_arg<gemma_value::version>("gemma_version"),
            gemma_arg<gemma_value::scale>("query_pre_attn_scalar"),
            gemma_arg<gemma_value::score_cap>("attn_logit_softcapping"),
            gemma_arg<gemma_value::logit_cap>("final_logit_softcapping"),
            gemma_3_arg<gemma_value::local_base>("rope_local_base_freq"),
            gemma_3_arg<gemma_value::global_factor>("rope_global_linear_factor")};
}

}  // namespace crossdock::detail
