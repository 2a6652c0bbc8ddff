// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "crossdock/container/pickle/value.hpp"
#include "crossdock/family/json.hpp"

namespace crossdock {

namespace detail {

/// A plain value as JSON. Names such as torch.bfloat16 become text, members of enumerations their name or number; what
/// is no plain value (random states, classes of a fork) is left out.
inline Json json_of_plain(const pickle::Value& value, int depth = 0) {
    constexpr int max_depth = 32;
    if (depth > max_depth) return Json(Json::value_t::discarded);
    if (value.is_none()) return nullptr;
    if (const auto truth = value.as_bool()) return *truth;
    if (const auto integer = value.as_integer()) return *integer;
    if (const auto* number = value.get<double>(); number && std::isfinite(*number)) return *number;
    if (const auto* string = value.as_string()) return *string;
    if (const auto* global = value.get<pickle::Global>()) return text(global->module, ".", global->name);
    if (const auto* object = value.get<pickle::Object>(); object && !value.entries()) {
        const auto* args = object->args.items();
        if (args && args->size() == 1 && object->state.is_none()) return json_of_plain(args->front(), depth + 1);
        return Json(Json::value_t::discarded);
    }
    if (const auto* items = value.items()) {
        Json array = Json::array();
        for (const pickle::Value& item : *items)
            if (Json element = json_of_plain(item, depth + 1); !element.is_discarded())
                array.push_back(std::move(element));
        return array;
    }
    return Json(Json::value_t::discarded);
}

inline pickle::Value plain_of_json(const Json& json) {
    switch (json.type()) {
        case Json::value_t::boolean: return json.get<bool>();
        case Json::value_t::number_integer:
        case Json::value_t::number_unsigned: return json.get<std::int64_t>();
        case Json::value_t::number_float: return json.get<double>();
        case Json::value_t::string: return json.get<std::string>();
        case Json::value_t::array: {
            pickle::Tuple tuple;
            for (const Json& item : json) tuple.items.push_back(plain_of_json(item));
            return tuple;
        }
        default: return {};
    }
}

}  // namespace detail

/// The attributes of an args Namespace as a JSON object; an empty one when there is no Namespace.
inline Json json_of_namespace(const pickle::Value* args) {
    Json json = Json::object();
    const auto* object = args ? args->get<pickle::Object>() : nullptr;
    const auto* attributes = object ? object->state.entries() : nullptr;
    if (!attributes) return json;
    for (const pickle::Entry& entry : *attributes)
        if (const std::string* name = entry.key.as_string())
            if (Json value = detail::json_of_plain(entry.value); !value.is_discarded()) json[*name] = std::move(value);
    return json;
}

/// An argparse.Namespace with these attributes; "torch.bfloat16" becomes the dtype again, arrays become tuples.
inline pickle::Value namespace_of_json(const Json& json) {
    constexpr std::string_view torch = "torch.";
    pickle::Dict attributes;
    for (const auto& [name, value] : json.items()) {
        const bool is_dtype = value.is_string() && value.get_ref<const std::string&>().starts_with(torch);
        attributes.entries.push_back(
            {pickle::Value(std::string_view(name)),
             is_dtype ? pickle::Value(pickle::Global{"torch", value.get<std::string>().substr(torch.size())})
                      : detail::plain_of_json(value)});
    }
    pickle::Object object;
    object.module = "argparse";
    object.name = "Namespace";
    object.construction = pickle::Construction::new_instance;
    object.args = pickle::Tuple{};
    object.state = std::move(attributes);
    return object;
}

}  // namespace crossdock
