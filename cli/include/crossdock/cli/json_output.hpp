// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <iostream>
#include <string>
#include <utility>

#include "crossdock/cli/messages.hpp"
#include "crossdock/container/json.hpp"

namespace crossdock::cli {

/// The version of docs/json.md that all documents say they are of.
inline constexpr int json_schema = 1;

/// Prints an object for machines, who may be a terminal: only ASCII that it shows, the rest escaped. In one line where
/// `indent` is negative.
inline void print_json(Json json, int indent = 2) {
    Json document{{"schema", json_schema}};
    for (auto& member : json.items()) document[member.key()] = std::move(member.value());
    std::string text = document.dump(indent, ' ', true, Json::error_handler_t::replace);
    for (std::size_t at = text.find('\x7f'); at != text.npos; at = text.find('\x7f', at))
        text.replace(at, 1, "\\u007f");
    std::cout << text << std::endl;
}

/// Why there is no other document, or none after those that were printed.
inline void print_json_error(const std::string& message, int exit_code) {
    print_json({{"error", {{"message", one_line(as_typed(message))}, {"exit_code", exit_code}}}}, -1);
}

}  // namespace crossdock::cli
