// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <iostream>
#include <string>
#include <string_view>

#include "crossdock/cli/arguments.hpp"
#include "crossdock/cli/messages.hpp"
#include "crossdock/core/world.hpp"

namespace crossdock::cli {

namespace detail {

template <class Plugins>
void print_plugins(std::string_view title) {
    std::cout << title << '\n';
    for (const std::string& name : Plugins::names()) {
        std::cout << '\n' << wrapped(to_text(name, "  ", Plugins::summary(name)), help_width(), 2, 4);
        std::cout << option_lines(Plugins::options(name), 6);
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
