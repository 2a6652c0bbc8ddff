// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/container/foreign_files.hpp"
#include "crossdock/container/json_parser.hpp"
#include "crossdock/container/text_file.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/text.hpp"

namespace crossdock {

/// JSON that keeps the order of its keys.
using Json = nlohmann::ordered_json;

/// An object of these members, in time that grows with their number; setting them one by one in a Json looks through
/// all earlier ones each time. Throws Error when a key stands twice.
inline Json json_object(std::vector<std::pair<std::string, Json>> members) {
    std::vector<std::string_view> keys;
    keys.reserve(members.size());
    for (const auto& member : members) keys.push_back(member.first);
    std::sort(keys.begin(), keys.end());
    if (const auto twice = std::adjacent_find(keys.begin(), keys.end()); twice != keys.end())
        throw Error(to_text("names the key '", shortened(*twice), "' twice"));
    Json object = Json::object();
    Json::object_t::Container& out = object.get_ref<Json::object_t&>();
    out.reserve(members.size());
    for (auto& [key, value] : members) out.emplace_back(std::move(key), std::move(value));
    return object;
}

namespace detail {

/// Builds a Json from a parser's events.
class JsonBuilder {  // NOLINT(bugprone-exception-escape): of a destructor of nlohmann's
public:
    Json take() { return std::move(result_); }

    void null() { add(nullptr); }
    void boolean(bool value) { add(value); }
    void number_integer(std::int64_t value) { add(value); }
    void number_unsigned(std::uint64_t value) { add(value); }
    void number_float(double value, const std::string&) { add(value); }
    void string(std::string& value) { add(std::move(value)); }
    void key(std::string& value) { open_.back().key = std::move(value); }
    void start_object(std::size_t) { open_.emplace_back(); }
    void start_array(std::size_t) { open_.emplace_back(); }

    void end_object() {
        Json object = json_object(std::move(open_.back().members));
        open_.pop_back();
        add(std::move(object));
    }

    void end_array() {
        Json array = std::move(open_.back().items);
        open_.pop_back();
        add(std::move(array));
    }

private:
    /// An object or an array whose end has not come yet.
    struct Open {
        Json::array_t items{};
        std::vector<std::pair<std::string, Json>> members{};
        std::optional<std::string> key{};
    };

    void add(Json value) {
        if (open_.empty()) {
            result_ = std::move(value);
        } else if (Open& open = open_.back(); open.key) {
            open.members.emplace_back(*std::exchange(open.key, std::nullopt), std::move(value));
        } else {
            open.items.push_back(std::move(value));
        }
    }

    std::vector<Open> open_;
    Json result_;
};

}  // namespace detail

/// The one reader of JSON for all that comes from outside: as strict as the format, but for Python's NaN, Infinity and
/// -Infinity. Refused besides: a key that stands twice in an object, NUL bytes, numbers that no double holds, and what
/// nests deeper than 64 levels. Takes time and memory that grow with the text alone. Throws Error; the caller says
/// which file.
inline Json parse_json(std::string_view json) {
    detail::JsonBuilder builder;
    JsonParser(json, builder).parse();
    return builder.take();
}

/// The same of a file's text: one that is known to be something else, a Git LFS pointer say, is called that.
inline Json parse_json_file(std::string_view json) {
    try {
        return parse_json(json);
    } catch (const Error&) {
        if (const std::string what = foreign_content(json, json.size()); !what.empty()) throw Error(what);
        throw;
    }
}

/// The same; `name` is what errors call the text.
inline Json parse_json(std::string_view json, std::string_view name) {
    return in_context(name, [&] { return parse_json_file(json); });
}

/// The object in a JSON file. Throws Error when there is none.
inline Json read_json_object(const std::filesystem::path& path) {
    Json json = parse_json(read_text(path), path.string());
    if (!json.is_object()) throw Error(to_text(path.string(), ": expected a JSON object"));
    return json;
}

}  // namespace crossdock
