// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <utility>

#include "crossdock/container/json.hpp"
#include "crossdock/core/text.hpp"
#include "crossdock/family/layout.hpp"

namespace crossdock {

namespace detail {

/// The architectures in config.json; the first is the model's.
inline std::string first_architecture(const Json& config) {
    const auto list = config.find("architectures");
    const bool is_there = list != config.end() && list->is_array() && !list->empty() && list->front().is_string();
    return is_there ? list->front().get<std::string>() : std::string();
}

/// How the classes of each model type begin, as far as a config without model_type has to be told.
inline constexpr auto hub_classes =
    std::to_array<std::pair<std::string_view, std::string_view>>({{"Llama", "llama"},
                                                                  {"LLaMA", "llama"},
                                                                  {"Mistral", "mistral"},
                                                                  {"Mixtral", "mixtral"},
                                                                  {"Gemma", "gemma"},
                                                                  {"Gemma2", "gemma2"},
                                                                  {"Gemma3", "gemma3_text"},
                                                                  {"Falcon", "falcon"},
                                                                  {"Qwen2", "qwen2"},
                                                                  {"Qwen2Moe", "qwen2_moe"},
                                                                  {"Qwen3", "qwen3"},
                                                                  {"Qwen3Moe", "qwen3_moe"},
                                                                  {"DeepseekV3", "deepseek_v3"},
                                                                  {"Glm4Moe", "glm4_moe"},
                                                                  {"GPT2", "gpt2"},
                                                                  {"Bert", "bert"},
                                                                  {"MegatronBert", "megatron-bert"}});

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

/// Why a config.json is not read where it is of a model of images and text, and what to do; empty where it is of none.
inline std::string image_model(const Json& config) {
    constexpr auto types = std::to_array<std::string_view>({"gemma3", "gemma3n", "paligemma"});
    const std::string type = hub_type_of(config), architecture = detail::first_architecture(config);
    const auto vision = config.find("vision_config");
    const bool is_one = std::find(types.begin(), types.end(), type) != types.end() ||
                        (vision != config.end() && vision->is_object()) ||
                        (type == "gemma3_text" && architecture.ends_with("ForConditionalGeneration"));
    if (!is_one) return {};
    return to_text("is of a model of images and text (", architecture.empty() ? type : architecture,
                   "), which is not read; open it with transformers, save its language model by itself "
                   "(model.language_model.save_pretrained(…)), and convert that");
}

/// Whether a config.json is of one of the layout's model types.
inline bool has_hub_type(const Layout& layout, const Json& config) {
    const std::string type = hub_type_of(config);
    return std::find(layout.types.begin(), layout.types.end(), type) != layout.types.end();
}

}  // namespace crossdock
