// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/container/json.hpp"
#include "crossdock/container/json_text.hpp"
#include "crossdock/container/pickle/text.hpp"
#include "crossdock/container/pickle/value.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/text.hpp"
#include "crossdock/plugin/megatron/value_walk.hpp"

namespace crossdock::detail {

// A reshard of Megatron files keeps all arguments, known or not. They travel in header.origin.carried["args"] as JSON
// that tells Python's types apart, for what the pickle of the source holds may be anything:
//     None, True, 1, 1.5, "text"                     themselves
//     [1, 2]                                         a list
//     {"tuple": […]}, {"dict": [[key, value], …]}    a tuple, a dict
//     {"float": "nan"}                               what JSON has no number for
//     {"torch": "bfloat16"}                          a dtype
//     {"enum": ["module", "Class", value]}           a member of one of Megatron's own enumerations, by its value
//     {"member": ["module", "Class", name]}          and by its name
// Anything else would be a class of somebody's: it is left out, so that nothing foreign gets into what we write.

/// Modules that hold nothing but enumerations.
inline constexpr std::array<std::string_view, 4> enum_modules{"megatron.core.enums", "megatron.core.transformer.enums",
                                                              "megatron.model.enums", "megatron.legacy.model.enums"};

inline bool is_enum_module(std::string_view name) {
    return std::find(enum_modules.begin(), enum_modules.end(), name) != enum_modules.end();
}
inline bool is_dtype_name(std::string_view name) {
    constexpr std::array<std::string_view, 15> known{"float32", "float",    "float64",       "double",      "float16",
                                                     "half",    "bfloat16", "int8",          "uint8",       "int16",
                                                     "int32",   "int64",    "float8_e4m3fn", "float8_e5m2", "bool"};
    return std::find(known.begin(), known.end(), name) != known.end();
}
inline bool is_class_name(std::string_view name) {
    return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
    });
}

/// Turns arguments into that JSON; empty for what is left out.
class KeptValues : public ValueWalk<KeptValues> {
    friend ValueWalk<KeptValues>;

    static constexpr unsigned deepest = 16;
    static constexpr std::size_t most_bytes = std::size_t{8} << 20;

    static void exhausted() {}  // left out like any other

    static std::optional<Json> number(double number) {
        if (std::isfinite(number)) return Json(number);
        return Json{{"float", std::isnan(number) ? "nan" : number > 0 ? "inf" : "-inf"}};
    }
    static std::optional<Json> text(const std::string& string) {
        return pickle::detail::is_utf8(string) ? std::optional<Json>(string) : std::nullopt;
    }
    static std::optional<Json> global(const pickle::Global& global) {
        const bool is_dtype = global.module == "torch" && is_dtype_name(global.name);
        return is_dtype ? std::optional<Json>(Json{{"torch", global.name}}) : std::nullopt;
    }

    std::optional<Json> compound(const pickle::Value& value, unsigned depth) {
        if (const auto* list = value.get<pickle::List>()) return read_array(list->items, depth);
        if (const auto* tuple = value.get<pickle::Tuple>()) return tagged("tuple", read_array(tuple->items, depth));
        if (const auto* dict = value.get<pickle::Dict>(); dict && dict->tensors.empty())
            return tagged("dict", pairs(dict->entries, depth));
        if (const auto* object = value.get<pickle::Object>()) return member(*object, depth);
        return std::nullopt;
    }

    static std::optional<Json> tagged(const char* kind, std::optional<Json> content) {
        if (!content) return std::nullopt;
        return Json{{kind, std::move(*content)}};
    }

    std::optional<Json> pairs(const std::vector<pickle::Entry>& entries, unsigned depth) {
        Json array = Json::array();
        for (const pickle::Entry& entry : entries) {
            auto pair = read_array({entry.key, entry.value}, depth);
            if (!pair) return std::nullopt;
            array.push_back(std::move(*pair));
        }
        return array;
    }

    std::optional<Json> member(const pickle::Object& object, unsigned depth) {
        const auto* args = object.args.items();
        const bool is_plain = object.state.is_none() && object.keywords.is_none() && object.items.empty() &&
                              object.entries.empty() && args && args->size() == 1;
        if (!is_plain || !is_enum_module(object.module) || !is_class_name(object.name)) return std::nullopt;
        const pickle::Value& value = args->front();
        if (!value.as_integer() && !value.as_string()) return std::nullopt;
        auto kept = read(value, depth + 1);
        if (!kept) return std::nullopt;
        const char* kind = object.construction == pickle::Construction::member ? "member" : "enum";
        return Json{{kind, Json::array({object.module, object.name, std::move(*kept)})}};
    }
};

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
    if (kind == "torch" && content.is_string()) return to_text("torch.", content.get_ref<const std::string&>());
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

/// Throws Error where the number is beyond what a pickle holds as it is.
inline pickle::Value integer_of_json(const Json& number) {
    if (number.is_number_unsigned() && number.get<std::uint64_t>() > std::numeric_limits<std::int64_t>::max())
        throw Error(to_text(json_shown(number), " is a larger number than Megatron's args can have here"));
    return number.get<std::int64_t>();
}

inline pickle::Value scalar_of_kept(const Json& kept) {
    if (kept.is_boolean()) return kept.get<bool>();
    if (kept.is_number_integer()) return integer_of_json(kept);
    if (kept.is_number_float()) return kept.get<double>();
    if (kept.is_string()) return kept.get<std::string>();
    return {};
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
    if (!kept.is_object()) return scalar_of_kept(kept);
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
    if (kind == "float" && content.is_string())
        return std::strtod(content.get_ref<const std::string&>().c_str(), nullptr);
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

}  // namespace crossdock::detail
