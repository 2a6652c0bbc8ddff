// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/container/tensor_dict.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/family/apply_table.hpp"
#include "crossdock/family/config_table.hpp"
#include "crossdock/family/tensor_table.hpp"

namespace crossdock {

/// A property that a format can express only in one way. `holds` tells whether a model agrees with it.
struct Requirement {
    std::string_view otherwise;  ///< what the model has if not: "parallel attention"
    bool (*holds)(const ModelHeader&);
};

/// Throws Error naming the first property of the model that `format` cannot express: nothing is dropped in silence.
inline void require_expressible(const std::vector<Requirement>& requirements, const ModelHeader& header,
                                std::string_view format) {
    for (const Requirement& requirement : requirements)
        if (!requirement.holds(header))
            throw Error(to_text("the model has ", requirement.otherwise, ", which ", format, " cannot express"));
}

/// Throws Error naming the first tensor of the model for which the table has no row: the net below the requirements.
inline void require_rows(const TensorTable& table, const ModelHeader& header, std::string_view format) {
    for_each_message(header, [&]<class M>(Key<M> key) {
        for (const TensorField<M>& field : tensor_fields<M>)
            if (field.expected(header, key.index) && !row_of(table, field.tensor))
                throw Error(to_text("the model has a tensor '", field.name, "' (", M::name, "), for which ", format,
                                    " has no place"));
    });
}

/// What the stored tensors of each rank tell better than the description does. Returns what the user should know.
using Evidence = std::vector<std::string> (*)(ModelHeader&, std::span<const TensorDict> ranks);

/// How files spell a family's names otherwise than its table.
struct OtherSpellings {
    std::string_view base{};                ///< "transformer.": models saved without head lack it in all names
    std::vector<std::string_view> heads{};  ///< beginnings of names that stand outside of it: "lm_head."
    bool (*stands_alone)(const ModelHeader&) = nullptr;  ///< whether a model is saved without `base`; null: never
    std::vector<std::pair<std::string_view, std::string_view>> older{};    ///< part of a name → part of the table's
    std::vector<std::pair<std::string_view, std::string_view>> aliases{};  ///< a tensor's second name → the table's
};

/// The original release format of a family (Meta's, mistralai's): params.json and consolidated files.
struct OriginalFormat {
    /// The names and cuts for a model with this header; Llama 3 cuts its embeddings otherwise than Llama 2.
    const TensorTable& (*table)(const ModelHeader&);
    ConfigTable params;
    std::vector<std::string_view> inert{};  ///< keys of params.json, beyond those of `params`, that change nothing
    std::vector<Requirement> requirements;
    bool safetensors = false;  ///< written as consolidated.safetensors in one part, otherwise as consolidated.NN.pth
    bool (*recognises)(const Json& params);  ///< whether a params.json is of this family
    /// What follows from several keys together. Returns what the user should know.
    std::vector<std::string> (*after_params)(ModelHeader&, const Json& params);
    Evidence from_tensors;  ///< called after after_params
    /// What the user of a model that is written so should know.
    std::vector<std::string> (*caveats)(const ModelHeader&) = nullptr;
};

/// A key of config.json that changes what the model computes and that no field of the header says.
struct HubSwitch {
    std::string_view key;
    bool neutral;  ///< what it is where the model computes as all others do
};

/// One model line: everything that tells it from the others, as data. A new family is one more value of this type.
struct Family {
    std::string_view name;                      ///< also the plugin's
    std::vector<std::string_view> hub_types;    ///< model_type in config.json; the first is written
    std::vector<std::string_view> model_types;  ///< the reference's --model_type; the first unless told otherwise
    ConfigTable config;                         ///< config.json
    /// The constants of the family, set before config.json is read.
    void (*before_config)(ModelHeader&);
    /// What follows from several keys together, and what the user should know of it. Throws Error where config.json
    /// asks for what the family's table lacks.
    std::vector<std::string> (*after_config)(ModelHeader&, const Json& config);
    /// The Hugging Face names for a model with this header.
    const TensorTable& (*hub_table)(const ModelHeader&);
    std::string (*architecture)(const ModelHeader&);
    std::vector<Requirement> requirements;
    std::optional<OriginalFormat> original{};

    OtherSpellings spellings{};
    Evidence from_tensors = nullptr;                                       ///< called after after_config
    std::string_view (*hub_type)(const ModelHeader&) = nullptr;            ///< model_type to write, if not the first
    std::string_view (*guessed_model_type)(const ModelHeader&) = nullptr;  ///< which of model_types, if not the first
    std::vector<std::string_view> relatives{};  ///< model_type of other architectures that go by the family's name
    std::vector<HubSwitch> switches{};
    bool layers_may_differ = false;                                 ///< `config` says how
    void (*add_twins)(TensorTable&, const ModelHeader&) = nullptr;  ///< names under which readers want a tensor again
};

namespace detail {

/// The architectures in config.json; the first is the model's.
inline std::string first_architecture(const Json& config) {
    const auto list = config.find("architectures");
    const bool is_there = list != config.end() && list->is_array() && !list->empty() && list->front().is_string();
    return is_there ? list->front().get<std::string>() : std::string();
}

/// How the classes of each model type begin, as far as a config without model_type has to be told.
inline constexpr std::array<std::pair<std::string_view, std::string_view>, 8> hub_classes{
    {{"Llama", "llama"},
     {"LLaMA", "llama"},
     {"Mistral", "mistral"},
     {"Gemma", "gemma"},
     {"Falcon", "falcon"},
     {"GPT2", "gpt2"},
     {"Bert", "bert"},
     {"MegatronBert", "megatron-bert"}}};

}  // namespace detail

/// model_type; where there is none, what the architecture's class tells. Empty where neither does.
inline std::string hub_type_of(const Json& config) {
    if (const auto type = config.find("model_type"); type != config.end() && type->is_string())
        return type->get<std::string>();
    const std::string architecture = detail::first_architecture(config);
    for (const auto& [beginning, type] : detail::hub_classes) {
        if (!architecture.starts_with(beginning)) continue;
        const std::string_view rest = std::string_view(architecture).substr(beginning.size());
        if (rest.starts_with("For") || rest.starts_with("Model") || rest.starts_with("LMHead"))
            return std::string(type);
    }
    return {};
}

/// Whether a config.json is of one of the family's model types.
inline bool has_hub_type(const Family& family, const Json& config) {
    const std::string type = hub_type_of(config);
    return std::find(family.hub_types.begin(), family.hub_types.end(), type) != family.hub_types.end();
}

namespace detail {

/// Requirements that several formats share.
namespace require {
inline constexpr Requirement equal_layers{"layers that differ from each other (other_layers)",
                                          [](const ModelHeader& h) { return h.other_layers.empty(); }};
inline constexpr Requirement rms_norm{"layer norms", [](const ModelHeader& h) { return h.norm == NormKind::rms; }};
inline constexpr Requirement layer_norm{"RMS norms", [](const ModelHeader& h) { return h.norm == NormKind::layer; }};
inline constexpr Requirement plain_norm{"zero-centred norm weights",
                                        [](const ModelHeader& h) { return !h.norm_zero_centered.value_or(false); }};
inline constexpr Requirement zero_centered_norm{
    "norm weights that are not zero-centred", [](const ModelHeader& h) { return h.norm_zero_centered.value_or(true); }};
inline constexpr Requirement rotary{"positions that are not rotary",
                                    [](const ModelHeader& h) { return h.positions == PositionKind::rope; }};
inline constexpr Requirement learned_positions{
    "no learned position table", [](const ModelHeader& h) { return h.positions == PositionKind::learned; }};
inline constexpr Requirement sequential{"parallel attention (parallel_attention)",
                                        [](const ModelHeader& h) { return !h.parallel_attention; }};
inline constexpr Requirement pre_norm{"norms behind the blocks (post_norm)",
                                      [](const ModelHeader& h) { return !h.post_norm && !h.embedding_norm; }};
inline constexpr Requirement final_norm{"no final norm", [](const ModelHeader& h) { return h.final_norm; }};
inline constexpr Requirement gated{"an MLP without a gate", [](const ModelHeader& h) { return h.mlp.gated; }};
inline constexpr Requirement ungated{"a gated MLP", [](const ModelHeader& h) { return !h.mlp.gated; }};
inline constexpr Requirement known_activation{"a gated MLP whose activation its source does not state",
                                              [](const ModelHeader& h) { return h.mlp.activation.has_value(); }};
inline constexpr Requirement no_bias{"biases in its linear layers", [](const ModelHeader& h) {
                                         return !h.attention.qkv_bias && !h.attention.dense_bias && !h.mlp.fc1_bias &&
                                                !h.mlp.fc2_bias;
                                     }};
inline constexpr Requirement all_biases{"linear layers without biases", [](const ModelHeader& h) {
                                            return h.attention.qkv_bias && h.attention.dense_bias && h.mlp.fc1_bias &&
                                                   h.mlp.fc2_bias;
                                        }};
inline constexpr Requirement biases_agree{"biases in some but not all of its linear layers", [](const ModelHeader& h) {
                                              return h.attention.qkv_bias == h.attention.dense_bias &&
                                                     h.attention.dense_bias == h.mlp.fc1_bias &&
                                                     h.mlp.fc1_bias == h.mlp.fc2_bias;
                                          }};
inline constexpr Requirement no_window{"a sliding attention window (sliding_window)", [](const ModelHeader& h) {
                                           const auto window = h.attention.sliding_window.value_or(0);
                                           return window == 0 || window >= h.max_position_embeddings.value_or(~0ULL);
                                       }};
inline constexpr Requirement plain_embeddings{"scaled embeddings (embedding_multiplier)", [](const ModelHeader& h) {
                                                  return h.embedding_multiplier.value_or(1.0) == 1.0;
                                              }};
inline constexpr Requirement decoder_only{"BERT's heads or token types", [](const ModelHeader& h) {
                                              return !h.bert.pooler && !h.bert.lm_head && !h.bert.binary_head &&
                                                     h.num_token_types == 0;
                                          }};
inline constexpr Requirement multi_head{"grouped query heads", [](const ModelHeader& h) {
                                            return h.attention.num_query_groups == h.attention.num_attention_heads;
                                        }};
inline constexpr Requirement heads_fill_hidden{
    "heads whose size is not hidden_size / num_attention_heads",
    [](const ModelHeader& h) { return h.attention.kv_channels * h.attention.num_attention_heads == h.hidden_size; }};
inline constexpr Requirement head{"no head (headless): it is an embedding model",
                                  [](const ModelHeader& h) { return !h.headless; }};
inline constexpr Requirement full_rotary{"partial rotary positions (rotary_percent)", [](const ModelHeader& h) {
                                             return h.attention.rotary_percent.value_or(1.0) == 1.0;
                                         }};
}  // namespace require

/// Of decoders as Llama's: RMS norms in front of the blocks, rotary positions, a gated MLP.
inline std::vector<Requirement> rms_decoder_requirements() {
    return {require::decoder_only, require::rms_norm, require::rotary,     require::full_rotary,
            require::sequential,   require::pre_norm, require::final_norm, require::gated};
}

}  // namespace detail

}  // namespace crossdock
