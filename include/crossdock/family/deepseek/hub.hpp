// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/container/json_text.hpp"
#include "crossdock/core/compiled.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/join_lists.hpp"
#include "crossdock/core/text.hpp"
#include "crossdock/family/defaults.hpp"
#include "crossdock/family/entry_points.hpp"
#include "crossdock/family/family.hpp"
#include "crossdock/family/hub/config.hpp"
#include "crossdock/family/hub/experts.hpp"
#include "crossdock/family/hub/layout.hpp"
#include "crossdock/family/hub/mtp.hpp"
#include "crossdock/family/llama/hub.hpp"
#include "crossdock/family/requirements.hpp"
#include "crossdock/protocol/header_fields.hpp"

namespace crossdock {

// DeepSeek-V3, V3.1, R1 and what has their architecture, as Kimi K2 (transformers modeling_deepseek_v3.py, and the code
// that stands beside the released weights): latent attention, experts as hub/experts.hpp describes them, and layers that
// predict further tokens (hub/mtp.hpp).

namespace detail {

inline Rows<TransformerLayer> deepseek_attention_rows() {
    using L = TransformerLayer;
    const std::string block = "model.layers.{}.self_attn.";
    return Rows<L>{{{&L::q_weight}, {block + "q_proj.weight"}},
                   {{&L::q_down_weight}, {block + "q_a_proj.weight"}},
                   {{&L::q_latent_norm_weight}, {block + "q_a_layernorm.weight"}},
                   {{&L::q_up_weight}, {block + "q_b_proj.weight"}},
                   {{&L::kv_down_weight}, {block + "kv_a_proj_with_mqa.weight"}},
                   {{&L::kv_latent_norm_weight}, {block + "kv_a_layernorm.weight"}},
                   {{&L::kv_up_weight}, {block + "kv_b_proj.weight"}}};
}

/// Llama's names but for those of q, k and v.
inline const TensorTable& deepseek_table(const ModelHeader& header) {
    static const TensorTable table = [&] {
        using L = TransformerLayer;
        TensorTable all = llama_hub_table(header);
        auto& rows = all.rows<L>();
        std::erase_if(
            rows, [](const Row<L>& row) { return row.fields[0] == &L::qkv_weight || row.fields[0] == &L::qkv_bias; });
        rows = join_lists(std::move(rows), deepseek_attention_rows(), sigmoid_expert_rows(), hub_mtp_rows());
        all.mtp_twins = hub_mtp_twins();
        return all;
    }();
    return table;
}

/// q_lora_rank null: queries have no latent. 5.x and 4.x write head_dim too, which is qk_rope_head_dim and tells nothing.
inline ConfigTable deepseek_attention_config() {
    using namespace config;
    using H = ModelHeader;
    return {size_entry({"kv_lora_rank"}, field::kv_lora_rank, 512),
            {{"q_lora_rank"},
             1536,
             [](const Json& value, H& h) {
                 h.attention.latent.q_lora_rank = value.is_null() ? 0 : json_as<std::uint64_t>(value);
             },
             [](const H& h) {
                 const std::uint64_t rank = h.attention.latent.q_lora_rank;
                 return rank > 0 ? Json(rank) : Json(nullptr);
             }},
            size_entry({"qk_nope_head_dim"}, field::qk_head_dim, 128),
            size_entry({"qk_rope_head_dim"}, field::qk_pos_emb_head_dim, 64),
            size_entry({"v_head_dim"}, field::v_head_dim, 128),
            fixed("attention_bias", false)};
}

inline Notices read_deepseek(ModelHeader& header, const Json& config) {
    Attention& attention = header.attention;
    if (value_or(config, {"attention_bias"}, false))
        throw Error(
            "'attention_bias' is true: biases of latent attention are not supported; no released model has any");
    if (attention.num_query_groups != 0 && attention.num_query_groups != attention.num_attention_heads)
        throw Error(to_text("'num_key_value_heads' is ", attention.num_query_groups, ", expected ",
                            attention.num_attention_heads, ", as many as there are attention heads"));
    attention.num_query_groups = attention.num_attention_heads;
    attention.kv_channels = attention.latent.v_head_dim;
    read_sigmoid_experts(header, config,
                         {.num_experts = 256,
                          .expert_ffn = 2048,
                          .num_groups = 8,
                          .group_topk = 4,
                          .dense_layers = 3,
                          .scaling_factor = 2.5});
    return read_rope_only(header, config);
}

/// transformers fixes the epsilon of the latents' norms, Megatron-Core does not.
inline Notices deepseek_caveats(const ModelHeader& header) {
    if (header.norm_epsilon.value_or(1e-6) == 1e-6 || header.origin.megatron != MegatronCode::core) return {};
    return {to_text("norm_epsilon is ", json_shown(Json(*header.norm_epsilon)),
                    ", which Megatron (mcore) takes for the norms of latents too; transformers takes 1e-6 for those")};
}

}  // namespace detail

/// DeepSeek-V3 and what has its architecture.
CROSSDOCK_ENTRY_POINT const Family& deepseek_family() {
    using namespace config;
    using H = ModelHeader;
    static const Family family{
        .name = "deepseek",
        .model_types = {"deepseek_v3"},
        .defaults = defaults::rms_decoder,
        .requirements = join_lists(
            std::vector<Requirement>{
                {"attention without latents (kv_lora_rank)", [](const H& h) { return is_latent(h.attention); }}},
            require::rms_blocks(),
            std::vector<Requirement>{require::plain_norm, require::plain_embeddings, require::known_activation,
                                     require::no_bias, require::no_window, require::alike_but_for_experts},
            detail::sigmoid_expert_requirements()),
        .layouts = {
            {.kind = &hugging_face,
             .types = {"deepseek_v3", "kimi_k2"},
             .relatives = {"deepseek", "deepseek_v2", "deepseek_v32", "deepseek_vl"},
             .config = join_lists(
                 ConfigTable{
                     size_entry({"hidden_size"}, field::hidden_size),
                     size_entry({"intermediate_size"}, field::ffn_hidden_size),
                     size_entry({"num_hidden_layers"}, field::num_layers),
                     size_entry({"num_attention_heads"}, field::num_attention_heads),
                     size_entry({"num_key_value_heads"}, field::num_query_groups),
                     stated(entry({"max_position_embeddings"}, field::max_position_embeddings, 4096)),
                     vocab_size_config(), dtype_config(), entry({"attention_dropout"}, field::attention_dropout),
                     activation_config("hidden_act", "silu"),
                     stated(entry({"rms_norm_eps"}, field::norm_epsilon, 1e-6)),
                     stated(entry({"tie_word_embeddings"}, field::tied_embeddings, false)), detail::mtp_config()},
                 rope_config(), detail::deepseek_attention_config(), detail::sigmoid_expert_config()),
             .switches = {{"rope_interleave", true}},
             .layers_may_differ = true,
             .after_config = detail::read_deepseek,
             .architecture = [](const H&) { return std::string("DeepseekV3ForCausalLM"); },
             .table = detail::deepseek_table,
             .spellings = {.base = "model.",
                           .heads = {"lm_head."},
                           .stacked = detail::hub_stacked_experts("gate_proj", "up_proj", "down_proj")},
             .caveats = detail::deepseek_caveats}}};
    return family;
}

}  // namespace crossdock
