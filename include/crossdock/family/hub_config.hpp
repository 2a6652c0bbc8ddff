// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "crossdock/family/config_table.hpp"

namespace crossdock {

// Lines that several families' config.json share. Releases of transformers before 5 write rope_theta, rope_scaling and
// torch_dtype, later ones rope_parameters and dtype; both are read, the first is written, which every release reads.

namespace detail {

inline constexpr std::array<std::pair<std::string_view, Activation>, 11> hub_activations{{
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
}};

inline std::optional<Activation> find_hub_activation(const Json& name) {
    for (const auto& [known, activation] : hub_activations)
        if (name == known) return activation;
    return std::nullopt;
}

inline Activation hub_activation(const Json& value) {
    const auto name = json_as<std::string>(value);
    if (const auto found = find_hub_activation(value)) return *found;
    throw Error(text("is the activation '", name, "', which is not known"));
}

/// The source's own config.json; an empty object when it has none.
inline Json carried_config(const ModelHeader& header) {
    const auto carried = header.carried.find("config.json");
    Json config = carried == header.carried.end() ? Json() : parse_json(carried->second, "config.json of the source");
    return config.is_object() ? config : Json::object();
}

/// Several names mean one function, but round differently: the source's is kept, else the family's own is taken.
inline Json hub_activation_name(const ModelHeader& header, std::string_view key, const Json& familys) {
    if (!header.activation) return left_out();
    const Json carried = carried_config(header);
    if (const auto name = carried.find(key); name != carried.end() && find_hub_activation(*name) == header.activation)
        return *name;
    if (find_hub_activation(familys) == header.activation) return familys;
    for (const auto& [name, activation] : hub_activations)
        if (activation == header.activation) return name;
    return left_out();
}

template <class T>
void read_parameter(const Json& object, const char* key, std::optional<T>& field) {
    if (const auto found = object.find(key); found != object.end() && !found->is_null())
        within(text("'", key, "'"), [&] { field = json_as<T>(*found); });
}

/// rope_scaling or rope_parameters.
inline void read_rope(const Json& value, ModelHeader& header) {
    RopeScaling scaling;
    if (value.is_object()) {
        std::optional<std::string> type;
        read_parameter(value, "type", type);
        read_parameter(value, "rope_type", type);
        scaling.type = type.value_or("default");
        read_parameter(value, "factor", scaling.factor);
        read_parameter(value, "low_freq_factor", scaling.low_freq_factor);
        read_parameter(value, "high_freq_factor", scaling.high_freq_factor);
        read_parameter(value, "original_max_position_embeddings", scaling.original_max_position_embeddings);
        read_parameter(value, "rope_theta", header.rope_theta);
        read_parameter(value, "partial_rotary_factor", header.rotary_percent);
    } else if (!value.is_null()) {
        throw Error(text("is ", json_shown(value), ", expected an object or null"));
    }
    header.rope_scaling = scaling;
}

/// The parameters of a scaling that the header does not type, from the source's own config.json.
inline Json carried_rope(const ModelHeader& header) {
    const Json config = carried_config(header);
    for (const char* key : {"rope_parameters", "rope_scaling"})
        if (const auto found = config.find(key); found != config.end() && found->is_object()) {
            Json parameters = *found;
            parameters.erase("rope_theta");
            parameters.erase("type");
            return parameters;
        }
    return Json::object();
}

inline Json write_rope(const ModelHeader& header) {
    if (!header.rope_scaling || header.rope_scaling->type == "default") return nullptr;
    const RopeScaling& scaling = *header.rope_scaling;
    Json out = carried_rope(header);
    out["rope_type"] = scaling.type;
    if (scaling.factor) out["factor"] = *scaling.factor;
    if (scaling.low_freq_factor) out["low_freq_factor"] = *scaling.low_freq_factor;
    if (scaling.high_freq_factor) out["high_freq_factor"] = *scaling.high_freq_factor;
    if (scaling.original_max_position_embeddings)
        out["original_max_position_embeddings"] = *scaling.original_max_position_embeddings;
    return out;
}

}  // namespace detail

/// rope_theta, rope_scaling and rope_parameters.
inline ConfigTable rope_config(double default_theta) {
    return {entry({"rope_theta"}, &ModelHeader::rope_theta, default_theta),
            {{"rope_scaling"}, Json::object(), detail::read_rope, detail::write_rope},
            understood({"rope_parameters"}, detail::read_rope)};
}

/// `absent` is the family's default.
inline ConfigEntry activation_config(std::string_view key, const Json& absent) {
    return {{key},
            absent,
            [](const Json& value, ModelHeader& header) {
                if (!value.is_null()) header.activation = detail::hub_activation(value);
            },
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

namespace detail {

/// What every GPT-2 and every BERT has: learned positions, layer norms, biases everywhere, no gate.
inline void learned_position_defaults(ModelHeader& header) {
    header.norm = NormKind::layer;
    header.norm_zero_centered = false;
    header.positions = PositionKind::learned;
    header.gated_mlp = false;
    header.qkv_bias = header.dense_bias = header.fc1_bias = header.fc2_bias = true;
    header.sliding_window = 0;
    header.embedding_multiplier = 1.0;
}

}  // namespace detail

}  // namespace crossdock
