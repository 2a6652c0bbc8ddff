// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "crossdock/family/config_table.hpp"
#include "crossdock/family/description.hpp"
#include "crossdock/family/hub/rope.hpp"
#include "crossdock/protocol/header_fields.hpp"
#include "crossdock/protocol/layer_windows.hpp"

namespace crossdock {

// Lines that several families' config.json share. Releases of transformers before 5 write torch_dtype, later ones
// dtype; the first is written, which every release reads.

namespace detail {

inline constexpr std::array<std::pair<std::string_view, Activation>, 13> hub_activations{{
    {"silu", Activation::silu},
    {"gelu", Activation::gelu_erf},
    {"gelu_pytorch_tanh", Activation::gelu_tanh},
    {"relu", Activation::relu},
    {"relu2", Activation::squared_relu},
    {"quick_gelu", Activation::quick_gelu},
    {"linear", Activation::linear},
    {"swish", Activation::silu},
    {"gelu_new", Activation::gelu_tanh},
    {"gelu_fast", Activation::gelu_tanh},
    {"gelu_python", Activation::gelu_erf},
    {"gelu_python_tanh", Activation::gelu_tanh},
    {"gelu_accurate", Activation::gelu_tanh},
}};

inline std::optional<Activation> find_hub_activation(const Json& name) {
    if (!name.is_string()) return std::nullopt;
    for (const auto& [known, activation] : hub_activations)
        if (name.get_ref<const std::string&>() == known) return activation;
    return std::nullopt;
}

inline Activation hub_activation(const Json& value) {
    const auto name = json_as<std::string>(value);
    if (const auto found = find_hub_activation(value)) return *found;
    throw Error(to_text("is the activation '", name, "', which is not known"));
}

/// The source's own config.json; an empty object when it has none.
inline const Json& carried_config(const ModelHeader& header) { return carried_json(header, "config.json"); }

/// Several names mean one function, but round differently: the source's is kept, else the family's own is taken.
inline Json hub_activation_name(const ModelHeader& header, std::string_view key, const Json& familys) {
    using namespace config;
    if (!header.mlp.activation) return left_out();
    const Json& carried = carried_config(header);
    if (const auto name = carried.find(key);
        name != carried.end() && find_hub_activation(*name) == header.mlp.activation)
        return *name;
    if (find_hub_activation(familys) == header.mlp.activation) return familys;
    for (const auto& [name, activation] : hub_activations)
        if (activation == header.mlp.activation) return name;
    return left_out();
}

}  // namespace detail

/// How rotary positions are written; read_hub_rope reads them.
inline ConfigTable rope_config() {
    using namespace config;
    // Before release 5, longrope took the length from outside of rope_scaling alone.
    const auto length = [](const ModelHeader& header) {
        const bool is_known =
            header.attention.rope_scaling && header.attention.rope_scaling->original_max_position_embeddings;
        const bool was_there = detail::carried_config(header).contains("original_max_position_embeddings");
        return is_known && was_there ? Json(*header.attention.rope_scaling->original_max_position_embeddings)
                                     : left_out();
    };
    return {{{"rope_theta"},
             nullptr,
             nullptr,
             [](const ModelHeader& header) { return detail::json_of(full_attention(header).rope_theta); }},
            {{"rope_scaling", "rope_parameters"}, nullptr, nullptr, detail::write_rope},
            written("original_max_position_embeddings", length)};
}

/// `absent` is the family's default.
inline ConfigEntry activation_config(std::string_view key, const Json& absent) {
    return {{key},
            absent,
            [](const Json& value, ModelHeader& header) { header.mlp.activation = detail::hub_activation(value); },
            [key, absent](const ModelHeader& header) { return detail::hub_activation_name(header, key, absent); }};
}

/// Rows of the embeddings; what the source says of them is the true size.
inline ConfigEntry vocab_size_config() {
    return {
        {"vocab_size"},
        nullptr,
        [](const Json& value, ModelHeader& header) { header.true_vocab_size = detail::json_as<std::uint64_t>(value); },
        [](const ModelHeader& header) { return Json(header.vocab_rows); }};
}

/// torch_dtype; the tensors decide when reading.
inline ConfigEntry dtype_config() {
    return {{"torch_dtype", "dtype"}, nullptr, nullptr, [](const ModelHeader& header) {
                return Json(torch_name(header.params_dtype));
            }};
}

}  // namespace crossdock
