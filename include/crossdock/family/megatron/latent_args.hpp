// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "crossdock/container/json_text.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/join_lists.hpp"
#include "crossdock/core/text.hpp"
#include "crossdock/family/config_table.hpp"
#include "crossdock/family/megatron/args.hpp"
#include "crossdock/protocol/header_fields.hpp"
#include "crossdock/protocol/model_header.hpp"

namespace crossdock::detail {

// What Megatron-Core's arguments say of latent attention (megatron/training/arguments.py, and MLATransformerConfig in
// core/transformer/transformer_config.py, core_v0.16.1). Without multi_latent_attention they mean nothing, whatever
// their values. The sizes, the tensors tell as well.

/// What its code takes for granted in yarn's scaling, for which its parser has no options.
struct MegatronYarn {
    static constexpr std::uint64_t original_length = 4096;
    static constexpr double factor = 40, beta_fast = 32, beta_slow = 1;
};

inline bool has_yarn(const ModelHeader& header) {
    return header.attention.rope_scaling && header.attention.rope_scaling->type == "yarn";
}

/// One of yarn's numbers beyond the factor; `absent` where the scaling does not have it, or null.
inline double yarn_number(const RopeScaling& scaling, std::string_view key, double absent) {
    const auto found = scaling.others.find(std::string(key));
    if (found == scaling.others.end()) return absent;
    const Json value = parse_json(found->second, key);
    return value.is_number() ? value.get<double>() : absent;
}

/// transformers takes the two together or not at all (modeling_rope_utils.py).
inline double yarn_mscale(const RopeScaling& scaling) {
    const double mscale = yarn_number(scaling, "mscale", 0);
    return mscale != 0 && yarn_number(scaling, "mscale_all_dim", 0) != 0 ? mscale : 1.0;
}

inline void read_rope_type(const Json& value, ModelHeader& header) {
    const std::string type = value.is_null() ? "yarn" : json_as<std::string>(value);
    if (type != "rope" && type != "yarn") throw Error(to_text("is '", type, "', expected rope or yarn"));
    if (type == "yarn" && has_yarn(header)) return;
    RopeScaling& scaling = header.attention.rope_scaling.emplace();
    if (type == "rope") return;
    scaling.type = "yarn";
    scaling.factor = MegatronYarn::factor;
    scaling.original_max_position_embeddings = MegatronYarn::original_length;
    scaling.others = {{"beta_fast", json_text(Json(MegatronYarn::beta_fast), 0)},
                      {"beta_slow", json_text(Json(MegatronYarn::beta_slow), 0)}};
}

/// A line that counts where the attention is latent.
inline ConfigEntry latent_entry(ConfigEntry line) {
    line.read = [read = std::move(line.read)](const Json& value, ModelHeader& h) {
        if (is_latent(h.attention)) read(value, h);
    };
    line.write = [write = std::move(line.write)](const ModelHeader& h) {
        return is_latent(h.attention) ? write(h) : config::left_out();
    };
    return line;
}

/// A line that counts where its rotary positions are yarn's; `without` is written where they are not.
inline ConfigEntry yarn_entry(std::string_view key, void (*read)(const Json&, RopeScaling&),
                              Json (*write)(const RopeScaling&), Json without) {
    return latent_entry({{key},
                         nullptr,
                         [read](const Json& value, ModelHeader& h) {
                             if (has_yarn(h) && !value.is_null()) read(value, *h.attention.rope_scaling);
                         },
                         [write, without = std::move(without)](const ModelHeader& h) {
                             return has_yarn(h) ? write(*h.attention.rope_scaling) : without;
                         }});
}

/// A number of yarn's; the text that says the same is kept.
template <const std::string_view& key>
void read_yarn_number(const Json& value, RopeScaling& scaling) {
    const auto number = json_as<double>(value);
    if (!scaling.others.contains(std::string(key)) || yarn_number(scaling, key, number) != number)
        scaling.others[std::string(key)] = json_text(Json(number), 0);
}

inline constexpr std::string_view mscale_key = "mscale", mscale_all_dim_key = "mscale_all_dim",
                                  beta_fast_key = "beta_fast", beta_slow_key = "beta_slow";

inline ConfigTable megatron_yarn_args() {
    using namespace config;
    using R = RopeScaling;
    return {
        latent_entry({{"rope_type"},
                      "yarn",
                      read_rope_type,
                      [](const ModelHeader& h) { return Json(has_yarn(h) ? "yarn" : "rope"); }}),
        yarn_entry(
            "rotary_scaling_factor", [](const Json& value, R& yarn) { yarn.factor = json_as<double>(value); },
            [](const R& yarn) { return Json(yarn.factor.value_or(1.0)); }, 1.0),
        yarn_entry(
            mscale_key, read_yarn_number<mscale_key>, [](const R& yarn) { return Json(yarn_mscale(yarn)); }, 1.0),
        yarn_entry(
            mscale_all_dim_key, read_yarn_number<mscale_all_dim_key>,
            [](const R& yarn) { return Json(yarn_number(yarn, mscale_all_dim_key, 0)); }, 0.0),
        yarn_entry(
            "original_max_position_embeddings",
            [](const Json& value, R& yarn) { yarn.original_max_position_embeddings = json_as<std::uint64_t>(value); },
            [](const R& yarn) { return or_null(yarn.original_max_position_embeddings); }, left_out()),
        yarn_entry(
            beta_fast_key, read_yarn_number<beta_fast_key>,
            [](const R& yarn) { return Json(yarn_number(yarn, beta_fast_key, MegatronYarn::beta_fast)); }, left_out()),
        yarn_entry(
            beta_slow_key, read_yarn_number<beta_slow_key>,
            [](const R& yarn) { return Json(yarn_number(yarn, beta_slow_key, MegatronYarn::beta_slow)); }, left_out())};
}

inline ConfigTable megatron_latent_args() {
    using namespace config;
    using H = ModelHeader;
    return join_lists(ConfigTable{{{"multi_latent_attention"},
                                   nullptr,
                                   [](const Json& value, H& h) {
                                       if (!is_on(value)) return void(h.attention.latent = {});
                                       if (!is_latent(h.attention))
                                           h.attention.latent.kv_lora_rank = 1;  // until the next line says it
                                       h.attention.num_query_groups = h.attention.num_attention_heads;
                                   },
                                   [](const H& h) { return Json(is_latent(h.attention)); }},
                                  latent_entry(entry({"kv_lora_rank"}, field::kv_lora_rank)),
                                  latent_entry({{"q_lora_rank"},
                                                nullptr,
                                                [](const Json& value, H& h) {
                                                    h.attention.latent.q_lora_rank =
                                                        value.is_null() ? 0 : json_as<std::uint64_t>(value);
                                                },
                                                [](const H& h) {
                                                    const std::uint64_t rank = h.attention.latent.q_lora_rank;
                                                    return rank > 0 ? Json(rank) : Json(nullptr);
                                                }}),
                                  latent_entry(entry({"qk_head_dim"}, field::qk_head_dim)),
                                  latent_entry(entry({"qk_pos_emb_head_dim"}, field::qk_pos_emb_head_dim)),
                                  latent_entry({{"v_head_dim"},
                                                nullptr,
                                                [](const Json& value, H& h) {
                                                    if (value.is_null()) return;
                                                    h.attention.kv_channels = h.attention.latent.v_head_dim =
                                                        json_as<std::uint64_t>(value);
                                                },
                                                [](const H& h) { return Json(h.attention.latent.v_head_dim); }})},
                      megatron_yarn_args());
}

}  // namespace crossdock::detail
