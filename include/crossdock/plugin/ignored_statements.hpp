// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "crossdock/core/error.hpp"
#include "crossdock/core/text.hpp"
#include "crossdock/protocol/model_header.hpp"

namespace crossdock::detail {

/// Takes out of the header what the user wants ignored of the source's statements that no field says. Returns what was
/// left out. Throws UsageError for a name under which nothing is stated.
inline std::vector<std::string> ignore_statements(const std::vector<std::string>& names, ModelHeader& header) {
    std::vector<std::string> notices;
    for (const std::string& name : names) {
        const auto found = header.unexpressed.find(name);
        if (found == header.unexpressed.end()) {
            std::vector<std::string> there;
            for (const auto& statement : header.unexpressed) there.push_back(statement.first);
            throw UsageError(text("--ignore ", name, ": the source states no such thing that needs to be ignored",
                                  there.empty() ? "" : "; it states ", joined(there)));
        }
        notices.push_back(text("--ignore: '", name, "' is ", found->second, ", which is left out"));
        header.unexpressed.erase(found);
    }
    return notices;
}

}  // namespace crossdock::detail
