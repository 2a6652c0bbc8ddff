// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "crossdock/container/json.hpp"
#include "crossdock/container/json_text.hpp"
#include "inputs.hpp"

namespace crossdock::test {

namespace detail {

inline void collect_values(Json& value, std::vector<Json*>& out) {
    out.push_back(&value);
    if (value.is_structured())
        for (Json& part : value) collect_values(part, out);
}

/// Values that sizes, names and switches seldom are.
inline Json odd_value(Random& random) {
    static const std::array<Json, 16> values{Json(nullptr),
                                             Json(true),
                                             Json(0),
                                             Json(-1),
                                             Json(1),
                                             Json(2),
                                             Json(3),
                                             Json(64),
                                             Json(65536),
                                             Json(std::numeric_limits<std::uint64_t>::max()),
                                             Json(std::numeric_limits<std::int64_t>::min()),
                                             Json(0.5),
                                             Json(1e300),
                                             Json(""),
                                             Json::array(),
                                             Json::object()};
    return values[below(values.size(), random)];
}

inline Json near_value(const Json& value, Random& random) {
    if (value.is_string()) return mutate_bytes(value.get<std::string>(), value.get<std::string>().size() + 8);
    if (value.is_boolean()) return !value.get<bool>();
    if (!value.is_number_integer()) return odd_value(random);
    const auto number = value.get<std::uint64_t>();
    const std::array<std::uint64_t, 5> near{number + 1, number - 1, number * 2, number / 2, number << 32};
    return near[below(near.size(), random)];
}

/// Takes a part away, or adds one that the value or the whole has already.
inline void change_parts(Json& value, const Json& other, Random& random) {
    const std::size_t at = value.empty() ? 0 : below(value.size(), random);
    const bool add = value.empty() || below(2, random) == 0;
    if (value.is_array())
        add ? value.push_back(other) : value.erase(at);
    else if (add)
        value[other.is_string() ? other.get<std::string>() : "more"] = other;
    else
        value.erase(std::next(value.begin(), static_cast<std::ptrdiff_t>(at)));
}

}  // namespace detail

/// A JSON text with some of its values changed. Throws Error when it is none.
inline std::string mutate_json(const std::string& text, std::size_t, Random& random) {
    Json json = parse_json(text);
    for (std::size_t changes = 1 + below(3, random); changes > 0; --changes) {
        std::vector<Json*> values;
        detail::collect_values(json, values);
        Json& value = *values[below(values.size(), random)];
        const Json other = *values[below(values.size(), random)];
        switch (below(4, random)) {
            case 0: value = detail::odd_value(random); break;
            case 1: value = other; break;
            case 2:
                if (value.is_structured()) {
                    detail::change_parts(value, other, random);
                    break;
                }
                [[fallthrough]];
            default: value = detail::near_value(value, random);
        }
    }
    return json_text(json, 0);
}

}  // namespace crossdock::test
