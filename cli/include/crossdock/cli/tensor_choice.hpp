// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <regex>
#include <string>

#include "crossdock/cli/arguments.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/text.hpp"

namespace crossdock::cli {

/// Which tensors a list shows, and of which more is told: the option `tensors`, an ECMAScript expression that is found
/// anywhere in a name; none with the option `summary`.
class TensorChoice {
public:
    /// Throws UsageError for what is no expression, and where something is to be told of no tensor.
    explicit TensorChoice(const Arguments& arguments) : is_summary_(arguments.has("summary")) {
        for (const char* option : {"stats", "parts"})
            if (is_summary_ && arguments.has(option))
                throw UsageError(to_text("--", option, " tells of tensors, and --summary leaves them out"));
        if (!arguments.has("tensors")) return;
        try {
            pattern_.emplace(arguments.value("tensors"));
        } catch (const std::regex_error&) {
            throw UsageError(to_text("--tensors '", arguments.value("tensors"), "' is not a regular expression"));
        }
    }

    static TensorChoice none() { return TensorChoice(); }

    bool is_summary() const noexcept { return is_summary_; }
    bool has(const std::string& name) const {
        return !is_summary_ && (!pattern_ || std::regex_search(name, *pattern_));
    }

private:
    TensorChoice() = default;

    bool is_summary_ = true;
    std::optional<std::regex> pattern_;
};

}  // namespace crossdock::cli
