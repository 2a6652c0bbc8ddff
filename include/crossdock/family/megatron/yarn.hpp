// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "crossdock/container/json.hpp"
#include "crossdock/container/json_text.hpp"
#include "crossdock/protocol/model_header.hpp"

namespace crossdock::detail {

// Yarn's numbers, which the header keeps as Hugging Face states them, and what the two codes make of them
// (Megatron-Core's core/models/common/embeddings/yarn_rotary_pos_embedding.py, core_v0.16.1; transformers'
// modeling_rope_utils.py, 5.17).

inline bool has_yarn(const ModelHeader& header) {
    return header.attention.rope_scaling && header.attention.rope_scaling->type == "yarn";
}

/// One of yarn's numbers beyond the factor.
struct YarnNumber {
    std::string_view key;
    double usual;                ///< what it is where the scaling does not state it
    bool zero_is_usual = false;  ///< 0 states nothing

    /// Null states nothing.
    std::optional<double> stated_in(const RopeScaling& scaling) const {
        const auto found = scaling.others.find(std::string(key));
        if (found == scaling.others.end()) return std::nullopt;
        const Json value = parse_json(found->second, key);
        if (!value.is_number() || (zero_is_usual && value.get<double>() == 0)) return std::nullopt;
        return value.get<double>();
    }

    double of(const RopeScaling& scaling) const { return stated_in(scaling).value_or(usual); }

    void state(double value, RopeScaling& scaling) const {
        scaling.others[std::string(key)] = json_text(Json(value), 0);
    }
};

namespace yarn_number {
inline constexpr YarnNumber mscale{"mscale", 1}, mscale_all_dim{"mscale_all_dim", 0};
inline constexpr YarnNumber beta_fast{"beta_fast", 32, true}, beta_slow{"beta_slow", 1, true};
inline constexpr YarnNumber attention_factor{"attention_factor", 1};
// What Megatron-Core takes for granted, beside the two betas: its parser has no options for these.
inline constexpr std::uint64_t usual_length = 4096;
inline constexpr double usual_factor = 40;
}  // namespace yarn_number

inline double yarn_growth(const RopeScaling& scaling, double mscale) {
    const double factor = scaling.factor.value_or(1.0);
    return factor <= 1 ? 1.0 : 0.1 * mscale * std::log(factor) + 1.0;
}

/// What Megatron-Core multiplies sines and cosines by.
inline double core_attention_factor(const RopeScaling& scaling, double mscale) {
    return yarn_growth(scaling, mscale) / yarn_growth(scaling, yarn_number::mscale_all_dim.of(scaling));
}

/// What transformers multiplies them by: it takes mscale and mscale_all_dim together or not at all.
inline double hub_attention_factor(const RopeScaling& scaling) {
    if (const auto stated = yarn_number::attention_factor.stated_in(scaling)) return *stated;
    const double mscale = yarn_number::mscale.stated_in(scaling).value_or(0);
    const bool has_both = mscale != 0 && yarn_number::mscale_all_dim.of(scaling) != 0;
    return has_both ? core_attention_factor(scaling, mscale) : yarn_growth(scaling, 1.0);
}

/// The mscale by which Megatron-Core comes to what transformers does; none where there is none at hand.
inline std::optional<double> core_mscale(const RopeScaling& scaling) {
    for (const double mscale : {yarn_number::mscale.of(scaling), yarn_number::mscale.usual})
        if (core_attention_factor(scaling, mscale) == hub_attention_factor(scaling)) return mscale;
    return std::nullopt;
}

}  // namespace crossdock::detail
