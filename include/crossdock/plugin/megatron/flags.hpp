// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "crossdock/core/text.hpp"
#include "crossdock/family/megatron/dialect.hpp"

namespace crossdock {

/// The options of its command line that the user of a Megatron must give by hand to run this model, as the shell takes
/// them: "--norm-epsilon 1e-06", "--squared-relu".
inline std::vector<std::string> megatron_flags(const MegatronDialect& dialect, const ModelHeader& header) {
    std::vector<std::string> flags;
    for (const MegatronFlag& flag : dialect.flags)
        if (const auto value = flag.value(header))
            flags.push_back(value->empty() ? std::string(flag.spelling) : to_text(flag.spelling, " ", *value));
    return flags;
}

/// What the dialect has no option for at all, which is kept in crossdock.json, and what its code cannot run as it is.
inline std::vector<std::string> megatron_losses(const MegatronDialect& dialect, const ModelHeader& header) {
    std::vector<std::string> losses;
    for (const Unsaid find : dialect.unsaid)
        if (const auto what = find(header))
            losses.push_back(
                to_text("Megatron (", dialect.name, ") has no option for ", *what, "; it is kept in crossdock.json"));
    for (const Requirement& limit : dialect.limits)
        if (!limit.holds(header))
            losses.push_back(to_text(limit.otherwise, "; its code needs a change to run this model"));
    return losses;
}

}  // namespace crossdock
