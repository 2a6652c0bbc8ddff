// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/container/path_kind.hpp"
#include "crossdock/family/family.hpp"
#include "crossdock/family/header_json.hpp"
#include "crossdock/family/hub/layout.hpp"
#include "crossdock/plugin/companions.hpp"
#include "crossdock/plugin/family/open_family.hpp"
#include "crossdock/protocol/header_fields.hpp"
#include "crossdock/protocol/layer_windows.hpp"

namespace crossdock {

namespace detail {

/// "500000", or "nothing" where a field is empty.
inline std::string field_text(const auto& value) {
    const Json json = field_to_json(value);
    return json.is_discarded() ? std::string("nothing") : json_shown(json);
}

/// A reference model held against the one that is being written.
class HubReference {
public:
    /// `where` is what errors call the reference's config.json.
    HubReference(const ModelHeader& reference, ModelHeader& header, std::string where)
        : reference_(reference),
          header_(header),
          where_(std::move(where)) {}

    /// Throws Error where the two are not the same model; takes what the header does not say. Returns what the user
    /// should know.
    std::vector<std::string> apply() {
        for_each_header_field(header_fields, [&](const auto& field) {
            if (is_among(tensor_fields_, field.name))
                require_same(field);
            else if (is_among(meaning_fields_, field.name))
                require_or_take(field);
        });
        take_rope_scaling();
        take_window();
        take_positions();
        take_vocabulary();
        return std::move(notices_);
    }

private:
    /// What the tensors decide, and how experts are chosen.
    static constexpr auto tensor_fields_ = std::to_array<std::string_view>({"num_layers",
                                                                            "hidden_size",
                                                                            "num_attention_heads",
                                                                            "num_query_groups",
                                                                            "kv_channels",
                                                                            "ffn_hidden_size",
                                                                            "norm",
                                                                            "positions",
                                                                            "gated_mlp",
                                                                            "tied_embeddings",
                                                                            "parallel_attention",
                                                                            "parallel_norm",
                                                                            "post_norm",
                                                                            "block_output_norms",
                                                                            "embedding_norm",
                                                                            "final_norm",
                                                                            "qkv_bias",
                                                                            "dense_bias",
                                                                            "fc1_bias",
                                                                            "fc2_bias",
                                                                            "qk_norm",
                                                                            "num_experts",
                                                                            "moe_ffn_hidden_size",
                                                                            "moe_shared_expert_intermediate_size",
                                                                            "moe_shared_expert_gate",
                                                                            "moe_router_enable_expert_bias",
                                                                            "moe_router_topk",
                                                                            "moe_router_score_function",
                                                                            "moe_router_pre_softmax",
                                                                            "moe_router_topk_scaling_factor",
                                                                            "moe_router_num_groups",
                                                                            "moe_router_group_topk",
                                                                            "num_token_types"});
    /// What a description says of the same tensors, and Megatron's args may.
    static constexpr auto meaning_fields_ = std::to_array<std::string_view>(
        {"norm_epsilon", "norm_zero_centered", "activation", "rope_theta", "rotary_percent", "embedding_multiplier",
         "rotary_interleaved", "query_pre_attn_scalar", "logit_softcap", "final_logit_softcap"});

    static bool is_among(const auto& names, std::string_view name) {
        return std::find(names.begin(), names.end(), name) != names.end();
    }

    bool is_given(std::string_view name) const { return header_.origin.given.contains(std::string(name)); }
    bool is_assumed(std::string_view name) const { return header_.origin.assumed.contains(std::string(name)); }

    [[noreturn]] void contradict(std::string_view name, const auto& own, const auto& other,
                                 std::string_view remedy) const {
        throw Error(
            to_text(where_, ": ", name, " is ", field_text(other), ", the model has ", field_text(own), remedy));
    }

    void require_same(const auto& field) const {
        const ModelHeader& own = header_;
        if (field(own) != field(reference_))
            contradict(field.name, field(own), field(reference_), "; it describes another model");
    }

    template <class T>
    void require_or_take(const HeaderField<std::optional<T>>& field) {
        const auto& other = field(reference_);
        auto& own = field(header_);
        if (!other || own == other || is_given(field.name)) return;
        if (own && !is_assumed(field.name))
            contradict(field.name, own, other, to_text("; say which is right: give the option ", field.name));
        if (field.group == FieldGroup::attention) take_in_other_layers(field, own, other);
        own = other;
        header_.origin.assumed.erase(std::string(field.name));
    }
    /// The layers that differ have of a field what all have, unless it is in this that they do.
    template <class T>
    void take_in_other_layers(const HeaderField<T>& field, const T& own, const T& other) {
        for (auto& [layer, kind] : header_.other_layers) {
            if (!kind.attention) continue;
            ModelHeader one;
            one.attention = *kind.attention;
            if (field(one) == own) field(one) = other;
            kind.attention = one.attention;
        }
    }
    template <class T>
    void require_or_take(const HeaderField<T>&) {}  // what is always there decides over tensors

    /// Megatron has no words for most kinds, so that "none" in its args is no statement; of Llama 3's kind it states
    /// the factor alone, and fixes the rest in its code.
    void take_rope_scaling() {
        const auto& other = reference_.attention.rope_scaling;
        const auto& own = header_.attention.rope_scaling;
        if (!other || own == other || is_given("rope_scaling")) return;
        const bool is_stated = own && own->type != "default" && !is_assumed("rope_scaling");
        const bool is_same_kind =
            own && own->type == "llama3" && other->type == "llama3" && own->factor == other->factor;
        if (is_stated && !is_same_kind)
            contradict("rope_scaling", own, other, "; say which is right: give the option rope_scaling");
        if (own)
            notices_.push_back(to_text("rope_scaling ", field_text(other), " is taken from ", where_,
                                       "; the source has ", is_stated ? field_text(own) : std::string("none")));
        header_.attention.rope_scaling = other;
    }

    /// Older Megatrons know no window either.
    void take_window() {
        if (!reference_.other_layers.empty() || !header_.other_layers.empty()) return take_layers();
        const auto& other = reference_.attention.sliding_window;
        auto& own = header_.attention.sliding_window;
        if (!other || own == other || is_given("sliding_window")) return;
        if (own.value_or(0) != 0 && !is_assumed("sliding_window"))
            contradict("sliding_window", own, other, "; say which is right: give the option sliding_window");
        if (own)
            notices_.push_back(
                to_text("sliding_window ", *other, " is taken from ", where_, "; the source names none"));
        own = other;
    }

    /// Layers may differ in their window and how positions turn. Where the source says nothing of windows, or has no
    /// base for layers with one, both are the reference's.
    void take_layers() {
        const Attention* own = windowed_attention(header_);
        const bool is_open = own ? !own->rope_theta.has_value() : !is_given("sliding_window");
        const auto windows = layers_with_window(reference_);
        if (own && (layers_with_window(header_) != windows || window_of(header_) != window_of(reference_)))
            throw Error(to_text(where_, ": its windows, or the layers that have them, are others than the model's"));
        if (!is_open) return;
        const Attention* other = windowed_attention(reference_);
        if (!other) return;
        const auto as_there = [&](const Attention& there) {
            Attention attention = header_.attention;
            attention.sliding_window = there.sliding_window;
            attention.rope_theta = there.rope_theta;
            attention.rope_scaling = there.rope_scaling;
            return attention;
        };
        give_attention(header_, windows, as_there(*other), as_there(full_attention(reference_)));
        notices_.push_back(to_text("which layers have a window is taken from ", where_, "; the source does not say"));
    }

    /// Training may have been for shorter inputs than the model is for.
    void take_positions() {
        const auto& other = reference_.max_position_embeddings;
        auto& own = header_.max_position_embeddings;
        if (!other || own == other || is_given("max_position_embeddings")) return;
        if (header_.positions == PositionKind::learned)
            contradict("max_position_embeddings", own, other, "; it describes another model");
        if (own)
            notices_.push_back(
                to_text("max_position_embeddings ", *other, " is taken from ", where_, "; the source says ", *own));
        own = other;
    }

    /// A config may count rows beyond the tokenizer's words; the model has them, as its padding.
    void take_vocabulary() {
        const auto& other = reference_.true_vocab_size;
        auto& own = header_.true_vocab_size;
        if (!other || own == other) return;
        if (*other > header_.vocab_rows)
            throw Error(
                to_text(where_, ": vocab_size is ", *other, ", the model has only ", header_.vocab_rows, " rows"));
        if (own && (*own > *other || is_given("true_vocab_size")))
            throw Error(to_text(where_, ": vocab_size is ", *other, ", the model has ", *own, " words"));
        if (own)
            notices_.push_back(to_text("vocab_size ", *other, " is taken from ", where_, "; the source says ", *own));
        own = other;
    }

    const ModelHeader& reference_;
    ModelHeader& header_;
    std::string where_;
    std::vector<std::string> notices_;
};

/// The files beside the reference win over the source's of the same names.
inline void take_companions(const std::filesystem::path& directory, ModelHeader& header,
                            std::vector<std::string>& notices) {
    for (Companion& companion : find_companions(directory, notices)) {
        std::erase_if(header.origin.companions, [&](const Companion& own) { return own.name == companion.name; });
        header.origin.companions.push_back(std::move(companion));
    }
}

}  // namespace detail

/// Completes a header from a Hugging Face folder, or the config.json in one: what a source such as Megatron's does not
/// keep (token ids, rotary scaling, tokenizer, licence) is taken from there. Throws Error where the folder is of
/// another family, or contradicts the model. Returns what the user should know.
inline std::vector<std::string> apply_hub_reference(const Family& family, const std::filesystem::path& given,
                                                    ModelHeader& header) {
    const Layout* layout = find_layout(family, hugging_face);
    if (!layout) throw UsageError(to_text("config: ", family.name, " has no layout of Hugging Face's"));
    const bool is_directory = is_directory_at(given);
    const std::filesystem::path file = is_directory ? given / "config.json" : given;
    if (!is_anything_at(file) || file.filename() != "config.json")
        throw Error(to_text("config ", given.string(), ": expected a Hugging Face folder, or the config.json in one"));
    const auto directory = file.has_parent_path() ? file.parent_path() : std::filesystem::path(".");
    std::vector<std::string> notices;
    const ModelHeader reference = in_context(
        "config", [&] { return detail::described_header(family, *layout, {.load_dir = directory}, notices); });
    const std::string where = to_text("config ", file.string());
    if (layout->type) {
        const std::string type(layout->type(header)), other = hub_type_of(detail::carried_config(reference));
        if (other != type) throw Error(to_text(where, ": model_type is '", other, "', the model is a ", type));
    }
    for (std::string& line : detail::HubReference(reference, header, where).apply()) notices.push_back(std::move(line));
    header.origin.carried["config.json"] = reference.origin.carried.at("config.json");
    header.origin.carried.erase("generation_config.json");
    detail::take_companions(directory, header, notices);
    return notices;
}

}  // namespace crossdock
