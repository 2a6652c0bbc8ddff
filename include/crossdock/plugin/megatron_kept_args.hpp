// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/container/pickle/value.hpp"
#include "crossdock/family/megatron.hpp"
#include "crossdock/plugin/megatron_namespace.hpp"

namespace crossdock::detail {

// A reshard keeps all arguments, known or not. They travel in header.carried["args"] as JSON that tells Python's types
// apart, for what the pickle of the source holds may be anything:
//     None, True, 1, 1.5, "text"                     themselves
//     [1, 2]                                         a list
//     {"tuple": […]}, {"dict": [[key, value], …]}    a tuple, a dict
//     {"float": "nan"}                               what JSON has no number for
//     {"torch": "bfloat16"}                          a dtype
//     {"enum": ["module", "Class", value]}           a member of one of Megatron's own enumerations, by its value
//     {"member": ["module", "Class", name]}          and by its name
// Anything else would be a class of somebody's: it is left out, so that nothing foreign gets into what we write.

/// Modules that hold nothing but enumerations.
inline constexpr std::array<std::string_view, 4> enum_modules{
    "megatron.core.enums", "megatron.core.transformer.enums", "megatron.model.enums", "megatron.legacy.model.enums"};

inline bool is_enum_module(std::string_view name) {
    return std::find(enum_modules.begin(), enum_modules.end(), name) != enum_modules.end();
}
inline bool is_dtype_name(std::string_view name) {
    constexpr std::array<std::string_view, 15> known{
        "float32", "float", "float64", "double", "float16",       "half",       "bfloat16", "int8",
        "uint8",   "int16", "int32",   "int64",  "float8_e4m3fn", "float8_e5m2", "bool"};
    return std::find(known.begin(), known.end(), name) != known.end();
}
inline bool is_class_name(std::string_view name) {
    return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
    });
}

/// Turns arguments into that JSON. Values that others share are met again and again, so that size and depth are bounded.
class KeptValues {
public:
    /// Empty for what is left out.
    std::optional<Json> of(const pickle::Value& value, int depth = 0) {
        constexpr int max_depth = 16;
        if (depth > max_depth || !spend(sizeof(Json))) return std::nullopt;
        if (value.is_none()) return Json(nullptr);
        if (const auto truth = value.as_bool()) return Json(*truth);
        if (const auto integer = value.as_integer()) return Json(*integer);
        if (const auto* number = value.get<double>()) return real(*number);
        if (const auto* string = value.as_string())
            return spend(string->size()) ? std::optional<Json>(*string) : std::nullopt;
        if (const auto* list = value.get<pickle::List>()) return items(list->items, depth);
        if (const auto* tuple = value.get<pickle::Tuple>()) return tagged("tuple", items(tuple->items, depth));
        if (const auto* dict = value.get<pickle::Dict>()) return tagged("dict", pairs(dict->entries, depth));
        if (const auto* global = value.get<pickle::Global>())
            return global->module == "torch" && is_dtype_name(global->name)
                       ? std::optional<Json>(Json{{"torch", global->name}})
                       : std::nullopt;
        if (const auto* object = value.get<pickle::Object>()) return member(*object, depth);
        return std::nullopt;
    }

private:
    bool spend(std::size_t bytes) {
        const bool enough = bytes <= left_;
        left_ -= enough ? bytes : left_;
        return enough;
    }

    static std::optional<Json> tagged(const char* kind, std::optional<Json> content) {
        if (!content) return std::nullopt;
        return Json{{kind, std::move(*content)}};
    }

    static Json real(double number) {
        if (std::isfinite(number)) return number;
        return Json{{"float", std::isnan(number) ? "nan" : number > 0 ? "inf" : "-inf"}};
    }

    std::optional<Json> items(const std::vector<pickle::Value>& values, int depth) {
        Json array = Json::array();
        for (const pickle::Value& value : values) {
            auto item = of(value, depth + 1);
            if (!item) return std::nullopt;
            array.push_back(std::move(*item));
        }
        return array;
    }

    std::optional<Json> pairs(const std::vector<pickle::Entry>& entries, int depth) {
        Json array = Json::array();
        for (const pickle::Entry& entry : entries) {
            auto pair = items({entry.key, entry.value}, depth);
            if (!pair) return std::nullopt;
            array.push_back(std::move(*pair));
        }
        return array;
    }

    std::optional<Json> member(const pickle::Object& object, int depth) {
        const auto* args = object.args.items();
        const bool is_plain = object.state.is_none() && object.keywords.is_none() && object.items.empty() &&
                              object.entries.empty() && args && args->size() == 1;
        if (!is_plain || !is_enum_module(object.module) || !is_class_name(object.name)) return std::nullopt;
        const pickle::Value& value = args->front();
        if (!value.as_integer() && !value.as_string()) return std::nullopt;
        auto kept = of(value, depth + 1);
        if (!kept) return std::nullopt;
        const char* kind = object.construction == pickle::Construction::member ? "member" : "enum";
        return Json{{kind, Json::array({object.module, object.name, std::move(*kept)})}};
    }

    std::size_t left_ = 8U << 20;
};

/// The attributes of an args Namespace as such JSON; `left_out` gets the names of those that are not kept.
inline Json kept_args(const std::vector<pickle::Entry>& attributes, std::vector<std::string>& left_out) {
    Json kept = Json::object();
    KeptValues values;
    for (const pickle::Entry& entry : attributes) {
        const std::string* name = entry.key.as_string();
        if (!name) continue;
        if (auto value = values.of(entry.value))
            kept[*name] = std::move(*value);
        else
            left_out.push_back(*name);
    }
    return kept;
}

/// The JSON of a kept value in Megatron's plain spelling, which the tables of arguments read.
inline Json plain_of_kept(const Json& kept) {
    if (kept.is_array()) {
        Json array = Json::array();
        for (const Json& item : kept) array.push_back(plain_of_kept(item));
        return array;
    }
    if (!kept.is_object() || kept.empty()) return kept;
    const std::string& kind = kept.begin().key();
    const Json& content = kept.front();
    if (kind == "tuple") return plain_of_kept(content);
    if (kind == "torch" && content.is_string()) return text("torch.", content.get_ref<const std::string&>());
    if ((kind == "enum" || kind == "member") && content.is_array() && content.size() == 3) return content[2];
    return nullptr;
}

/// The other way round, for what the tables write: arrays are tuples, "torch.bfloat16" is a dtype.
inline Json kept_of_plain(const Json& plain) {
    constexpr std::string_view torch = "torch.";
    if (plain.is_array()) return Json{{"tuple", plain}};
    if (!plain.is_string()) return plain;
    const auto& name = plain.get_ref<const std::string&>();
    if (name.starts_with(torch) && is_dtype_name(std::string_view(name).substr(torch.size())))
        return Json{{"torch", name.substr(torch.size())}};
    return plain;
}

inline pickle::Value value_of_kept(const Json& kept);

inline std::vector<pickle::Value> values_of_kept(const Json& array) {
    std::vector<pickle::Value> values;
    for (const Json& item : array) values.push_back(value_of_kept(item));
    return values;
}

/// A value that KeptValues made, as it was. Of anything else it makes None.
inline pickle::Value value_of_kept(const Json& kept) {
    if (kept.is_array()) return pickle::List{values_of_kept(kept)};
    if (!kept.is_object()) return plain_of_json(kept);
    if (kept.size() != 1) return {};
    const std::string& kind = kept.begin().key();
    const Json& content = kept.front();
    if (kind == "tuple" && content.is_array()) return pickle::Tuple{values_of_kept(content)};
    if (kind == "dict" && content.is_array()) {
        pickle::Dict dict;
        for (const Json& pair : content)
            if (pair.is_array() && pair.size() == 2)
                dict.entries.push_back({value_of_kept(pair[0]), value_of_kept(pair[1])});
        return dict;
    }
    if (kind == "float" && content.is_string()) return std::strtod(content.get_ref<const std::string&>().c_str(), nullptr);
    if (kind == "torch" && content.is_string() && is_dtype_name(content.get_ref<const std::string&>()))
        return pickle::Global{"torch", content.get<std::string>()};
    const bool is_member = kind == "member";
    if ((!is_member && kind != "enum") || !content.is_array() || content.size() != 3) return {};
    if (!content[0].is_string() || !content[1].is_string() || content[2].is_structured()) return {};
    pickle::Object object;
    object.module = content[0].get<std::string>();
    object.name = content[1].get<std::string>();
    if (!is_enum_module(object.module) || !is_class_name(object.name)) return {};
    object.construction = is_member ? pickle::Construction::member : pickle::Construction::call;
    object.args = pickle::Tuple{{value_of_kept(content[2])}};
    return object;
}

/// What tells how the old files were laid out, where they lay and who wrote them: it is not true of the new ones.
/// NVIDIA's tools/checkpoint/saver_base.py replaces these too.
inline Json layout_args(std::uint64_t ranks, std::uint64_t stages) {
    return {{"world_size", ranks * stages},
            {"rank", 0},
            {"local_rank", 0},
            {"data_parallel_size", 1},
            {"context_parallel_size", 1},
            {"transformer_pipeline_model_parallel_size", stages},
            {"model_parallel_size", nullptr},
            {"encoder_tensor_model_parallel_size", 0},
            {"encoder_pipeline_model_parallel_size", 0},
            {"expert_tensor_parallel_size", nullptr},
            {"pipeline_model_parallel_split_rank", nullptr},
            {"pipeline_model_parallel_layout", nullptr},
            {"num_virtual_stages_per_pipeline_rank", nullptr},
            {"num_layers_in_first_pipeline_stage", nullptr},
            {"num_layers_in_last_pipeline_stage", nullptr},
            {"account_for_embedding_in_pipeline_split", false},
            {"account_for_loss_in_pipeline_split", false},
            {"standalone_embedding_stage", false},
            {"save", nullptr},
            {"load", nullptr},
            {"pretrained_checkpoint", nullptr},
            {"tensorboard_dir", nullptr},
            {"wandb_save_dir", nullptr}};
}

/// Whether the target's own word counts whatever the source states.
inline bool describes_files(std::string_view name) {
    constexpr std::array<std::string_view, 16> names{"params_dtype",
                                                     "bf16",
                                                     "fp16",
                                                     "padded_vocab_size",
                                                     "expert_model_parallel_size",
                                                     "transformer_impl",
                                                     "ckpt_format",
                                                     "no_save_optim",
                                                     "no_save_rng",
                                                     "ckpt_fully_parallel_save",
                                                     "use_distributed_optimizer",
                                                     "encoder_num_layers",
                                                     "encoder_seq_length",
                                                     "tensor_model_parallel_size",
                                                     "pipeline_model_parallel_size",
                                                     "iteration"};
    return std::find(names.begin(), names.end(), name) != names.end();
}

inline bool is_nvidia(std::string_view dialect) { return dialect == "lm" || dialect == "mcore"; }

/// The dialect of a Megatron source: "mcore" of "Megatron (mcore)"; empty for other sources.
inline std::string_view source_dialect(const ModelHeader& header) {
    constexpr std::string_view beginning = "Megatron (";
    std::string_view format = header.source_format;
    if (!format.starts_with(beginning) || !format.ends_with(")")) return {};
    return format.substr(beginning.size(), format.size() - beginning.size() - 1);
}

/// The source's arguments that the target keeps. The two of NVIDIA's codes read the same ones; of Megatron-LLM and these
/// each keeps of the other what says nothing of the model, as that is translated.
inline Json source_args(const MegatronDialect& target, const ModelHeader& header) {
    const std::string_view dialect = source_dialect(header);
    const auto carried = header.carried.find("args");
    if (dialect.empty() || carried == header.carried.end()) return Json::object();
    Json args = parse_json(carried->second, "args of the source");
    if (!args.is_object()) return Json::object();
    if (dialect == target.name || (is_nvidia(dialect) && is_nvidia(target.name))) return args;
    const MegatronDialect& source = dialect == "llm" ? megatron_llm() : megatron_core_local(false);
    for (const ConfigEntry& line : source.args)
        for (const std::string_view key : line.keys) args.erase(std::string(key));
    for (const OtherArgument& other : megatron_other_args()) args.erase(std::string(other.name));
    return args;
}

/// The target's args: what the dialect's table says of the header, over what the source states. Where the source's word
/// comes to the same, it stays as it is.
inline Json combined_args(const MegatronDialect& target, const ModelHeader& header, std::uint64_t ranks,
                          std::uint64_t stages) {
    Json args = source_args(target, header), plain = Json::object();
    for (const auto& [name, value] : args.items()) plain[name] = plain_of_kept(value);
    ModelHeader said;
    target.constants(said);
    read_config(target.args, plain, said, "args of the source");
    Json before = Json::object(), now = Json::object();
    write_config(target.args, said, before);
    write_config(target.args, header, now);
    for (const auto& [name, value] : now.items()) {
        const bool is_right = args.contains(name) && !describes_files(name) && before.contains(name) &&
                              before.at(name) == value;
        if (!is_right) args[name] = kept_of_plain(value);
    }
    const Json layout = layout_args(ranks, stages);
    for (const auto& [name, value] : layout.items())
        if (args.contains(name)) args[name] = value;
    return args;
}

/// An argparse.Namespace with these attributes.
inline pickle::Value namespace_of_kept(const Json& args) {
    pickle::Dict attributes;
    for (const auto& [name, value] : args.items())
        attributes.entries.push_back({pickle::Value(std::string_view(name)), value_of_kept(value)});
    const pickle::Value made = namespace_of_json(Json::object());
    made.edit<pickle::Object>()->state = std::move(attributes);
    return made;
}

}  // namespace crossdock::detail
