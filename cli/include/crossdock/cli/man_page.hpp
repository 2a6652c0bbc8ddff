// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "crossdock/cli/arguments.hpp"
#include "crossdock/cli/completion_command.hpp"
#include "crossdock/cli/messages.hpp"
#include "crossdock/core/text.hpp"
#include "crossdock/version.hpp"

namespace crossdock::cli {

namespace detail {

/// Text in roff: no line begins with what it takes for a request, and a dash is one that can be copied.
inline std::string roff(std::string_view text) {
    std::string out;
    for (const char letter : text) {
        const bool begins_line = out.empty() || out.back() == '\n';
        if (begins_line && (letter == '.' || letter == '\'')) out += "\\&";
        if (letter == '\\')
            out += "\\e";
        else if (letter == '-')
            out += "\\-";
        else
            out += letter;
    }
    return out;
}

inline std::string in_capitals(std::string text) {
    for (char& letter : text)
        if (letter >= 'a' && letter <= 'z') letter = static_cast<char>(letter - 'a' + 'A');
    return text;
}

inline std::string man_section(const Syntax& syntax) {
    std::string page = to_text(".SS ", syntax.command, syntax.arguments.empty() ? "" : " ", syntax.arguments, '\n',
                               roff(syntax.summary), '\n');
    for (const OptionGroup& group : syntax.groups) {
        if (group.options.empty()) continue;
        page += to_text(".PP\nOptions: ", roff(group.name), '\n');
        for (const OptionInfo& option : group.options)
            page += to_text(".TP\n.B ", roff("--" + option.name), option.value.empty() ? "" : " ", roff(option.value),
                            '\n', roff(option.help), '\n');
    }
    return page;
}

}  // namespace detail

/// The manual page of all commands, in roff: `crossdock man | man -l -`.
inline std::string man_page(const std::string& program, const std::vector<Syntax>& commands) {
    std::string page = to_text(
        ".TH ", detail::in_capitals(program), " 1 \"\" \"", program, ' ', library_version, "\"\n.SH NAME\n", program,
        " \\- converts checkpoints of large language models between formats and parallel layouts\n.SH SYNOPSIS\n.B ",
        program, "\n.I COMMAND\n[OPTION...]\n.SH COMMANDS\n");
    for (const Syntax& syntax : commands) page += detail::man_section(syntax);
    return page + to_text(
                      ".SH EXIT STATUS\n0 when all went well, 1 when it did not, 2 when it was called wrongly, "
                      "128 + n when signal n ended it; errors are one line on standard error.\n.SH SEE ALSO\n",
                      "The documentation lies in /usr/share/doc/libcrossdock\\-dev where it is installed.\n");
}

inline Syntax man_syntax() {
    return {.command = "man",
            .summary = to_text("Prints the manual page of all commands: ", program_name(), " man | man -l -"),
            .arguments = "",
            .groups = {}};
}

}  // namespace crossdock::cli
