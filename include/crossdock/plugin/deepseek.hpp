// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "crossdock/family/entry_points.hpp"
#include "crossdock/plugin/family/loader.hpp"
#include "crossdock/plugin/family/saver.hpp"

namespace crossdock {

/// DeepSeek-V3, V3.1, R1 and what has their architecture: the plugins "deepseek".
using DeepseekLoader = FamilyLoader<deepseek_family>;
using DeepseekSaver = FamilySaver<deepseek_family>;

}  // namespace crossdock

#ifndef CROSSDOCK_COMPILED
#include "crossdock/family/deepseek/hub.hpp"
#endif
