// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "crossdock/container/json.hpp"
#include "crossdock/container/pickle/value.hpp"
#include "crossdock/core/dtype.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/text.hpp"
#include "crossdock/family/config_table.hpp"
#include "crossdock/plugin/megatron/kept_values.hpp"
#include "crossdock/plugin/megatron/plain_values.hpp"

namespace crossdock {

/// The arguments that a training run stored, by name.
struct MegatronArgs {
    Json values = Json::object();
    /// What is there and is no plain value: its name, and what it is. Nobody may take its default instead.
    std::map<std::string, std::string> not_understood{};
    Json kept = Json::object();           ///< as KeptValues has them, for a reshard
    std::vector<std::string> left_out{};  ///< what is not in `kept`
    bool stated = false;                  ///< false: the file has none
};

namespace detail {

using NamedValues = std::vector<std::pair<std::string_view, const pickle::Value*>>;

inline void add_fields(const pickle::Value& mapping, NamedValues& fields) {
    if (const auto* entries = mapping.entries())
        for (const pickle::Entry& entry : *entries)
            if (const std::string* name = entry.key.as_string()) fields.emplace_back(*name, &entry.value);
}

/// What an argparse.Namespace holds, or whatever stands for one: a dict, a dataclass, a SimpleNamespace, an instance of
/// a class with __slots__. Empty where the values have no names.
inline std::optional<NamedValues> named_values(const pickle::Value& container) {
    NamedValues fields;
    const auto* object = container.get<pickle::Object>();
    if (!object && !container.entries()) return std::nullopt;
    add_fields(container, fields);
    if (!object) return fields;
    if (const auto* parts = object->state.get<pickle::Tuple>())
        for (const pickle::Value& part : parts->items) add_fields(part, fields);
    else
        add_fields(object->state, fields);
    const bool is_known = object->state.is_none() || object->state.entries() || object->state.get<pickle::Tuple>();
    const auto* args = object->args.items();
    if (fields.empty() && (!is_known || (args && !args->empty()))) return std::nullopt;
    return fields;
}

/// The last of several values of a name counts, as in Python.
inline MegatronArgs plain_args(const NamedValues& fields) {
    constexpr std::size_t most = 10'000;  // NVIDIA's list has 500
    if (fields.size() > most) throw Error(to_text("hold ", fields.size(), " values, more than any training run has"));
    std::unordered_map<std::string_view, const pickle::Value*> last;
    for (const auto& [name, value] : fields) last[name] = value;
    MegatronArgs args{.stated = true};
    PlainValues plain;
    KeptValues keeper;
    std::vector<std::pair<std::string, Json>> kept;
    for (const auto& [name, value] : fields) {
        const auto found = last.find(name);
        if (found == last.end()) continue;
        auto json = plain.read(*found->second);
        auto exact = keeper.read(*found->second);
        if (!exact && json && !found->second->get<pickle::Global>()) exact = kept_of_plain(*json);
        if (exact)
            kept.emplace_back(name, std::move(*exact));
        else
            args.left_out.emplace_back(name);
        if (json)
            args.values[std::string(name)] = std::move(*json);
        else
            args.not_understood[std::string(name)] = describe_value(*found->second);
        last.erase(found);
    }
    args.kept = json_object(std::move(kept));
    return args;
}

inline pickle::Value plain_of_json(const Json& json) {
    switch (json.type()) {
        case Json::value_t::boolean: return json.get<bool>();
        case Json::value_t::number_integer:
        case Json::value_t::number_unsigned: return integer_of_json(json);
        case Json::value_t::number_float: return json.get<double>();
        case Json::value_t::string: return json.get<std::string>();
        case Json::value_t::array: {
            pickle::Tuple tuple;
            for (const Json& item : json) tuple.items.push_back(plain_of_json(item));
            return tuple;
        }
        case Json::value_t::object: {
            pickle::Dict dict;
            for (const auto& [key, value] : json.items())
                dict.entries.push_back({pickle::Value(std::string_view(key)), plain_of_json(value)});
            return dict;
        }
        default: return {};
    }
}

}  // namespace detail

/// The arguments in a value of a checkpoint's file; none where it is null or None. Throws Error where it is something
/// that has no names for what it holds.
inline MegatronArgs read_args(const pickle::Value* args) {
    if (!args || args->is_none()) return {};
    const auto fields = detail::named_values(*args);
    if (!fields)
        throw Error(to_text("are ", args->describe(),
                            ", whose values have no names; expected an argparse.Namespace, a "
                            "dict or an object with attributes"));
    return detail::plain_args(*fields);
}

/// Throws Error where an argument that the table reads is there and was not understood: its default may be wrong.
inline void require_understood(const ConfigTable& table, const std::map<std::string, std::string>& not_understood,
                               std::string_view where) {
    if (not_understood.empty()) return;
    for (const ConfigEntry& line : table) {
        if (!line.read) continue;
        for (const std::string_view key : line.keys)
            if (const auto found = not_understood.find(std::string(key)); found != not_understood.end())
                throw Error(to_text(where, ": '", key, "' is ", found->second,
                                    ", which is not understood; expected a plain number, text, list or None"));
    }
}

/// An argparse.Namespace with these attributes; "torch.bfloat16" becomes the dtype again, arrays become tuples.
inline pickle::Value namespace_of_json(const Json& json) {
    constexpr std::string_view torch = "torch.";
    pickle::Dict attributes;
    for (const auto& [name, value] : json.items()) {
        const std::string* string = value.get_ptr<const std::string*>();
        const bool is_dtype = string && string->starts_with(torch) && parse_dtype(string->substr(torch.size()));
        attributes.entries.push_back({pickle::Value(std::string_view(name)),
                                      is_dtype ? pickle::Value(pickle::Global{"torch", string->substr(torch.size())})
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
