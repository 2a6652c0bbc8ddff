// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <charconv>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>

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

Json field_to_json(const std::map<std::uint64_t, LayerKind>& layers);
void field_from_json(const Json& json, std::map<std::uint64_t, LayerKind>& layers);

}  // namespace detail

/// The header's fields as an object; what the source does not say is left out.
template <class Fields = decltype(header_fields)>
Json header_to_json(const ModelHeader& header, const Fields& fields = header_fields) {
    Json json = Json::object();
    for_each_header_field(fields, [&](const auto& field) {
        if (!has_meaning(field, header)) return;
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

namespace detail {

/// The fields of one group.
inline Json group_to_json(const ModelHeader& header, FieldGroup group) {
    Json json = Json::object();
    for_each_header_field(header_fields, [&](const auto& field) {
        if (field.group != group || !has_meaning(field, header)) return;
        Json value = field_to_json(field(header));
        if (!value.is_discarded()) json[std::string(field.name)] = std::move(value);
    });
    return json;
}

/// {"3": {"attention": {…}}, "7": {"mlp": {…}}}: the layers that differ, and the groups that they have of their own.
inline Json field_to_json(const std::map<std::uint64_t, LayerKind>& layers) {
    if (layers.empty()) return config::left_out();
    Json json = Json::object();
    for (const auto& [layer, kind] : layers) {
        Json& line = json[to_text(layer)] = Json::object();
        ModelHeader header;
        header.attention = kind.attention.value_or(Attention{});
        header.mlp = kind.mlp.value_or(Mlp{});
        if (kind.attention) line["attention"] = group_to_json(header, FieldGroup::attention);
        if (kind.mlp) line["mlp"] = group_to_json(header, FieldGroup::mlp);
    }
    return json;
}

inline void field_from_json(const Json& json, std::map<std::uint64_t, LayerKind>& layers) {
    layers.clear();
    for (const auto& [name, groups] : json.items()) {
        std::uint64_t layer = 0;
        const auto parsed = std::from_chars(name.data(), name.data() + name.size(), layer);
        if (parsed.ec != std::errc() || parsed.ptr != name.data() + name.size())
            throw Error(to_text("names a layer '", name, "', expected a number"));
        ModelHeader header;
        LayerKind& kind = layers[layer];
        if (const auto attention = groups.find("attention"); attention != groups.end()) {
            header_from_json(*attention, header);
            kind.attention = header.attention;
        }
        if (const auto mlp = groups.find("mlp"); mlp != groups.end()) {
            header_from_json(*mlp, header);
            kind.mlp = header.mlp;
        }
    }
}

}  // namespace detail

}  // namespace crossdock
