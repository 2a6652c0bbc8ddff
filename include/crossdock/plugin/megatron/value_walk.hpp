// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/container/json.hpp"
#include "crossdock/container/pickle/value.hpp"

namespace crossdock::detail {

/// Turns values of a pickle into JSON, each once for every place where it stands: shared lists may spell far more
/// values than the file has bytes, and hold themselves, so that depth and size are bounded. What the JSON of a number,
/// a text, a name or anything compound is, a Reading says, a class that derives from this one:
///     number(double), text(string), global(pickle::Global), compound(value, depth)  → std::optional<Json>
///     exhausted()          called where the size is used up
///     deepest, most_bytes  the bounds; a value counts as a Json, a text as its bytes
template <class Reading>
class ValueWalk {
public:
    /// Empty where the value, or one in it, is none that the Reading reads.
    std::optional<Json> read(const pickle::Value& value, unsigned depth = 0) {
        if (depth > Reading::deepest || !spend(sizeof(Json))) return std::nullopt;
        if (value.is_none()) return Json(nullptr);
        if (const auto truth = value.as_bool()) return Json(*truth);
        if (const auto integer = value.as_integer()) return Json(*integer);
        if (const auto* number = value.get<double>()) return reading().number(*number);
        if (const auto* string = value.as_string()) return read_text(*string);
        if (const auto* global = value.get<pickle::Global>()) return reading().global(*global);
        return reading().compound(value, depth);
    }

protected:
    ValueWalk() = default;

    bool spend(std::size_t bytes) {
        const bool is_enough = bytes <= left_;
        left_ -= is_enough ? bytes : left_;
        if (!is_enough) reading().exhausted();
        return is_enough;
    }

    std::optional<Json> read_text(const std::string& string) {
        return spend(string.size()) ? reading().text(string) : std::nullopt;
    }

    std::optional<Json> read_array(const std::vector<pickle::Value>& items, unsigned depth) {
        Json array = Json::array();
        for (const pickle::Value& item : items) {
            auto element = read(item, depth + 1);
            if (!element) return std::nullopt;
            array.push_back(std::move(*element));
        }
        return array;
    }

private:
    Reading& reading() { return static_cast<Reading&>(*this); }

    std::size_t left_ = Reading::most_bytes;
};

}  // namespace crossdock::detail
