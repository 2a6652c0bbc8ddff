// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "crossdock/protocol/model_header.hpp"

namespace crossdock {

// Models whose layers attend in two ways: some see a window of tokens, the others all of them. The header holds the
// first layer's way, and as other layers those that are unlike it, whichever way a description tells it.

inline bool has_window(const Attention& attention) { return attention.sliding_window.value_or(0) > 0; }

/// Whether something holds of how every layer attends.
template <class Holds>
bool all_attend(const ModelHeader& header, Holds holds) {
    return holds(header.attention) &&
           std::all_of(header.other_layers.begin(), header.other_layers.end(),
                       [&](const auto& other) { return holds(attention_of(header, other.first)); });
}

/// Which layers have a window.
inline std::vector<bool> layers_with_window(const ModelHeader& header) {
    std::vector<bool> with_window(header.num_layers);
    for (std::uint64_t layer = 0; layer < header.num_layers; ++layer)
        with_window[layer] = has_window(attention_of(header, layer));
    return with_window;
}

namespace detail {

/// How the first layer with a window attends, or the first without one; null where there is none.
inline const Attention* first_attention(const ModelHeader& header, bool with_window) {
    if (has_window(header.attention) == with_window) return &header.attention;
    for (const auto& other : header.other_layers)
        if (has_window(attention_of(header, other.first)) == with_window) return &attention_of(header, other.first);
    return nullptr;
}

}  // namespace detail

/// How the layers with a window attend; null where no layer has one.
inline const Attention* windowed_attention(const ModelHeader& header) { return detail::first_attention(header, true); }

/// How the layers without a window attend; where all have one, how these do.
inline const Attention& full_attention(const ModelHeader& header) {
    const Attention* full = detail::first_attention(header, false);
    return full ? *full : header.attention;
}

/// The window of the layers that have one; 0 where none has.
inline std::uint64_t window_of(const ModelHeader& header) {
    const Attention* windowed = windowed_attention(header);
    return windowed ? *windowed->sliding_window : 0;
}

/// Whether layers attend in no more ways than these two, so that all with a window have the same.
inline bool attends_in_two_ways(const ModelHeader& header) {
    return std::all_of(header.other_layers.begin(), header.other_layers.end(), [&](const auto& other) {
        const Attention& attention = attention_of(header, other.first);
        return attention == *detail::first_attention(header, has_window(attention));
    });
}

namespace detail {

/// Whether all layers attend in one way, when what `forget` takes out of each is left out of account.
template <class Forget>
bool attends_in_one_way(const ModelHeader& header, Forget forget) {
    const auto without = [&](Attention attention) {
        forget(attention);
        return attention;
    };
    return all_attend(header, [&](const Attention& other) { return without(other) == without(header.attention); });
}

}  // namespace detail

/// Whether layers differ, in how they attend, in their window alone.
inline bool differs_in_window_alone(const ModelHeader& header) {
    return detail::attends_in_one_way(header, [](Attention& attention) { attention.sliding_window.reset(); });
}

/// Whether layers differ, in how they attend, in their window and in how positions turn alone.
inline bool differs_in_window_and_positions_alone(const ModelHeader& header) {
    return detail::attends_in_one_way(header, [](Attention& attention) {
        attention.sliding_window.reset();
        attention.rope_theta.reset();
        attention.rope_scaling.reset();
    });
}

/// Lets each layer attend in one of two ways. `with_window` has an element for each layer, at least one.
inline void give_attention(ModelHeader& header, const std::vector<bool>& with_window, const Attention& windowed,
                           const Attention& full) {
    header.attention = with_window.front() ? windowed : full;
    for (std::uint64_t layer = 0; layer < with_window.size(); ++layer) {
        const Attention& attention = with_window[layer] ? windowed : full;
        if (attention != header.attention)
            header.other_layers[layer].attention = attention;
        else if (const auto other = header.other_layers.find(layer); other != header.other_layers.end())
            other->second.attention.reset();
    }
}

}  // namespace crossdock
