// SPDX-License-Identifier: Apache-2.0
#pragma once

// clang-format off
#include "crossdock/cli/last_words.hpp"  // before cxxopts, which makes regular expressions before main()
// clang-format on

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cxxopts.hpp>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/cli/messages.hpp"
#include "crossdock/container/transfer/memory_budget.hpp"
#include "crossdock/core/checked.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/text.hpp"
#include "crossdock/plugin/options.hpp"
#include "crossdock/plugin/plugin_list.hpp"

namespace crossdock::cli {

/// What the groups of all plugins' options are called.
inline constexpr const char *loader_group = "loader", *saver_group = "saver";
inline constexpr const char* reference_group = "the reference's and NVIDIA's own";

/// Options that stand together in a command's help.
struct OptionGroup {
    std::string name;
    std::vector<OptionInfo> options;
};

/// What a command takes, for its parser and its help.
struct Syntax {
    std::string command;
    std::string summary;
    std::string arguments;  ///< "A [B]": as many words as it takes arguments that are no options, some if they like
    std::vector<OptionGroup> groups;
    std::vector<std::string> examples{};  ///< what follows the command's name
    std::vector<std::string> remarks{};   ///< of its help, in front of them

    const OptionInfo* find(std::string_view name) const {
        for (const OptionGroup& group : groups)
            for (const OptionInfo& option : group.options)
                if (option.name == name) return &option;
        return nullptr;
    }
    std::vector<std::string> option_names() const {
        std::vector<std::string> names;
        for (const OptionGroup& group : groups)
            for (const OptionInfo& option : group.options) names.push_back(option.name);
        return names;
    }
};

/// A command line taken apart.
struct Arguments {
    OptionValues options;                 ///< names with underscores; a flag that is given has the value ""
    std::vector<std::string> positional;  ///< as many as the syntax asks for, or allows
    bool help = false;

    bool has(const std::string& name) const { return options.contains(name); }
    /// Empty when it is not given.
    std::string value(const std::string& name) const {
        const auto found = options.find(name);
        return found == options.end() ? std::string() : found->second;
    }
};

/// The value of an option that is a number, at least 1.
inline std::size_t number_or(const Arguments& arguments, const std::string& name, std::size_t otherwise) {
    if (!arguments.has(name)) return otherwise;
    const auto number = in_context("--" + name, [&] { return crossdock::detail::parse_number(arguments.value(name)); });
    if (number == 0) throw UsageError(to_text("--", name, " is 0, expected at least 1"));
    return number;
}

/// The option memory, in bytes; it is given in MiB.
inline std::uint64_t memory_asked(const Arguments& arguments) {
    const std::uint64_t asked = number_or(arguments, "memory", usual_memory >> 20);
    return checked_multiply(asked, std::uint64_t{1} << 20, "--memory in bytes");
}

/// "; did you mean --load_dir?", or else a command that tells more.
inline std::string nearest_option(std::string_view asked, const std::vector<std::string>& known,
                                  std::string_view command) {
    const std::string_view nearest = nearest_name(asked, known);
    return nearest.empty() ? to_text("; see ", program_name(), " ", command)
                           : to_text("; did you mean --", nearest, "?");
}

/// As wide as the terminal that it goes to; 100 columns where it goes elsewhere.
inline std::size_t help_width() {
    winsize size{};
    const bool is_known = ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
    return is_known ? std::clamp<std::size_t>(size.ws_col, 60, 160) : 100;
}

namespace detail {

/// Of a text in UTF-8.
inline std::size_t columns_of(std::string_view text) {
    return static_cast<std::size_t>(std::count_if(
        text.begin(), text.end(), [](char byte) { return (static_cast<unsigned char>(byte) & 0xC0) != 0x80; }));
}

}  // namespace detail

/// A text in lines of at most `width` columns, where its words allow that: the first one `first` columns from the left,
/// the others `rest`.
inline std::string wrapped(std::string_view text, std::size_t width, std::size_t first, std::size_t rest) {
    std::string lines(first, ' ');
    std::size_t column = first;
    bool begins_line = true;
    const auto break_line = [&] {
        lines += '\n' + std::string(rest, ' ');
        column = rest;
        begins_line = true;
    };
    while (!text.empty()) {
        const std::string_view word = text.substr(0, text.find_first_of(" \n"));
        const bool is_last_of_line = word.size() < text.size() && text[word.size()] == '\n';
        text.remove_prefix(std::min(word.size() + 1, text.size()));
        const std::size_t columns = detail::columns_of(word);
        if (!begins_line && column + 1 + columns > width) break_line();
        lines += begins_line ? "" : " ";
        lines += word;
        column += columns + (begins_line ? 0 : 1);
        begins_line = false;
        if (is_last_of_line) break_line();
    }
    return lines + '\n';
}

/// "      --threads N   that read; one for each …": options and what they are for, `margin` columns from the left.
inline std::string option_lines(const std::vector<OptionInfo>& options, std::size_t margin) {
    constexpr std::size_t most = 24, gap = 2;
    std::vector<std::string> spellings;
    std::size_t widest = 0;
    for (const OptionInfo& option : options) {
        spellings.push_back(to_text("--", option.name, option.value.empty() ? "" : " ", option.value));
        if (const std::size_t columns = detail::columns_of(spellings.back()); columns <= most)
            widest = std::max(widest, columns);
    }
    const std::size_t column = margin + widest + gap;
    std::string lines;
    for (std::size_t i = 0; i < options.size(); ++i) {
        const std::size_t columns = detail::columns_of(spellings[i]);
        const bool has_room = columns <= most;
        lines += std::string(margin, ' ') + spellings[i] + (has_room ? std::string(widest - columns + gap, ' ') : "\n");
        lines += wrapped(options[i].help, help_width(), column, column).substr(has_room ? column : 0);
    }
    return lines;
}

namespace detail {

inline cxxopts::Options make_parser(const Syntax& syntax) {
    cxxopts::Options parser(program_name());
    for (const std::string& name : syntax.option_names()) {
        const bool is_flag = syntax.find(name)->value.empty();
        parser.add_options()(
            name, "",
            is_flag ? std::shared_ptr<cxxopts::Value>(cxxopts::value<bool>()) : cxxopts::value<std::string>());
    }
    parser.add_options()("h,help", "");
    parser.allow_unrecognised_options();  // these are the positional ones: options are known by then
    return parser;
}

/// A token as cxxopts expects it: options are known, their names have underscores, and values stand alone.
class Tokens {
public:
    Tokens(const Syntax& syntax, const std::vector<std::string>& given) : syntax_(syntax) {
        for (std::size_t i = 0; i < given.size(); ++i) {
            if (given[i] == "--") {
                out_.insert(out_.end(), given.begin() + static_cast<std::ptrdiff_t>(i), given.end());
                return;
            }
            if (!is_option(given[i]) || given[i] == "-h" || given[i] == "--help")
                out_.push_back(given[i]);
            else if (take(given[i], i + 1 < given.size() ? &given[i + 1] : nullptr))
                ++i;
        }
    }

    const std::vector<std::string>& list() const noexcept { return out_; }

private:
    static bool is_option(std::string_view token) { return token.size() > 1 && token[0] == '-'; }

    static std::string name_of(std::string_view token) {
        std::string name(token.substr(std::min(token.find_first_not_of('-'), token.size())));
        name.resize(std::min(name.find('='), name.size()));
        std::replace(name.begin(), name.end(), '-', '_');
        return name;
    }

    bool is_known(std::string_view token) const {
        return token.starts_with("--") && (token == "--help" || syntax_.find(name_of(token)));
    }

    /// Returns whether the next token is the option's value.
    bool take(const std::string& token, const std::string* next) {
        const std::string name = name_of(token);
        if (!is_known(token))
            throw UsageError(to_text(token.substr(0, token.find('=')), " is not an option of ", program_name(), " ",
                                     syntax_.command,
                                     nearest_option(name, syntax_.option_names(), syntax_.command + " --help")));
        const std::size_t equals = token.find('=');
        const bool has_value = equals != std::string::npos;
        const OptionInfo& option = *syntax_.find(name);
        if (option.value.empty()) {
            if (has_value) throw UsageError(to_text("--", name, " is a flag and takes no value"));
            out_.push_back("--" + name);
            return false;
        }
        if (!has_value && (!next || is_known(*next)))
            throw UsageError(to_text("--", name, " needs a value: --", name, " ", option.value));
        out_.push_back("--" + name);
        out_.push_back(has_value ? token.substr(equals + 1) : *next);
        return !has_value;
    }

    const Syntax& syntax_;
    std::vector<std::string> out_;
};

/// A list ("ARG,…") collects what all its mentions give; of anything else the last one counts.
inline std::string value_of(const cxxopts::ParseResult& result, const OptionInfo& option) {
    if (!option.value.ends_with("…")) return result[option.name].as<std::string>();
    std::string all;
    for (const auto& mention : result.arguments())
        if (mention.key() == option.name) all += all.empty() ? mention.value() : "," + mention.value();
    return all;
}

inline void check_positional(const Syntax& syntax, const std::vector<std::string>& found) {
    const auto count = [&](char letter) {
        return static_cast<std::size_t>(std::count(syntax.arguments.begin(), syntax.arguments.end(), letter));
    };
    const std::size_t most = syntax.arguments.empty() ? 0 : count(' ') + 1, expected = most - count('[');
    if (found.size() > most)
        throw UsageError(to_text("'", found[most], "' is one argument too many for ", program_name(), " ",
                                 syntax.command, syntax.arguments.empty() ? "" : " ", syntax.arguments));
    if (found.size() < expected)
        throw UsageError(to_text(program_name(), " ", syntax.command, " needs ", syntax.arguments, ", see ",
                                 program_name(), " ", syntax.command, " --help"));
}

}  // namespace detail

/// Takes apart what follows the command's name. Throws UsageError for options that do not exist or lack a value.
inline Arguments parse(const Syntax& syntax, const std::vector<std::string>& given) {
    const detail::Tokens tokens(syntax, given);
    std::vector<const char*> argv{program_name().c_str()};
    for (const std::string& token : tokens.list()) argv.push_back(token.c_str());
    const auto result = detail::make_parser(syntax).parse(static_cast<int>(argv.size()), argv.data());
    Arguments arguments;
    arguments.help = result.count("help") > 0;
    for (const OptionGroup& group : syntax.groups)
        for (const OptionInfo& option : group.options)
            if (result.count(option.name) > 0)
                arguments.options[option.name] = option.value.empty() ? "" : detail::value_of(result, option);
    arguments.positional = result.unmatched();
    if (!arguments.help) detail::check_positional(syntax, arguments.positional);
    return arguments;
}

/// The command's help.
inline std::string help(const Syntax& syntax) {
    const std::size_t width = help_width();
    std::string text = wrapped(syntax.summary, width, 0, 0);
    text += to_text("\nUsage:\n  ", program_name(), ' ', syntax.command, syntax.arguments.empty() ? "" : " ",
                    syntax.arguments, " [OPTION...]\n");
    for (const OptionGroup& group : syntax.groups)
        text += to_text("\n ", group.name, " options:\n", option_lines(group.options, 6));
    text += "\n  -h, --help  show this help\n";
    if (!syntax.remarks.empty()) text += '\n';
    for (const std::string& remark : syntax.remarks) text += wrapped(remark, width, 1, 4);
    if (!syntax.examples.empty()) text += "\n examples:\n";
    for (const std::string& example : syntax.examples)
        text += to_text("  ", program_name(), ' ', syntax.command, ' ', example, '\n');
    return text;
}

}  // namespace crossdock::cli
