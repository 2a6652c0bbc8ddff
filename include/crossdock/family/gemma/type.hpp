// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "crossdock/family/config_table.hpp"
#include "crossdock/family/hub/config.hpp"
#include "crossdock/family/hub/type.hpp"
#include "crossdock/protocol/model_header.hpp"

namespace crossdock::detail {

/// The model_type of a Gemma: since the second, what attention and MLP put out has norms; the third has norms of queries
/// and keys as well.
inline std::string_view gemma_type(const ModelHeader& header) {
    if (!header.block_output_norms) return "gemma";
    return header.attention.qk_norm ? "gemma3_text" : "gemma2";
}

/// What the source's own config.json says, if it is of the same type.
inline Json gemma_carried(const ModelHeader& header, const std::string& key) {
    const Json& config = carried_config(header);
    const auto found = config.find(key);
    return found != config.end() && hub_type_of(config) == gemma_type(header) ? *found : config::left_out();
}

}  // namespace crossdock::detail
