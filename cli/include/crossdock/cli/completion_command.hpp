// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "crossdock/cli/arguments.hpp"
#include "crossdock/cli/messages.hpp"
#include "crossdock/core/text.hpp"
#include "crossdock/plugin/options.hpp"

namespace crossdock::cli {

/// What a shell may offer behind an option: a list of words, or names of files.
struct Offer {
    std::vector<std::string> words{};
    bool files = false;
};

/// The words that stand for the values of these options: plugins and model types.
struct KnownNames {
    std::vector<std::string> loaders, savers, model_types;
};

namespace detail {

inline bool is_path(std::string_view value) {
    return value.starts_with("DIR") || value.starts_with("FILE") || value.starts_with("PATH");
}

/// "torch_dist|torch" → both
inline std::vector<std::string> alternatives(std::string_view value) {
    std::vector<std::string> words;
    if (value.find('|') == std::string_view::npos) return words;
    while (!value.empty()) {
        const std::size_t end = std::min(value.find('|'), value.size());
        words.emplace_back(value.substr(0, end));
        value.remove_prefix(std::min(end + 1, value.size()));
    }
    return words;
}

inline Offer offered(const OptionInfo& option, const KnownNames& names) {
    if (option.name == "loader") return {.words = names.loaders};
    if (option.name == "saver") return {.words = names.savers};
    if (option.name == "model_type") return {.words = names.model_types};
    return {.words = alternatives(option.value), .files = is_path(option.value)};
}

/// In single quotes, as all three shells read them.
inline std::string quoted(std::string_view text) {
    std::string out = "'";
    for (const char letter : text)
        if (letter == '\'')
            out += "'\\''";
        else
            out += letter;
    return out + "'";
}

inline std::string spaced(const std::vector<std::string>& words) { return joined_list(words, " "); }

inline std::string summary_line(const Syntax& syntax) { return syntax.summary.substr(0, syntax.summary.find('\n')); }

template <class Visit>
void for_each_option(const Syntax& syntax, Visit&& visit) {
    for (const OptionGroup& group : syntax.groups)
        for (const OptionInfo& option : group.options) visit(option);
}

inline std::vector<std::string> command_names(const std::vector<Syntax>& commands) {
    std::vector<std::string> names;
    names.reserve(commands.size());
    for (const Syntax& syntax : commands) names.push_back(syntax.command);
    return names;
}

}  // namespace detail

/// A script for bash: what may follow, by the command and by the word in front.
inline std::string bash_completion(const std::string& program, const std::vector<Syntax>& commands,
                                   const KnownNames& names) {
    std::string values, options;
    for (const Syntax& syntax : commands) {
        std::vector<std::string> dashed{"--help"};
        detail::for_each_option(syntax, [&](const OptionInfo& option) {
            dashed.push_back("--" + option.name);
            if (option.value.empty()) return;
            const Offer offer = detail::offered(option, names);
            values +=
                to_text("        ", syntax.command, ":--", option.name, ") ",
                        offer.files           ? "mapfile -t COMPREPLY < <(compgen -f -- \"$word\")"
                        : offer.words.empty() ? "COMPREPLY=()"
                                              : to_text("mapfile -t COMPREPLY < <(compgen -W ",
                                                        detail::quoted(detail::spaced(offer.words)), " -- \"$word\")"),
                        "; return ;;\n");
        });
        options += to_text("        ", syntax.command, ") words=", detail::quoted(detail::spaced(dashed)), " ;;\n");
    }
    return to_text(
        "# Completion of ", program, " for bash: source <(", program, " completion bash)\n_", program,
        "() {\n    local word=${COMP_WORDS[COMP_CWORD]} words=\n    compopt -o filenames 2> /dev/null\n"
        "    if ((COMP_CWORD == 1)); then\n        mapfile -t COMPREPLY < <(compgen -W ",
        detail::quoted(detail::spaced(detail::command_names(commands)) + " --help --version"),
        " -- \"$word\")\n        return\n    fi\n    case ${COMP_WORDS[1]}:${COMP_WORDS[COMP_CWORD - 1]} in\n", values,
        "    esac\n    case ${COMP_WORDS[1]} in\n", options,
        "    esac\n    if [[ $word == -* ]]; then\n"
        "        mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$word\")\n    else\n"
        "        mapfile -t COMPREPLY < <(compgen -f -- \"$word\")\n    fi\n}\ncomplete -F _",
        program, ' ', program, '\n');
}

namespace detail {

/// A description between brackets, where zsh's _arguments reads backslashes and brackets.
inline std::string zsh_help(std::string_view help) {
    std::string out;
    for (const char letter : help) {
        if (letter == '[' || letter == ']' || letter == '\\') out += '\\';
        out += letter;
    }
    return out;
}

inline std::string zsh_option(const OptionInfo& option, const KnownNames& names) {
    std::string spec = to_text("--", option.name, "[", zsh_help(option.help), "]");
    if (option.value.empty()) return spec;
    const Offer offer = offered(option, names);
    spec += to_text(":", option.name, ":", offer.files ? "_files" : "");
    if (!offer.words.empty()) spec += to_text("(", spaced(offer.words), ")");
    return spec;
}

}  // namespace detail

/// A script for zsh.
inline std::string zsh_completion(const std::string& program, const std::vector<Syntax>& commands,
                                  const KnownNames& names) {
    std::string listed, cases;
    for (const Syntax& syntax : commands) {
        std::string described = detail::summary_line(syntax);
        std::replace(described.begin(), described.end(), ':', ',');
        listed += to_text("        ", detail::quoted(to_text(syntax.command, ":", described)), '\n');
        cases += to_text("        ", syntax.command, ")\n            _arguments");
        detail::for_each_option(syntax, [&](const OptionInfo& option) {
            cases += to_text(" \\\n                ", detail::quoted(detail::zsh_option(option, names)));
        });
        cases += " \\\n                '--help[show this help]' '*:file:_files' ;;\n";
    }
    return to_text("#compdef ", program, "\n# Completion of ", program, " for zsh: source <(", program,
                   " completion zsh)\n_", program, "() {\n    local -a commands=(\n", listed,
                   "    )\n    if ((CURRENT == 2)); then\n        _describe command commands\n        return\n    fi\n"
                   "    local command=${words[2]}\n    shift words\n    ((CURRENT--))\n    case $command in\n",
                   cases, "    esac\n}\ncompdef _", program, ' ', program, '\n');
}

/// A script for fish.
inline std::string fish_completion(const std::string& program, const std::vector<Syntax>& commands,
                                   const KnownNames& names) {
    std::string script = to_text("# Completion of ", program, " for fish: ", program, " completion fish | source\n");
    for (const Syntax& syntax : commands) {
        script += to_text("complete -c ", program, " -n __fish_use_subcommand -f -a ", syntax.command, " -d ",
                          detail::quoted(detail::summary_line(syntax)), '\n');
        detail::for_each_option(syntax, [&](const OptionInfo& option) {
            const Offer offer = detail::offered(option, names);
            script += to_text("complete -c ", program, " -n '__fish_seen_subcommand_from ", syntax.command, "' -l ",
                              option.name,
                              option.value.empty() ? ""
                              : offer.files        ? " -r -F"
                                                   : " -x");
            if (!offer.words.empty()) script += to_text(" -a ", detail::quoted(detail::spaced(offer.words)));
            script += to_text(" -d ", detail::quoted(option.help), '\n');
        });
    }
    return script;
}

inline Syntax completion_syntax() {
    return {.command = "completion",
            .summary = "Prints a script that completes commands, options and names in a shell: bash, zsh or fish.",
            .arguments = "SHELL",
            .groups = {}};
}

inline int print_completion(const std::string& shell, const std::vector<Syntax>& commands, const KnownNames& names) {
    const std::vector<std::string> shells{"bash", "zsh", "fish"};
    if (std::find(shells.begin(), shells.end(), shell) == shells.end())
        throw UsageError(to_text("no shell is called '", shell, "'", known_names(shell, shells)));
    const auto script = shell == "bash" ? bash_completion : shell == "zsh" ? zsh_completion : fish_completion;
    std::cout << script(program_name(), commands, names) << std::flush;
    return success;
}

}  // namespace crossdock::cli
