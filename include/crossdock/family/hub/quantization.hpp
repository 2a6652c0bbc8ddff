// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/container/json.hpp"
#include "crossdock/container/tensor_dict.hpp"
#include "crossdock/core/recipe.hpp"
#include "crossdock/family/config_table.hpp"

namespace crossdock::detail {

// FP8 in blocks (DeepSeek-V3 and R1, Qwen's "-FP8", transformers' FineGrainedFP8Config) is read: a weight is f8_e4m3, and
// each of its blocks has a scale in "….weight_scale_inv", which is multiplied by, in spite of its name
// (deepseek-ai/DeepSeek-V3, README_WEIGHTS.md). All other quantizations are refused by name.

inline bool is_anything(const Json& value) { return !value.is_null() && !(value.is_object() && value.empty()); }

/// "gptq", "4 bits"; empty where the description does not say.
inline std::string quantization_method(const Json& description) {
    if (!description.is_object()) return {};
    for (const char* key : {"quant_method", "quant_algo", "quantization_method"})
        if (const auto found = description.find(key); found != description.end() && found->is_string())
            return found->get<std::string>();
    const auto bits = description.find("bits");
    return bits != description.end() && bits->is_number() ? to_text(json_shown(*bits), " bits") : std::string();
}

/// How to come by plain weights (transformers 5.17, utils/quantization_config.py).
inline std::string_view way_out_of(std::string_view method) {
    constexpr std::array<std::pair<std::string_view, std::string_view>, 7> ways{
        {{"bitsandbytes", "load it with transformers, call dequantize() on the model and save that"},
         {"compressed-tensors", "load it with transformers and CompressedTensorsConfig(dequantize=True) and save that"},
         {"fp8", "load it with transformers and FineGrainedFP8Config(dequantize=True) and save that"},
         {"mxfp4", "load it with transformers and Mxfp4Config(dequantize=True) and save that"},
         {"gptq", "convert the model that it was made from"},
         {"awq", "convert the model that it was made from"},
         {"fbgemm_fp8", "convert the model that it was made from"}}};
    for (const auto& [name, way] : ways)
        if (name == method) return way;
    return "dequantize the model first";
}

[[noreturn]] inline void refuse_quantization(std::string_view key, std::string_view method, std::string_view what) {
    throw Error(to_text("'", key, "' asks for quantized weights", what.empty() ? "" : to_text(" (", what, ")"),
                        ", which are not supported; ", way_out_of(method),
                        ", or remove the key if its weights are plain"));
}

/// A positive whole number, 0 for anything else.
inline std::uint64_t block_extent(const Json& value) {
    return value.is_number_integer() && value.get<std::int64_t>() > 0 ? value.get<std::uint64_t>() : 0;
}

/// The blocks of FP8 weights; empty where config.json says nothing of FP8. Throws Error where it asks for FP8 of another
/// kind than is read.
inline std::optional<BlockSize> fp8_blocks(const Json& config) {
    const char* key = "quantization_config";
    const auto found = config.find(key);
    if (found == config.end() || quantization_method(*found) != "fp8") return std::nullopt;
    constexpr std::array<std::pair<const char*, std::string_view>, 3> read{
        {{"fmt", "e4m3"}, {"activation_scheme", "dynamic"}, {"expert_dtype", "fp8"}}};
    for (const auto& [name, expected] : read)
        if (const auto said = found->find(name); said != found->end() && !said->is_null())
            if (!said->is_string() || said->get_ref<const std::string&>() != expected)
                refuse_quantization(
                    key, "fp8", to_text("fp8 with ", name, " ", json_shown(*said), ", only ", expected, " is read"));
    const auto sizes = found->find("weight_block_size");
    if (sizes == found->end()) return BlockSize{128, 128};  // as transformers
    if (sizes->is_null()) refuse_quantization(key, "fp8", "fp8 without blocks: weight_block_size is null");
    BlockSize block;
    if (sizes->is_array() && sizes->size() == 2) block = {block_extent(sizes->at(0)), block_extent(sizes->at(1))};
    if (block.rows == 0 || block.columns == 0)
        throw Error(to_text("'", key, "': weight_block_size is ", json_shown(*sizes),
                            ", expected the rows and columns of a block, as [128, 128]"));
    return block;
}

/// Throws Error where config.json says that the weights are quantized in a way that is not read.
inline void refuse_quantization(const Json& config) {
    for (const char* key : {"quantization_config", "quantization_args", "compression_config", "quantization",
                            "quant_config", "quantize_config"}) {
        const auto found = config.find(key);
        if (found == config.end() || !is_anything(*found)) continue;
        if (std::string_view(key) == "quantization_config" && fp8_blocks(config)) continue;
        const std::string method = quantization_method(*found);
        refuse_quantization(key, method, method);
    }
}

/// The tensors with those that are FP8 as bf16, and without the scales. Throws Error naming a tensor that has no scales,
/// or scales of another shape than its blocks ask for.
inline TensorDict dequantized(TensorDict from, BlockSize block, std::vector<std::string>& notices) {
    constexpr std::string_view ending = "_scale_inv";
    const auto is_fp8 = [](const NamedTensor* entry) { return entry && entry->tensor.dtype() == DType::f8_e4m3; };
    TensorDict plain;
    plain.reserve(from.entries().size());
    std::size_t count = 0;
    for (const NamedTensor& entry : from.entries()) {
        const std::string_view name = entry.name;
        if (name.ends_with(ending) && is_fp8(from.find(name.substr(0, name.size() - ending.size())))) continue;
        if (!is_fp8(&entry)) {
            plain.add(entry);
            continue;
        }
        const NamedTensor* scales = from.find(to_text(name, ending));
        if (!scales)
            throw Error(to_text(entry.file, ": tensor '", name, "' is f8_e4m3, and its scales '", name, ending,
                                "' are missing"));
        const Tensor scaled = in_context(to_text(scales->file, ": tensor '", scales->name, "'"),
                                         [&] { return scale_blocks(entry.tensor, scales->tensor, block); });
        plain.add({entry.name, cast(scaled, DType::bf16), entry.file});
        ++count;
    }
    notices.push_back(to_text("config.json: the weights are FP8 in blocks of ", block.rows, " × ", block.columns, "; ",
                              count, " tensors are dequantized to bf16, and quantization_config is left out"));
    return plain;
}

/// Throws Error where a tensor holds the scales or codes of quantized weights.
inline void refuse_quantized_tensors(const TensorDict& tensors) {
    constexpr auto endings = std::to_array<std::string_view>(
        {".qweight", ".qzeros", ".scales", ".g_idx", ".absmax", ".nested_absmax", ".quant_map", ".SCB",
         ".weight_format", ".weight_scale", ".weight_scale_2", ".input_scale", "_scale_inv", ".weight_packed",
         ".weight_shape", ".weight_zero_point"});
    for (const NamedTensor& entry : tensors.entries()) {
        const bool is_marked = entry.name.find(".quant_state.") != std::string::npos ||
                               std::any_of(endings.begin(), endings.end(),
                                           [&entry](std::string_view ending) { return entry.name.ends_with(ending); });
        if (is_marked)
            throw Error(to_text(entry.file, ": tensor '", entry.name,
                                "' belongs to quantized weights, which are not supported; dequantize the model first"));
    }
}

}  // namespace crossdock::detail
