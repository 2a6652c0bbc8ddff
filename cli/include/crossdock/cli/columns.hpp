// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <iostream>
#include <string>
#include <vector>

#include "crossdock/cli/messages.hpp"

namespace crossdock::cli::detail {

/// A table's lines: columns as wide as they need to be, the last one as it is.
template <std::size_t columns>
void print_columns(const std::vector<std::array<std::string, columns>>& lines) {
    std::array<std::size_t, columns> widths{};
    for (const auto& line : lines)
        for (std::size_t i = 0; i + 1 < columns; ++i) widths[i] = std::max(widths[i], line[i].size());
    for (const auto& line : lines) {
        std::string out = " ";
        for (std::size_t i = 0; i < columns; ++i) {
            out += " " + line[i];
            if (i + 1 < columns) out.append(widths[i] - line[i].size() + 1, ' ');
        }
        out.resize(out.find_last_not_of(' ') + 1);
        std::cout << one_line(out) << '\n';
    }
}

}  // namespace crossdock::cli::detail
