// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "crossdock/family/hub/config.hpp"
#include "crossdock/plugin/table_loader.hpp"

namespace crossdock::detail {

/// Takes what the user wants ignored out of the header, and out of the config.json that goes along. Throws UsageError
/// for a name that nothing is stated under.
inline void ignore_statements(const std::vector<std::string>& names, OpenCheckpoint& open) {
    ModelHeader& header = open.header;
    for (const std::string& name : names) {
        const auto found = header.origin.unexpressed.find(name);
        if (found == header.origin.unexpressed.end()) {
            std::vector<std::string> there;
            for (const auto& [other, value] : header.origin.unexpressed) there.push_back(other);
            throw UsageError(to_text("ignore ", name, ": ",
                                     there.empty()
                                         ? "the source states nothing that needs to be ignored"
                                         : to_text("the source states no such thing, but ", joined_list(there))));
        }
        open.notices.push_back(to_text("ignore: ", name, " ", found->second, " is left out"));
        header.origin.unexpressed.erase(found);
        Json config = carried_config(header);
        if (config.erase(name) > 0) header.origin.carried["config.json"] = json_text(config) + "\n";
    }
}

}  // namespace crossdock::detail
