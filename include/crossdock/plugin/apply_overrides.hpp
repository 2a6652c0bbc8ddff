// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "crossdock/container/json.hpp"
#include "crossdock/family/hub/config.hpp"
#include "crossdock/family/hub/rope.hpp"
#include "crossdock/plugin/header_overrides.hpp"
#include "crossdock/protocol/header_fields.hpp"
#include "crossdock/protocol/model_header.hpp"

namespace crossdock {

namespace detail {

/// What each kind of rotary scaling knows beside what it needs (transformers 5.17, modeling_rope_utils.py).
inline std::vector<std::string_view> further_rope_keys(std::string_view kind) {
    if (kind == "dynamic") return {"original_max_position_embeddings"};
    if (kind == "llama3") return {"original_max_position_embeddings"};
    if (kind == "longrope") return {"factor", "attention_factor", "original_max_position_embeddings"};
    if (kind == "yarn")
        return {"factor",           "original_max_position_embeddings",
                "attention_factor", "beta_fast",
                "beta_slow",        "mscale",
                "mscale_all_dim",   "truncate"};
    return {};
}

/// Throws UsageError for a key that the kind does not know: a spelling mistake must not become a default.
inline void check_rope_keys(const Json& scaling, const std::string& kind) {
    std::vector<std::string_view> known = further_rope_keys(kind);
    known.insert(known.end(), {"rope_type", "type", "rope_theta"});
    for (const RopeKind& line : rope_kinds())
        if (line.name == kind) known.insert(known.end(), line.needs.begin(), line.needs.end());
    for (const auto& [key, value] : scaling.items())
        if (std::find(known.begin(), known.end(), std::string_view(key)) == known.end())
            throw UsageError(to_text("has a key '", key, "', which ", kind, " does not know"));
}

/// Hugging Face's dictionary as a scaling. Throws Error where a key is missing, unknown or of the wrong kind.
inline void override_rope_scaling(const std::string& given, ModelHeader& header) {
    const Json scaling = parse_json(given, "rope_scaling");
    if (!scaling.is_null() && !scaling.is_object())
        throw UsageError("rope_scaling: expected a JSON object, as in config.json, or null");
    in_context("rope_scaling", [&] {
        if (scaling.is_object() && !scaling.contains("rope_type") && !scaling.contains("type"))
            throw UsageError("has no rope_type, which says what kind it is");
        read_rope(scaling, header);
        if (scaling.is_object()) check_rope_keys(scaling, header.attention.rope_scaling->type);
        if (header.attention.rope_scaling->factor && *header.attention.rope_scaling->factor <= 0)
            throw UsageError("has a factor that is not above 0");
        auto& length = header.attention.rope_scaling->original_max_position_embeddings;
        if (header.attention.rope_scaling->type == "llama3" && !length)
            throw UsageError("has no original_max_position_embeddings, which llama3 needs");
        if (has_original_length(header.attention.rope_scaling->type) && !length)
            length = header.max_position_embeddings;
    });
    header.origin.given.emplace("rope_scaling");
    if (scaling.is_object() && scaling.contains("rope_theta")) header.origin.given.emplace("rope_theta");
}

inline void require_positive(const std::optional<double>& value, std::string_view option) {
    if (value && *value <= 0) throw UsageError(to_text("the option ", option, " must be a number above 0"));
}

/// Throws Error where an option speaks of rotary positions and the model has none.
inline void require_rotary(const ModelHeader& header, std::string_view option) {
    if (header.positions != PositionKind::rope)
        throw Error(to_text("the option ", option, " contradicts the model, whose positions are not rotary but ",
                            enum_name(header.positions)));
}

}  // namespace detail

namespace detail {

/// What the user states of a model holds of all its layers. Those that are like the others then are no others.
inline void override_other_layers(const HeaderOverrides& asked, ModelHeader& header) {
    const Attention& stated = header.attention;
    for (auto& [layer, kind] : header.other_layers) {
        if (kind.attention) {
            if (asked.rope_theta || asked.rope_scaling) kind.attention->rope_theta = stated.rope_theta;
            if (asked.rope_scaling) kind.attention->rope_scaling = stated.rope_scaling;
            if (asked.rotary_percent) kind.attention->rotary_percent = stated.rotary_percent;
            if (asked.sliding_window) kind.attention->sliding_window = stated.sliding_window;
        }
        if (kind.mlp && asked.activation) kind.mlp->activation = header.mlp.activation;
    }
    std::erase_if(header.other_layers, [&](const auto& other) {
        return attention_of(header, other.first) == stated && mlp_of(header, other.first) == header.mlp;
    });
}

}  // namespace detail

/// Writes what the user states over what the header says, and notes it in header.origin.given. Throws Error where that
/// cannot be said of the model.
inline void apply_overrides(const HeaderOverrides& asked, ModelHeader& header) {
    const auto take = [&header](const auto& value, const auto& field) {
        if (!value) return;
        field(header) = *value;
        header.origin.given.emplace(field.name);
    };
    const auto is_share = [](const std::optional<double>& share) { return !share || (*share >= 0 && *share <= 1); };
    detail::require_positive(asked.rope_theta, "rope_theta");
    detail::require_positive(asked.norm_epsilon, "norm_epsilon");
    detail::require_positive(asked.rotary_percent, "rotary_percent");
    if (!is_share(asked.rotary_percent)) throw UsageError("the option rotary_percent is a share of a head, at most 1");
    if (!is_share(asked.attention_dropout)) throw UsageError("the option attention_dropout is a share, from 0 to 1");
    if (!is_share(asked.hidden_dropout)) throw UsageError("the option hidden_dropout is a share, from 0 to 1");
    if (asked.max_position_embeddings == 0U)
        throw UsageError("the option max_position_embeddings is 0, expected at least 1");
    if (asked.rope_theta) detail::require_rotary(header, "rope_theta");
    if (asked.rotary_percent) detail::require_rotary(header, "rotary_percent");
    take(asked.max_position_embeddings, field::max_position_embeddings);
    if (asked.rope_scaling) {
        detail::require_rotary(header, "rope_scaling");
        detail::override_rope_scaling(*asked.rope_scaling, header);
    }
    take(asked.rope_theta, field::rope_theta);
    take(asked.rotary_percent, field::rotary_percent);
    take(asked.norm_epsilon, field::norm_epsilon);
    take(asked.sliding_window, field::sliding_window);
    take(asked.attention_dropout, field::attention_dropout);
    take(asked.hidden_dropout, field::hidden_dropout);
    if (asked.activation) {
        header.mlp.activation =
            in_context("activation", [&] { return detail::hub_activation(Json(*asked.activation)); });
        header.origin.given.emplace("activation");
    }
    detail::override_other_layers(asked, header);
}

/// The names of the fields that the user states.
inline std::set<std::string> given_fields(const HeaderOverrides& asked) {
    ModelHeader header;
    apply_overrides(asked, header);
    return header.origin.given;
}

}  // namespace crossdock
