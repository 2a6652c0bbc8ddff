// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstddef>
#include <string>
#include <utility>

#include "crossdock/container/json.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/text.hpp"

namespace crossdock {

namespace detail {

/// Writes JSON as nlohmann's dump() does, but for numbers that are not finite.
class JsonWriter {
public:
    /// Each level is indented by `indent`; 0 gives a single line.
    explicit JsonWriter(std::size_t indent) : indent_(indent) {}

    std::string take() { return std::move(out_); }

    void write(const Json& value, std::size_t depth = 0) {
        switch (value.type()) {
            case Json::value_t::object: return write_object(value, depth);
            case Json::value_t::array: return write_array(value, depth);
            case Json::value_t::string: return write_string(value.get_ref<const std::string&>());
            case Json::value_t::number_float: return write_number(value.get<double>());
            default: out_ += value.dump();
        }
    }

private:
    void write_object(const Json& object, std::size_t depth) {
        write_list('{', '}', object.size(), depth, [&](const auto& next) {
            for (const auto& [key, value] : object.get_ref<const Json::object_t&>()) {
                next();
                write_string(key);
                out_ += indent_ ? ": " : ":";
                write(value, depth + 1);
            }
        });
    }

    void write_array(const Json& array, std::size_t depth) {
        write_list('[', ']', array.size(), depth, [&](const auto& next) {
            for (const Json& value : array) {
                next();
                write(value, depth + 1);
            }
        });
    }

    template <class Elements>
    void write_list(char begin, char end, std::size_t size, std::size_t depth, const Elements& elements) {
        constexpr std::size_t most_levels = 16;  // deeper, indentation would grow beyond the content
        const bool is_indented = indent_ > 0 && size > 0 && depth < most_levels;
        out_ += begin;
        bool first = true;
        elements([&] {
            if (!first) out_ += ',';
            first = false;
            if (is_indented) new_line(depth + 1);
        });
        if (is_indented) new_line(depth);
        out_ += end;
    }

    void new_line(std::size_t depth) { out_.append(1, '\n').append(depth * indent_, ' '); }

    void write_string(const std::string& value) {
        try {
            out_ += Json(value).dump();
        } catch (const Json::exception&) {
            throw Error("a text that is not UTF-8 cannot be written as JSON");
        }
    }

    void write_number(double value) {
        if (std::isnan(value))
            out_ += "NaN";
        else if (std::isinf(value))
            out_ += value < 0 ? "-Infinity" : "Infinity";
        else
            out_ += Json(value).dump();
    }

    std::size_t indent_;
    std::string out_;
};

}  // namespace detail

/// The value as text, indented by `indent` a level, for 16 levels, or on a single line for 0. What is not finite is written as Python
/// does: NaN, Infinity. Throws Error when a text in it is not UTF-8.
inline std::string json_text(const Json& value, std::size_t indent = 2) {
    detail::JsonWriter writer(indent);
    writer.write(value);
    return writer.take();
}

/// The value as an error shows it: on one line, and shortened.
inline std::string json_shown(const Json& value) {
    try {
        return shortened(json_text(value, 0));
    } catch (const Error&) {
        return "a text that is not UTF-8";
    }
}

}  // namespace crossdock
