// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "crossdock/plugin/options.hpp"

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
