// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/core/error.hpp"
#include "crossdock/core/text.hpp"

namespace crossdock {

namespace detail {

inline Error not_json(std::size_t byte, std::string_view reason) {
    return Error(text("is not valid JSON at byte ", byte, ": ", reason));
}

/// nlohmann's reason without its own prefix, position and excerpt of the input.
inline std::string json_reason(std::string_view what) {
    if (const auto begin = what.find("syntax error"); begin != what.npos) what.remove_prefix(begin);
    if (const auto excerpt = what.find("; last read"); excerpt != what.npos) what = what.substr(0, excerpt);
    return std::string(what.substr(0, 160));
}

/// nlohmann's parser takes a NUL byte for the end of the text and would not look behind it.
inline void refuse_nul(std::string_view json) {
    if (const auto at = json.find('\0'); at != json.npos) throw not_json(at, "a NUL byte");
}

/// Refuses, while a text is parsed, what JSON parsers disagree about or can be brought down with.
class JsonGuard {
public:
    bool operator()(int depth, nlohmann::json::parse_event_t event, nlohmann::json& parsed) {
        using Event = nlohmann::json::parse_event_t;
        if (depth > max_depth) throw Error(text("nests deeper than ", max_depth, " levels"));
        if (event == Event::object_start) keys_.emplace_back();
        if (event == Event::object_end) keys_.pop_back();
        if (event == Event::key) check_new(parsed.get_ref<const std::string&>());
        return true;
    }

private:
    static constexpr int max_depth = 64;

    void check_new(const std::string& key) {
        if (!keys_.back().insert(key).second) throw Error(text("names the key '", key, "' twice"));
    }

    std::vector<std::set<std::string>> keys_;
};

}  // namespace detail

/// Parses JSON as nlohmann does, but refuses a key that stands twice in an object, NUL bytes and deep nesting. Throws
/// Error; the caller says which file.
inline nlohmann::json parse_strict_json(std::string_view json) {
    detail::refuse_nul(json);
    try {
        return nlohmann::json::parse(json, [guard = detail::JsonGuard()](int depth, nlohmann::json::parse_event_t event,
                                                                         nlohmann::json& parsed) mutable {
            return guard(depth, event, parsed);
        });
    } catch (const nlohmann::json::parse_error& error) {
        throw detail::not_json(error.byte, detail::json_reason(error.what()));
    } catch (const nlohmann::json::exception& error) {  // a number that no double holds
        throw Error(text("is not valid JSON: ", std::string_view(error.what())));
    }
}

}  // namespace crossdock
