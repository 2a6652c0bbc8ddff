// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <iostream>
#include <string>
#include <tuple>
#include <type_traits>
#include <vector>

#include "crossdock/cli/messages.hpp"

namespace crossdock::cli::detail {

/// A table of a line for each item: columns as wide as they need to be, the last one as it is. `line_of` gives an item's
/// line, twice: of a million, none is kept.
template <class Item, class LineOf>
void print_columns(const std::vector<Item>& items, LineOf&& line_of) {
    constexpr std::size_t columns = std::tuple_size_v<std::decay_t<decltype(line_of(items.front()))>>;
    std::array<std::size_t, columns> widths{};
    for (const Item& item : items) {
        const auto& line = line_of(item);
        for (std::size_t i = 0; i + 1 < columns; ++i) widths[i] = std::max(widths[i], line[i].size());
    }
    for (const Item& item : items) {
        const auto& line = line_of(item);
        std::string out = " ";
        for (std::size_t i = 0; i < columns; ++i) {
            out += " " + line[i];
            if (i + 1 < columns) out.append(widths[i] - line[i].size() + 1, ' ');
        }
        out.resize(out.find_last_not_of(' ') + 1);
        std::cout << one_line(out) << '\n';
    }
}

/// A table's lines.
template <std::size_t columns>
void print_columns(const std::vector<std::array<std::string, columns>>& lines) {
    print_columns(
        lines, [](const auto& line) -> const auto& { return line; });
}

}  // namespace crossdock::cli::detail
