// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "crossdock/cli/arguments.hpp"
#include "crossdock/cli/messages.hpp"
#include "crossdock/core/world.hpp"

namespace crossdock::cli {

namespace detail {

inline void print_options(const std::vector<OptionInfo>& options) {
    std::vector<std::string> spellings;
    std::size_t width = 0;
    for (const OptionInfo& option : options) {
        spellings.push_back(to_text("--", option.name, option.value.empty() ? "" : " ", option.value));
        width = std::max(width, spellings.back().size());
    }
    constexpr std::size_t margin = 6, gap = 2;
    for (std::size_t i = 0; i < options.size(); ++i) {
        const std::size_t column = margin + width + gap;
        std::string line = wrapped(options[i].help, help_width(), column, column);
        std::cout << line.replace(margin, spellings[i].size(), spellings[i]);
    }
}

template <class Plugins>
void print_plugins(std::string_view title) {
    std::cout << title << '\n';
    for (const std::string& name : Plugins::names()) {
        std::cout << '\n' << wrapped(to_text(name, "  ", Plugins::summary(name)), help_width(), 2, 4);
        print_options(Plugins::options(name));
    }
}

}  // namespace detail

inline Syntax plugins_syntax() {
    return {.command = "plugins",
            .summary = "Lists the loaders and savers: what each reads or writes, and its options.",
            .arguments = "",
            .groups = {}};
}

template <class Loaders, class Savers>
int plugins_command(const Arguments&, World&) {
    detail::print_plugins<Loaders>("loaders");
    std::cout << '\n';
    detail::print_plugins<Savers>("savers");
    std::cout << std::flush;
    return success;
}

}  // namespace crossdock::cli
