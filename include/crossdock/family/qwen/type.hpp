// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "crossdock/family/config_table.hpp"
#include "crossdock/family/hub/config.hpp"
#include "crossdock/family/hub/type.hpp"
#include "crossdock/protocol/model_header.hpp"

namespace crossdock::detail {

/// The model_type of a Qwen: the third generation has norms of queries and keys.
inline std::string_view qwen_type(const ModelHeader& header) {
    if (has_experts(header.mlp)) return header.attention.qk_norm ? "qwen3_moe" : "qwen2_moe";
    return header.attention.qk_norm ? "qwen3" : "qwen2";
}

/// What the source's own config.json says, if it is of the same type.
inline Json carried_value(const ModelHeader& header, const std::string& key) {
    const Json& config = carried_config(header);
    const auto found = config.find(key);
    return found != config.end() && hub_type_of(config) == qwen_type(header) ? *found : config::left_out();
}

}  // namespace crossdock::detail
