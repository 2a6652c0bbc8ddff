// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/family/header_json.hpp"
#include "crossdock/family/hub_config.hpp"
#include "crossdock/family/json.hpp"
#include "crossdock/plugin/options.hpp"
#include "crossdock/protocol/model_header.hpp"

namespace crossdock {

/// Header fields that the user states, whatever the source's description says of them.
struct HeaderOverrides {
    std::optional<double> rope_theta{};
    std::optional<std::string> rope_scaling{};  ///< Hugging Face's dictionary, as JSON
    std::optional<double> rotary_percent{};
    std::optional<double> norm_epsilon{};
    std::optional<std::string> activation{};  ///< Hugging Face's name
    std::optional<std::uint64_t> max_position_embeddings{};
    std::optional<std::uint64_t> sliding_window{};
    std::optional<double> attention_dropout{}, hidden_dropout{};
};

namespace detail {

/// What transformers asks of a kind of rotary scaling (modeling_rope_utils.py of 5.17).
struct RopeKind {
    std::string_view type;
    std::vector<std::string_view> required, optional{};
};

inline const std::vector<RopeKind>& rope_kinds() {
    static const std::vector<RopeKind> kinds{
        {"default", {}},
        {"linear", {"factor"}},
        {"dynamic", {"factor"}, {"original_max_position_embeddings"}},
        {"yarn",
         {"factor"},
         {"original_max_position_embeddings", "attention_factor", "beta_fast", "beta_slow", "mscale", "mscale_all_dim",
          "truncate"}},
        {"longrope",
         {"short_factor", "long_factor"},
         {"factor", "attention_factor", "original_max_position_embeddings"}},
        {"llama3", {"factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"}}};
    return kinds;
}

inline const RopeKind& rope_kind_of(const Json& scaling) {
    const auto type = scaling.contains("rope_type") ? scaling.find("rope_type") : scaling.find("type");
    if (type == scaling.end() || !type->is_string()) throw UsageError("has no rope_type, which says what kind it is");
    const auto& name = type->get_ref<const std::string&>();
    std::vector<std::string> known;
    for (const RopeKind& kind : rope_kinds()) {
        if (kind.type == name) return kind;
        known.emplace_back(kind.type);
    }
    throw UsageError(text("is of rope_type '", name, "'", known_names(name, known)));
}

inline bool is_positive_number(const Json& value) { return value.is_number() && value.get<double>() > 0; }

/// Throws Error where a key is missing, unknown or of the wrong kind: a spelling mistake must not become a default.
inline void check_rope_scaling(const Json& scaling) {
    const RopeKind& kind = rope_kind_of(scaling);
    for (const std::string_view key : kind.required)
        if (!scaling.contains(std::string(key)))
            throw UsageError(text("has no ", key, ", which ", kind.type, " needs"));
    constexpr std::array always{"rope_type", "type", "rope_theta", "partial_rotary_factor"};
    for (const auto& [key, value] : scaling.items()) {
        const auto is_key = [&name = key](std::string_view known) { return known == name; };
        if (std::none_of(always.begin(), always.end(), is_key) &&
            std::none_of(kind.required.begin(), kind.required.end(), is_key) &&
            std::none_of(kind.optional.begin(), kind.optional.end(), is_key))
            throw UsageError(text("has a key '", key, "', which ", kind.type, " does not know"));
        const bool is_list = key == "short_factor" || key == "long_factor";
        const bool fits = is_list ? value.is_array() && std::all_of(value.begin(), value.end(), is_positive_number)
                          : key == "rope_type" || key == "type" ? value.is_string()
                          : key == "truncate"                   ? value.is_boolean()
                                                                : is_positive_number(value);
        if (!fits) throw UsageError(text("has a '", key, "' that is ", value.dump().substr(0, 40)));
    }
}

/// Sets rope_scaling. What the header has no fields for stands in the config.json that is carried along.
inline void override_rope_scaling(const std::string& given, ModelHeader& header) {
    Json scaling = parse_json(given, "--rope_scaling");
    if (scaling.is_null()) scaling = {{"rope_type", "default"}};
    if (!scaling.is_object()) throw UsageError("--rope_scaling: expected a JSON object, as in config.json, or null");
    within("--rope_scaling", [&] {
        check_rope_scaling(scaling);
        read_rope(scaling, header);
    });
    header.given.emplace("rope_scaling");
    if (scaling.contains("rope_theta")) header.given.emplace("rope_theta");
    if (scaling.contains("partial_rotary_factor")) header.given.emplace("rotary_percent");
    Json config = carried_config(header);
    config.erase("rope_parameters");
    scaling.erase("rope_theta");
    scaling.erase("partial_rotary_factor");
    config["rope_scaling"] = std::move(scaling);
    header.carried["config.json"] = config.dump();
}

inline void require_positive(const std::optional<double>& value, std::string_view option) {
    if (value && *value <= 0) throw UsageError(text("--", option, " must be a number above 0"));
}

/// Throws Error where an option speaks of rotary positions and the model has none.
inline void require_rotary(const ModelHeader& header, std::string_view option) {
    if (header.positions != PositionKind::rope)
        throw Error(text("--", option, " contradicts the model, whose positions are not rotary but ",
                         enum_name(header.positions)));
}

}  // namespace detail

/// Writes what the user states over what the header says, and notes it in header.given. Throws Error where that
/// cannot be said of the model.
inline void apply_overrides(const HeaderOverrides& asked, ModelHeader& header) {
    const auto take = [&header](std::string_view name, const auto& value, auto member) {
        if (!value) return;
        header.*member = *value;
        header.given.emplace(name);
    };
    const auto is_share = [](const std::optional<double>& share) { return !share || (*share >= 0 && *share <= 1); };
    detail::require_positive(asked.rope_theta, "rope_theta");
    detail::require_positive(asked.norm_epsilon, "norm_epsilon");
    detail::require_positive(asked.rotary_percent, "rotary_percent");
    if (!is_share(asked.rotary_percent)) throw UsageError("--rotary_percent is a share of a head, at most 1");
    if (!is_share(asked.attention_dropout)) throw UsageError("--attention_dropout is a share, from 0 to 1");
    if (!is_share(asked.hidden_dropout)) throw UsageError("--hidden_dropout is a share, from 0 to 1");
    if (asked.max_position_embeddings == 0U) throw UsageError("--max_position_embeddings is 0, expected at least 1");
    if (asked.rope_theta) detail::require_rotary(header, "rope_theta");
    if (asked.rotary_percent) detail::require_rotary(header, "rotary_percent");
    if (asked.rope_scaling) {
        detail::require_rotary(header, "rope_scaling");
        detail::override_rope_scaling(*asked.rope_scaling, header);
    }
    take("rope_theta", asked.rope_theta, &ModelHeader::rope_theta);
    take("rotary_percent", asked.rotary_percent, &ModelHeader::rotary_percent);
    take("norm_epsilon", asked.norm_epsilon, &ModelHeader::norm_epsilon);
    take("max_position_embeddings", asked.max_position_embeddings, &ModelHeader::max_position_embeddings);
    take("sliding_window", asked.sliding_window, &ModelHeader::sliding_window);
    take("attention_dropout", asked.attention_dropout, &ModelHeader::attention_dropout);
    take("hidden_dropout", asked.hidden_dropout, &ModelHeader::hidden_dropout);
    if (asked.activation) {
        header.activation = within("--activation", [&] { return detail::hub_activation(Json(*asked.activation)); });
        header.given.emplace("activation");
    }
}

/// The options that set the overrides in a plugin's Options, which every loader and saver offers.
template <class Options>
std::vector<OptionSpec<Options>> override_options(HeaderOverrides Options::*overrides) {
    std::vector<OptionSpec<Options>> specs;
    const auto add = [&](std::string name, std::string value, std::string help, auto member) {
        auto spec = option<HeaderOverrides>(std::move(name), std::move(value), std::move(help), member);
        auto set = [overrides, inner = std::move(spec.set)](Options& options, const std::string& given) {
            inner(options.*overrides, given);
        };
        specs.push_back({std::move(spec.info), std::move(set)});
    };
    using H = HeaderOverrides;
    add("rope_theta", "X", "base of the rotary frequencies, whatever the source says", &H::rope_theta);
    add("rope_scaling", "JSON", "as in config.json: {\"rope_type\": \"linear\", \"factor\": 2}", &H::rope_scaling);
    add("rotary_percent", "X", "share of each head that is rotated", &H::rotary_percent);
    add("norm_epsilon", "X", "added to variances by the norms", &H::norm_epsilon);
    add("activation", "NAME", "of the MLP, as config.json calls it: silu, gelu, gelu_pytorch_tanh …", &H::activation);
    add("max_position_embeddings", "N", "longest input in tokens", &H::max_position_embeddings);
    add("sliding_window", "N", "tokens that a token sees, itself included; 0: all", &H::sliding_window);
    add("attention_dropout", "X", "in training", &H::attention_dropout);
    add("hidden_dropout", "X", "in training", &H::hidden_dropout);
    return specs;
}

}  // namespace crossdock
