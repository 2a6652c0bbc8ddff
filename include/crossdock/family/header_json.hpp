// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

#include "crossdock/family/config_table.hpp"
#include "crossdock/family/hub/rope.hpp"
#include "crossdock/protocol/header_fields.hpp"
#include "crossdock/protocol/model_header.hpp"

namespace crossdock {

namespace detail {

template <class T>
Json field_to_json(const T& value) {
    if constexpr (std::is_enum_v<T>)
        return enum_name(value);
    else
        return value;
}
inline Json field_to_json(const RopeScaling& scaling) { return rope_to_json(scaling, "rope_type"); }
template <class T>
Json field_to_json(const std::optional<T>& value) {
    return value ? field_to_json(*value) : config::left_out();
}

template <class T>
void field_from_json(const Json& json, T& value) {
    if constexpr (std::is_enum_v<T>) {
        const auto name = json_as<std::string>(json);
        for (std::size_t i = 0; i < enum_names<T>.size(); ++i)
            if (enum_names<T>[i] == name) return void(value = static_cast<T>(i));
        throw Error(to_text("is '", name, "', which is not known"));
    } else {
        value = json_as<T>(json);
    }
}
inline void field_from_json(const Json& json, RopeScaling& value) {
    if (!json.is_object()) throw Error(to_text("is ", json_shown(json), ", expected an object"));
    value = rope_scaling_of(json);
}
template <class T>
void field_from_json(const Json& json, std::optional<T>& value) {
    field_from_json(json, value.emplace());
}

}  // namespace detail

/// The header's fields as an object; what the source does not say is left out.
template <class Fields = decltype(header_fields)>
Json header_to_json(const ModelHeader& header, const Fields& fields = header_fields) {
    Json json = Json::object();
    for_each_header_field(fields, [&](const auto& field) {
        Json value = detail::field_to_json(field(header));
        if (!value.is_discarded()) json[std::string(field.name)] = std::move(value);
    });
    return json;
}

/// Sets the fields that the object holds. Throws Error naming a field of the wrong kind.
template <class Fields = decltype(header_fields)>
void header_from_json(const Json& json, ModelHeader& header, const Fields& fields = header_fields) {
    for_each_header_field(fields, [&](const auto& field) {
        const auto found = json.find(std::string(field.name));
        if (found == json.end()) return;
        in_context(to_text("'", field.name, "'"), [&] { detail::field_from_json(*found, field(header)); });
    });
}

}  // namespace crossdock
