// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/container/json.hpp"
#include "crossdock/container/pickle/value.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/text.hpp"
#include "crossdock/plugin/megatron/numpy_values.hpp"
#include "crossdock/plugin/megatron/value_walk.hpp"

namespace crossdock::detail {

/// Turns values of a pickle into JSON, as far as they are plain: what Python shows of them, without running any of it.
/// Names such as torch.bfloat16 become text, members of enumerations their name or value, paths their text, numpy's
/// scalars and tensors of one element their number.
class PlainValues : public ValueWalk<PlainValues> {
    friend ValueWalk<PlainValues>;

    static constexpr unsigned deepest = 32;
    static constexpr std::size_t most_bytes = std::size_t{2} << 20;

    [[noreturn]] static void exhausted() {
        constexpr std::string_view too_many = "hold more than any arguments of a training run do";
        throw Error(std::string(too_many));
    }

    /// JSON knows no infinite numbers, and nothing that is read here may be one.
    static std::optional<Json> number(double value) { return finite(Json(value)); }
    static std::optional<Json> text(const std::string& string) { return Json(string); }
    static std::optional<Json> global(const pickle::Global& name) { return Json(to_text(name.module, ".", name.name)); }

    /// Empty where the value is of another kind: a random state, a class of a fork.
    std::optional<Json> compound(const pickle::Value& value, unsigned depth) {
        if (const auto* tensor = value.get<Tensor>()) return finite(tensor_value(*tensor));
        if (const auto* tensors = value.tensors_apart(); tensors && !tensors->empty()) return std::nullopt;
        if (const auto* entries = value.entries()) return object(*entries, depth);
        if (const auto* items = value.items()) return read_array(*items, depth);
        if (const auto* instance = value.get<pickle::Object>()) return instance_value(*instance, depth);
        return std::nullopt;
    }

    static std::optional<Json> finite(std::optional<Json> value) {
        const auto is_finite = [](const Json& json) {
            return !json.is_number_float() || std::isfinite(json.get<double>());
        };
        if (value &&
            (!is_finite(*value) || (value->is_array() && !std::all_of(value->begin(), value->end(), is_finite))))
            return std::nullopt;
        return value;
    }

    std::optional<Json> object(const std::vector<pickle::Entry>& entries, unsigned depth) {
        constexpr std::size_t most = 1000;  // Json looks a key up among all that it has
        if (entries.size() > most) return std::nullopt;
        Json object = Json::object();
        for (const pickle::Entry& entry : entries) {
            const std::string* key = entry.key.as_string();
            auto value = key ? read(entry.value, depth + 1) : std::nullopt;
            if (!value || !spend(key->size())) return std::nullopt;
            object[*key] = std::move(*value);
        }
        return object;
    }

    std::optional<Json> instance_value(const pickle::Object& instance, unsigned depth) {
        if (auto number = finite(numpy_value(instance))) return number;
        const auto* args = instance.args.items();
        if (!args || args->empty()) return std::nullopt;
        if (instance.module == "torch" && instance.name == "Size") return read(args->front(), depth + 1);
        if (instance.module == "torch" && instance.name == "device") return joined_texts(*args, ":");
        if (instance.module.starts_with("pathlib")) return joined_texts(*args, "/");
        // Exceptions and ranges, which old protocols spell as Python 2 did, are not their argument.
        if (instance.module == "builtins" || instance.module == "exceptions" || args->size() != 1) return std::nullopt;
        // An enumeration's member, or an instance of a class that extends int, float or str.
        const bool is_made = instance.construction == pickle::Construction::new_instance;
        if (!instance.state.is_none() && !is_made) return std::nullopt;
        const pickle::Value& value = args->front();
        const bool is_scalar = value.as_bool() || value.as_float() || value.as_string();
        return is_scalar ? read(value, depth + 1) : std::nullopt;
    }

    std::optional<Json> joined_texts(const std::vector<pickle::Value>& parts, std::string_view separator) {
        std::string out;
        for (const pickle::Value& part : parts) {
            const std::string* string = part.as_string();
            const auto number = part.as_integer();
            if (!string && !number) return std::nullopt;
            if (!out.empty() && out != separator) out += separator;
            out += string ? *string : std::to_string(*number);
        }
        return read_text(out);
    }
};

/// What a value is, for errors: "a numpy.random._pickle object", "the number inf".
inline std::string describe_value(const pickle::Value& value) {
    if (const auto* number = value.get<double>())
        return std::isnan(*number) ? "the number nan" : to_text("the number ", *number < 0 ? "-inf" : "inf");
    return value.describe();
}

}  // namespace crossdock::detail
