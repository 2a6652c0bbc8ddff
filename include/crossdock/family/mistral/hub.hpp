// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "crossdock/core/compiled.hpp"
#include "crossdock/family/defaults.hpp"
#include "crossdock/family/entry_points.hpp"
#include "crossdock/family/family.hpp"
#include "crossdock/family/hub/config.hpp"
#include "crossdock/family/hub/layout.hpp"
#include "crossdock/family/llama/hub.hpp"
#include "crossdock/family/mistral/original.hpp"
#include "crossdock/protocol/header_fields.hpp"

namespace crossdock {

namespace detail {

/// sliding_window: null is none, and none is 0 in the header.
inline ConfigEntry window_config(std::vector<std::string_view> keys, Json absent) {
    return {std::move(keys), std::move(absent),
            [](const Json& value, ModelHeader& h) {
                h.attention.sliding_window = value.is_null() ? 0 : json_as<std::uint64_t>(value);
                if (value == Json(0)) throw Error("is 0, expected at least 1, or null for no window");
            },
            [](const ModelHeader& h) {
                return h.attention.sliding_window.value_or(0) ? Json(*h.attention.sliding_window) : Json(nullptr);
            }};
}

}  // namespace detail

/// Mistral 7B in its versions, Nemo, and what else has their architecture.
CROSSDOCK_ENTRY_POINT const Family& mistral_family() {
    using namespace config;
    using H = ModelHeader;
    static const Family family{
        .name = "mistral",
        .model_types = {"mistral"},
        .defaults = defaults::rms_decoder,
        .requirements = join_lists(require::rms_decoder(), {require::plain_norm, require::plain_embeddings,
                                                            require::known_activation, require::no_bias}),
        .layouts = {
            {.kind = &hugging_face,
             .types = {"mistral"},
             .relatives = {"mistral3", "ministral", "ministral3", "mixtral"},
             .config = join_lists(detail::llama_sizes({.key_value_heads = 8, .positions = 131072}), rope_config(),
                                  ConfigTable{activation_config("hidden_act", "silu"),
                                              stated(entry({"rms_norm_eps"}, field::norm_epsilon, 1e-6)),
                                              stated(entry({"tie_word_embeddings"}, field::tied_embeddings, false)),
                                              detail::window_config({"sliding_window"}, 4096)}),
             .after_config = detail::read_rope_only,
             .architecture = [](const H&) { return std::string("MistralForCausalLM"); },
             .table = detail::llama_hub_table,
             .spellings = {.base = "model.", .heads = {"lm_head."}}},
            mistral_original()}};
    return family;
}

}  // namespace crossdock
