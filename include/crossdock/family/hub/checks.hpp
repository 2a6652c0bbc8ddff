// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/container/tensor_dict.hpp"
#include "crossdock/family/family.hpp"
#include "crossdock/family/hub/quantization.hpp"
#include "crossdock/family/hub/type.hpp"

namespace crossdock {

// What makes a Hugging Face directory something else than a plain model of its family, said before its tensors are held
// against any shape.

namespace detail {

/// Heads that no target has a place for, by how a class with one ends and by how its tensors begin.
struct OtherHead {
    std::string_view what;
    std::vector<std::string_view> class_endings{}, tensors{};
};

inline const std::vector<OtherHead>& other_heads() {
    static const std::vector<OtherHead> heads{
        {"sequence classification", {"ForSequenceClassification"}, {"score.", "classifier."}},
        {"token classification", {"ForTokenClassification"}},
        {"question answering", {"ForQuestionAnswering"}, {"qa_outputs."}},
        {"multiple choice", {"ForMultipleChoice", "DoubleHeadsModel"}, {"multiple_choice_head."}},
        {"a reward or value model",
         {"RewardModel", "ForReward", "WithValueHead"},
         {"v_head.", "value_head.", "reward_head.", "regression_head."}},
        {"speculative decoding", {"MedusaModel"}, {"medusa_head."}}};
    return heads;
}

/// Throws Error where the class in config.json has a head of another kind.
inline void refuse_other_class(const Json& config) {
    const std::string name = first_architecture(config);
    for (const OtherHead& head : other_heads())
        for (const std::string_view ending : head.class_endings)
            if (name.ends_with(ending))
                throw Error(
                    to_text("'architectures' says ", name, ", whose head (", head.what,
                            ") no target has a place for; only models with a language model's head, with BERT's "
                            "own heads or with none are read"));
}

/// Throws Error where a tensor belongs to a head of another kind. Names are without wrappers.
inline void refuse_other_heads(const TensorDict& tensors) {
    for (const NamedTensor& entry : tensors.entries())
        for (const OtherHead& head : other_heads())
            for (const std::string_view beginning : head.tensors)
                if (entry.name.starts_with(beginning))
                    throw Error(to_text(entry.file, ": tensor '", entry.name, "' is of another head (", head.what,
                                        "), which no target has a place for"));
}

/// Throws Error where a weight is not of a type in which models compute.
inline void require_floating(const TensorDict& tensors, const TensorTable& table) {
    for (const NamedTensor& entry : tensors.entries())
        if (!is_ignored(table, entry.name) && !is_castable(entry.tensor.dtype()))
            throw Error(to_text(entry.file, ": tensor '", entry.name, "' is ", dtype_name(entry.tensor.dtype()),
                                ", expected f32, bf16, f16 or f64; quantized weights are not supported"));
}

/// Keys that other architectures compute with and that these families' classes do not read.
inline Notices unread_keys(const Family& family, const Layout& layout, const Json& config) {
    constexpr std::array<std::pair<std::string_view, double>, 17> keys{{{"logit_scale", 1},
                                                                        {"logits_scaling", 1},
                                                                        {"attention_multiplier", 1},
                                                                        {"residual_multiplier", 1},
                                                                        {"embedding_multiplier", 1},
                                                                        {"final_logit_softcapping", 0},
                                                                        {"attn_logit_softcapping", 0},
                                                                        {"query_pre_attn_scalar", 0},
                                                                        {"clip_qkv", 0},
                                                                        {"qk_layernorm", 0},
                                                                        {"use_qk_norm", 0},
                                                                        {"no_rope_layers", 0},
                                                                        {"no_rope_layer_interval", 0},
                                                                        {"attn_temperature_tuning", 0},
                                                                        {"sliding_window", 0},
                                                                        {"layer_types", 0},
                                                                        {"text_config", 0}}};
    const auto is_read = [&](std::string_view key) {
        return std::any_of(layout.config.begin(), layout.config.end(), [&](const ConfigEntry& line) {
            return std::find(line.keys.begin(), line.keys.end(), key) != line.keys.end();
        });
    };
    Notices notices;
    for (const auto& [key, neutral] : keys) {
        const auto found = config.find(std::string(key));
        if (found == config.end() || !is_anything(*found) || is_read(key)) continue;
        if (*found == Json(false) || (found->is_number() && found->get<double>() == neutral)) continue;
        notices.push_back(to_text("config.json: '", key, "' has no meaning in the architecture ", family.name,
                                  " and is left out, as transformers does"));
    }
    return notices;
}

/// Where two spellings of one thing differ.
inline Notices contradictions(const ConfigTable& table, const Json& config) {
    Notices notices;
    for (const ConfigEntry& line : table) {
        if (!line.read) continue;
        const std::vector<std::string_view> keys = spellings_in(line, config);
        for (std::size_t i = 1; i < keys.size(); ++i) {
            const Json &first = config.at(std::string(keys[0])), &other = config.at(std::string(keys[i]));
            if (first != other)
                notices.push_back(to_text("config.json: '", keys[0], "' is ", json_shown(first), " and '", keys[i],
                                          "' is ", json_shown(other), "; the former is used, as transformers does"));
        }
    }
    return notices;
}

/// The layout's switches that are not as always, for a target that cannot say them.
inline void find_switches(const Layout& layout, const Json& config, ModelHeader& header) {
    for (const auto& [key, neutral] : layout.switches) {
        const auto found = config.find(std::string(key));
        if (found == config.end() || found->is_null()) continue;
        const bool value = in_context(to_text("'", key, "'"), [&found] { return json_as<bool>(*found); });
        if (value != neutral) header.origin.unexpressed[std::string(key)] = json_shown(*found);
    }
}

inline Notices class_notices(const Family& family, const Layout& layout, const Json& config) {
    Notices notices;
    if (!config.contains("model_type"))
        notices.push_back(to_text("config.json: has no model_type; '", hub_type_of(config), "' is told from ",
                                  first_architecture(config)));
    if (config.contains("auto_map") && hub_type_of(config) == layout.types.front())
        notices.push_back(
            to_text("config.json: names code of its own (auto_map), which is not read; the model is "
                    "converted as transformers' own ",
                    family.name));
    return notices;
}

/// Throws Error when config.json belongs to another family.
inline void check_hub_type(const Family& family, const Layout& layout, const Json& config) {
    if (const std::string why = image_model(config); !why.empty()) throw Error(why);
    const std::string type = hub_type_of(config);
    if (type.empty())
        throw Error(
            to_text("has no model_type, and 'architectures' does not tell it; expected ", joined_list(layout.types)));
    const auto is_in = [&](const auto& types) { return std::find(types.begin(), types.end(), type) != types.end(); };
    if (!is_in(layout.types))
        throw Error(to_text("model_type is '", type, "', ",
                            is_in(layout.relatives) ? to_text("another architecture than ", family.name, "; ") : "",
                            "the loader '", family.name, "' reads ", joined_list(layout.types)));
}

/// Throws Error where the files hold biases that config.json does not ask for: transformers leaves them out, and says
/// so, where we would have to choose. `found` has the biases that are there in layer `layer`.
inline void check_biases(const ModelHeader& found, const ModelHeader& header, std::uint64_t layer) {
    const auto check = [](bool is_there, bool said, std::string_view what) {
        if (is_there && !said)
            throw Error(to_text("the files hold biases of ", what,
                                ", which config.json does not ask for and transformers "
                                "leaves out; remove them, or set the key that asks for them"));
    };
    const Attention& attention = attention_of(header, layer);
    const Mlp& mlp = mlp_of(header, layer);
    check(found.attention.qkv_bias, attention.qkv_bias, "queries, keys and values");
    check(found.attention.dense_bias, attention.dense_bias, "the attention's output");
    check(found.mlp.fc1_bias || found.mlp.fc2_bias, mlp.fc1_bias || mlp.fc2_bias, "the MLP");
}

}  // namespace detail

}  // namespace crossdock
