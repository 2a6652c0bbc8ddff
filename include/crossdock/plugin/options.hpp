// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <locale>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/core/error.hpp"
#include "crossdock/core/text.hpp"

namespace crossdock {

/// What a command line needs to know of an option.
struct OptionInfo {
    std::string name;   ///< with underscores, as in the reference
    std::string value;  ///< what stands for its value in the help; empty: a flag
    std::string help;
};

/// One option of a plugin: how its user gives it, and the member of the plugin's Options that it sets.
template <class Options>
struct OptionSpec {
    OptionInfo info;
    std::function<void(Options&, const std::string&)> set;
};

namespace detail {

inline std::uint64_t parse_number(std::string_view value) {
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
    if (error != std::errc() || end != value.data() + value.size())
        throw UsageError(to_text("'", value, "' is not a whole number that is not negative"));
    return number;
}

/// "1e-05", "500000", "0.5"; never infinite, and the same in every locale.
inline double parse_decimal(const std::string& value) {
    std::istringstream in(value);
    in.imbue(std::locale::classic());
    double number = 0;
    const bool begins_well = !value.empty() && value.find_first_not_of("+-.0123456789eE") == std::string::npos;
    if (!begins_well || !(in >> number) || in.peek() != std::istringstream::traits_type::eof())
        throw UsageError(to_text("'", value, "' is not a number"));
    return number;
}

inline void parse_into(double& out, const std::string& value) { out = parse_decimal(value); }
inline void parse_into(std::uint64_t& out, const std::string& value) { out = parse_number(value); }
inline void parse_into(std::string& out, const std::string& value) { out = value; }
inline void parse_into(std::filesystem::path& out, const std::string& value) { out = value; }
inline void parse_into(bool& out, const std::string&) { out = true; }
/// A list, as "a,b" or by giving the option again.
inline void parse_into(std::vector<std::string>& out, const std::string& value) {
    for (std::size_t begin = 0; begin <= value.size();) {
        const std::size_t end = std::min(value.find(',', begin), value.size());
        if (end > begin) out.push_back(value.substr(begin, end - begin));
        begin = end + 1;
    }
}
template <class T>
void parse_into(std::optional<T>& out, const std::string& value) {
    parse_into(out.emplace(), value);
}

}  // namespace detail

/// An option that sets a member: a whole number, a decimal one, a string, a path, an optional of these, a list of strings
/// ("a,b", or given several times), or a flag, which has no `value`. A value that is none of its kind is a UsageError
/// that names the option.
template <class Options, class Base, class T>
OptionSpec<Options> option(std::string name, std::string value, std::string help, T Base::*member) {
    auto set = [name, member](Options& options, const std::string& given) {
        try {
            detail::parse_into(options.*member, given);
        } catch (Error& error) {
            error.within(name);
            throw;
        }
    };
    return {{std::move(name), std::move(value), std::move(help)}, std::move(set)};
}

/// The option that all loaders have.
template <class Options>
OptionSpec<Options> drop_mtp_option() {
    return option<Options>("drop_mtp", "", "leave out the layers that predict further tokens (MTP)",
                           &Options::drop_mtp);
}

}  // namespace crossdock
