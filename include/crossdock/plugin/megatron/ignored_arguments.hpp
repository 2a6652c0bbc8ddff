// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "crossdock/family/megatron/dialect.hpp"
#include "crossdock/plugin/megatron/content.hpp"

namespace crossdock::detail {

/// Takes what the user wants ignored (`names`: "no_rope_freq,window_size") out of the args, as if nobody had said it.
/// Throws UsageError for a name that nothing is stated under.
inline std::vector<std::string> ignore_arguments(const std::vector<std::string>& names, const MegatronDialect& dialect,
                                                 MegatronContent& content) {
    Json& args = content.args.values;
    std::vector<std::string> notices;
    for (const std::string& name : names) {
        const auto found = args.find(name);
        if (const auto unknown = content.args.not_understood.find(name); unknown != content.args.not_understood.end()) {
            notices.push_back(to_text("ignore: the args' '", name, "' is ", unknown->second, ", which is left out"));
            content.args.not_understood.erase(unknown);
            content.args.kept.erase(name);
            continue;
        }
        if (found == args.end() || found->is_null()) {
            ModelHeader header;
            find_other_args(args, dialect.other_args, header);
            std::vector<std::string> there;
            for (const auto& [other, value] : header.origin.unexpressed) there.push_back(other);
            throw UsageError(to_text("ignore ", name, ": the args state no '", name, "'; ",
                                     there.empty() ? std::string("there is nothing that needs to be ignored")
                                                   : to_text("what no field of ours says: ", joined_list(there))));
        }
        notices.push_back(to_text("ignore: the args' '", name, "' is ", json_shown(*found), ", which is left out"));
        args.erase(found);
        content.args.kept.erase(name);
    }
    return notices;
}

}  // namespace crossdock::detail
