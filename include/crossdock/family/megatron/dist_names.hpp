// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "crossdock/core/text.hpp"

namespace crossdock {

// Megatron-Core's distributed checkpoints (torch_dist) have the names of its rank files with two differences: all
// layers lie in one tensor, on an axis of their own in front ("decoder.layers.mlp.linear_fc1.weight" [layers, rows,
// columns]), and norms are spelt as Transformer Engine's layers do, whichever layers the model has
// (megatron/core/transformer/transformer_block.py, sharded_state_dict; models/gpt/gpt_layer_specs.py,
// sharded_state_dict_keys_map). Layers are counted through the whole model, and so are the experts of a layer, which lie
// on an axis behind that of the layers (transformer/moe/experts.py). Where some layers have experts and others do not,
// each layer's tensors stand by themselves, under names with its number; those of layers that predict further tokens
// always do ("mtp.layers.0.transformer_layer.mlp.…", transformer/multi_token_prediction.py). In front of experts
// Transformer Engine's layers have a norm by itself, which its checkpoints name as the rank files do.

/// What a distributed checkpoint calls a tensor.
struct DistName {
    std::string name;                       ///< without the number of the layer
    std::optional<std::uint64_t> layer{};   ///< where it lies on the tensor's first axis; none: it is no layer's
    std::optional<std::uint64_t> expert{};  ///< where it lies on the axis behind that; none: it is no expert's

    bool operator==(const DistName&) const = default;
};

namespace detail {

inline constexpr std::string_view layers_part = "layers.";

/// Behind "layers." in a name; npos when it speaks of no layers.
inline std::size_t behind_layers(std::string_view name) {
    for (std::size_t at = name.find(layers_part); at != name.npos; at = name.find(layers_part, at + 1))
        if (at == 0 || name[at - 1] == '.') return at + layers_part.size();
    return name.npos;
}

/// A name with the number of a layer in it: "decoder.layers.7.mlp.…", "mtp.layers.0.transformer_layer.mlp.…".
struct LayerName {
    std::string_view in_front;  ///< "decoder.layers.7.", "mtp.layers.0.transformer_layer."
    std::size_t number_at;      ///< where the number stands in it
    std::uint64_t number;
    bool is_mtp;              ///< it is one that predicts further tokens
    std::string_view behind;  ///< what the layer calls it
};

/// The parts of a layer's name; nothing where it is none's.
inline std::optional<LayerName> layer_in(std::string_view name) {
    const std::size_t begin = behind_layers(name);
    if (begin == name.npos) return std::nullopt;
    const char* const end = name.data() + name.size();
    std::uint64_t number = 0;
    const auto [rest, error] = std::from_chars(name.data() + begin, end, number);
    if (error != std::errc() || rest == end || *rest != '.') return std::nullopt;
    std::size_t behind = static_cast<std::size_t>(rest - name.data()) + 1;
    const bool is_mtp = name.substr(0, begin).ends_with("mtp.layers.");
    for (const std::string_view inner : {"transformer_layer.", "mtp_model_layer."})
        if (is_mtp && name.substr(behind).starts_with(inner)) behind += inner.size();
    return LayerName{name.substr(0, behind), begin, number, is_mtp, name.substr(behind)};
}

/// Norms of Megatron-Core's own layers → how Transformer Engine's layers spell them, behind the layer's number.
inline constexpr std::array<std::pair<std::string_view, std::string_view>, 2> norm_spellings{
    {{"input_layernorm.", "self_attention.linear_qkv.layer_norm_"},
     {"pre_mlp_layernorm.", "mlp.linear_fc1.layer_norm_"}}};

/// How an expert's tensors are called where each has a number, and where all lie on an axis.
inline constexpr std::string_view numbered_experts = "mlp.experts.local_experts.",
                                  stacked_experts = "mlp.experts.experts.";

/// Takes the expert's number out of what stands behind the layer's; nothing where there is none. With
/// singleton_local_shards a distributed checkpoint numbers experts as well.
inline std::optional<std::uint64_t> take_expert(std::string& in_layer) {
    for (const std::string_view part : {numbered_experts, stacked_experts}) {
        if (!in_layer.starts_with(part)) continue;
        const char* const end = in_layer.data() + in_layer.size();
        std::uint64_t expert = 0;
        const auto [rest, error] = std::from_chars(in_layer.data() + part.size(), end, expert);
        if (error != std::errc() || rest == end || *rest != '.') continue;
        in_layer = to_text(stacked_experts, std::string_view(rest + 1, static_cast<std::size_t>(end - rest - 1)));
        return expert;
    }
    return std::nullopt;
}

/// What stands behind the layer's number, with norms as Transformer Engine's layers spell them.
inline std::string engine_spelling(std::string_view in_layer) {
    for (const auto& [own, engine] : norm_spellings)
        if (in_layer.starts_with(own)) return to_text(engine, in_layer.substr(own.size()));
    return std::string(in_layer);
}

}  // namespace detail

/// The name in a distributed checkpoint of what a rank file, its layers counted through the whole model, calls
/// "decoder.layers.7.input_layernorm.weight": "decoder.layers.self_attention.linear_qkv.layer_norm_weight" and layer 7.
/// Norms that have names of their own keep them where `keeps_norms`.
inline DistName dist_name(std::string_view name, bool keeps_norms = false) {
    const auto layer = detail::layer_in(name);
    if (!layer) return {std::string(name)};
    std::string in_layer = keeps_norms ? std::string(layer->behind) : detail::engine_spelling(layer->behind);
    const auto expert = detail::take_expert(in_layer);
    if (layer->is_mtp) return {to_text(layer->in_front, in_layer), {}, expert};
    return {to_text(layer->in_front.substr(0, layer->number_at), in_layer), layer->number, expert};
}

/// The name under which a layer's tensor stands by itself.
inline DistName by_itself(const DistName& name) {
    const std::size_t begin = detail::behind_layers(name.name);
    if (!name.layer || begin == name.name.npos) return name;
    const std::string_view all = name.name;
    return {to_text(all.substr(0, begin), *name.layer, '.', all.substr(begin)), {}, name.expert};
}

/// The inverse: what a rank file calls it, with norms as Transformer Engine's layers spell them.
inline std::string rank_file_name(const DistName& name) {
    const auto layer = detail::layer_in(name.name);
    const std::size_t begin = layer ? layer->in_front.size() : detail::behind_layers(name.name);
    if ((!layer && !name.layer) || begin == name.name.npos) return name.name;
    std::string in_layer = detail::engine_spelling(std::string_view(name.name).substr(begin));
    if (name.expert && in_layer.starts_with(detail::stacked_experts))
        in_layer = to_text(detail::numbered_experts, *name.expert, '.',
                           std::string_view(in_layer).substr(detail::stacked_experts.size()));
    return to_text(std::string_view(name.name).substr(0, begin), layer ? "" : to_text(*name.layer, '.'), in_layer);
}

}  // namespace crossdock
