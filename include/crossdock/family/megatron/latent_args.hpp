// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
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
#include "crossdock/family/megatron/yarn.hpp"
#include "crossdock/protocol/header_fields.hpp"
#include "crossdock/protocol/model_header.hpp"

namespace crossdock::detail {

// What Megatron-Core's arguments say of latent attention (megatron/training/arguments.py, and MLATransformerConfig in
// core/transformer/transformer_config.py, core_v0.16.1). Without multi_latent_attention they mean nothing, whatever
// their values. The sizes, the tensors tell as well.

inline void read_rope_type(const Json& value, ModelHeader& header) {
    const std::string type = value.is_null() ? "yarn" : json_as<std::string>(value);
    if (type != "rope" && type != "yarn") throw Error(to_text("is '", type, "', expected rope or yarn"));
    if (type == "yarn" && has_yarn(header)) return;
    RopeScaling& scaling = header.attention.rope_scaling.emplace();
    if (type == "rope") return;
    scaling.type = "yarn";
    scaling.factor = yarn_number::usual_factor;
    scaling.original_max_position_embeddings = yarn_number::usual_length;
    for (const YarnNumber& beta : {yarn_number::beta_fast, yarn_number::beta_slow}) beta.state(beta.usual, scaling);
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

/// A number of yarn's; what says the same already stays as it is.
template <const YarnNumber& number>
void read_yarn_number(const Json& value, RopeScaling& scaling) {
    const auto stated = json_as<double>(value);
    if (number.of(scaling) != stated) number.state(stated, scaling);
}
template <const YarnNumber& number>
Json write_yarn_number(const RopeScaling& scaling) {
    return Json(number.of(scaling));
}

/// What this and mscale_all_dim do not say to transformers, attention_factor does.
inline void read_mscale(const Json& value, RopeScaling& scaling) {
    const auto mscale = json_as<double>(value);
    const double factor = core_attention_factor(scaling, mscale);
    if (!std::isfinite(factor))
        throw Error(to_text("is ", json_shown(value), ", expected a number with a finite factor"));
    if (hub_attention_factor(scaling) == factor) return;
    scaling.others.erase(std::string(yarn_number::attention_factor.key));
    yarn_number::mscale.state(mscale, scaling);
    if (hub_attention_factor(scaling) != factor) yarn_number::attention_factor.state(factor, scaling);
}

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
        yarn_entry(yarn_number::mscale_all_dim.key, read_yarn_number<yarn_number::mscale_all_dim>,
                   write_yarn_number<yarn_number::mscale_all_dim>, 0.0),
        yarn_entry(
            yarn_number::mscale.key, read_mscale, [](const R& yarn) { return or_null(core_mscale(yarn)); }, 1.0),
        yarn_entry(
            "original_max_position_embeddings",
            [](const Json& value, R& yarn) { yarn.original_max_position_embeddings = json_as<std::uint64_t>(value); },
            [](const R& yarn) { return or_null(yarn.original_max_position_embeddings); }, left_out()),
        yarn_entry(yarn_number::beta_fast.key, read_yarn_number<yarn_number::beta_fast>,
                   write_yarn_number<yarn_number::beta_fast>, left_out()),
        yarn_entry(yarn_number::beta_slow.key, read_yarn_number<yarn_number::beta_slow>,
                   write_yarn_number<yarn_number::beta_slow>, left_out())};
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
                                  latent_entry(number_or_none("q_lora_rank", field::q_lora_rank)),
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
