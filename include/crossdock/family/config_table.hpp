// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "crossdock/container/json.hpp"
#include "crossdock/container/json_text.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/join_lists.hpp"
#include "crossdock/core/text.hpp"
#include "crossdock/protocol/header_fields.hpp"
#include "crossdock/protocol/model_header.hpp"

namespace crossdock {

/// One line between a description of a model (config.json, params.json, Megatron's args) and the header.
struct ConfigEntry {
    std::vector<std::string_view> keys;  ///< the first is written; the others are older spellings, in order of trust
    Json absent = nullptr;               ///< what it means that no key is there; null: the source does not say
    std::function<void(const Json&, ModelHeader&)> read;  ///< null: only written
    std::function<Json(const ModelHeader&)> write;        ///< null: only read; a discarded value is left out
    std::vector<std::string_view> stronger{};             ///< spellings that count before all of `keys`
};

/// A description read from top to bottom; later lines may use what earlier ones found.
using ConfigTable = std::vector<ConfigEntry>;

namespace detail {

template <class T>
struct optional_value {
    using type = T;
};
template <class T>
struct optional_value<std::optional<T>> {
    using type = T;
};

/// A JSON value as T; throws Error that says what was expected.
template <class T>
T json_as(const Json& value) {
    if constexpr (std::is_same_v<T, bool>) {
        if (value.is_boolean()) return value.get<bool>();
        throw Error(to_text("is ", json_shown(value), ", expected true or false"));
    } else if constexpr (std::is_same_v<T, std::uint64_t>) {
        if (value.is_number_unsigned()) return value.get<std::uint64_t>();
        if (value.is_number_integer() && value.get<std::int64_t>() >= 0) return value.get<std::uint64_t>();
        if (value.is_number_float() && value.get<double>() >= 0 && value.get<double>() < 0x1p53 &&
            value.get<double>() == std::floor(value.get<double>()))
            return static_cast<std::uint64_t>(value.get<double>());
        throw Error(to_text("is ", json_shown(value), ", expected a whole number that is not negative"));
    } else if constexpr (std::is_same_v<T, double>) {
        if (value.is_number() && std::isfinite(value.get<double>())) return value.get<double>();
        throw Error(to_text("is ", json_shown(value), ", expected a number"));
    } else {
        if (value.is_string()) return value.get<std::string>();
        throw Error(to_text("is ", json_shown(value), ", expected a string"));
    }
}

/// A whole number where it is one: readers take some keys as int alone.
inline Json number(double value) {
    if (value == std::floor(value) && std::abs(value) < 0x1p53) return static_cast<std::int64_t>(value);
    return value;
}

template <class T>
Json json_of(const std::optional<T>& value) {
    return value ? Json(*value) : Json(Json::value_t::discarded);
}
template <class T>
Json json_of(const T& value) {
    return Json(value);
}

}  // namespace detail

/// What the lines of a table are made of. A table opens it inside its own function: `using namespace config;`.
namespace config {

/// "Leave this key out."
inline Json left_out() { return Json(Json::value_t::discarded); }

/// Reads a header field. A null in the source says nothing.
template <class T>
auto read_into(const HeaderField<T>& field) {
    using Value = typename detail::optional_value<T>::type;
    return [field](const Json& value, ModelHeader& header) {
        if (!value.is_null()) field(header) = detail::json_as<Value>(value);
    };
}

/// A header field under one key.
template <class T>
[[gnu::noinline]] ConfigEntry entry(std::vector<std::string_view> keys, const HeaderField<T>& field,
                                    Json absent = nullptr) {
    return {std::move(keys), std::move(absent), read_into(field),
            [field](const ModelHeader& header) { return detail::json_of(field(header)); }};
}

/// A header field that need not be known; `unknown` is written where it is not.
template <class T>
[[gnu::noinline]] ConfigEntry entry_or(std::vector<std::string_view> keys, const HeaderField<std::optional<T>>& field,
                                       Json unknown, Json absent = nullptr) {
    return {std::move(keys), std::move(absent), read_into(field),
            [field, unknown = std::move(unknown)](const ModelHeader& header) {
                return field(header) ? Json(*(field(header))) : unknown;
            }};
}

/// A key that is always written with this value and tells nothing when read.
[[gnu::noinline]] inline ConfigEntry fixed(std::string_view key, Json value) {
    return {{key}, nullptr, nullptr, [value = std::move(value)](const ModelHeader&) { return value; }};
}

/// A key that is only written.
[[gnu::noinline]] inline ConfigEntry written(std::string_view key, std::function<Json(const ModelHeader&)> write) {
    return {{key}, nullptr, nullptr, std::move(write)};
}

/// A key that is only read.
[[gnu::noinline]] inline ConfigEntry understood(std::vector<std::string_view> keys,
                                                std::function<void(const Json&, ModelHeader&)> read,
                                                Json absent = nullptr) {
    return {std::move(keys), std::move(absent), std::move(read), nullptr};
}

/// The same line, for a value that must be known where its key is there.
[[gnu::noinline]] inline ConfigEntry stated(ConfigEntry line) {
    line.read = [read = std::move(line.read)](const Json& value, ModelHeader& header) {
        if (value.is_null()) throw Error("is null, expected a value");
        read(value, header);
    };
    return line;
}

/// A size: null says that it follows from others, 0 is no size. One that is not known, as no layer has it, is left out.
[[gnu::noinline]] inline ConfigEntry size_entry(std::vector<std::string_view> keys,
                                                const HeaderField<std::uint64_t>& field, Json absent = nullptr) {
    ConfigEntry line = entry(std::move(keys), field, std::move(absent));
    line.read = [field](const Json& value, ModelHeader& header) {
        field(header) = value.is_null() ? 0 : detail::json_as<std::uint64_t>(value);
        if (!value.is_null() && field(header) == 0) throw Error("is 0, expected at least 1");
    };
    line.write = [field](const ModelHeader& header) { return field(header) == 0 ? left_out() : Json(field(header)); };
    return line;
}

/// The table as one that reads only what is there.
inline ConfigTable without_defaults(ConfigTable table) {
    for (ConfigEntry& line : table) line.absent = nullptr;
    return table;
}

}  // namespace config

/// The spellings of a line that the description has, the one that counts first.
inline std::vector<std::string_view> spellings_in(const ConfigEntry& line, const Json& config) {
    std::vector<std::string_view> found;
    for (const auto* keys : {&line.stronger, &line.keys})
        for (const std::string_view key : *keys)
            if (config.contains(std::string(key))) found.push_back(key);
    return found;
}

/// Fills the header from a description. Throws Error naming the key of a value of the wrong kind.
inline void read_config(const ConfigTable& table, const Json& config, ModelHeader& header) {
    for (const ConfigEntry& line : table) {
        if (!line.read) continue;
        const std::vector<std::string_view> spellings = spellings_in(line, config);
        if (spellings.empty() && line.absent.is_null()) continue;
        const std::string key(spellings.empty() ? line.keys.front() : spellings.front());
        const Json& value = spellings.empty() ? line.absent : config.at(key);
        in_context(to_text("'", key, "'"), [&] { line.read(value, header); });
    }
}

/// The same; the Error names `file` too.
inline void read_config(const ConfigTable& table, const Json& config, ModelHeader& header, std::string_view file) {
    in_context(file, [&] { read_config(table, config, header); });
}

/// Writes the header's fields over `config`, and removes the spellings that are only read.
inline void write_config(const ConfigTable& table, const ModelHeader& header, Json& config) {
    for (const ConfigEntry& line : table)
        for (const std::string_view key : spellings_in(line, config))
            if (!line.write || key != line.keys.front()) config.erase(std::string(key));
    for (const ConfigEntry& line : table) {
        if (!line.write) continue;
        Json value = line.write(header);
        if (value.is_discarded())
            config.erase(std::string(line.keys.front()));
        else
            config[std::string(line.keys.front())] = std::move(value);
    }
}

}  // namespace crossdock
