// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "crossdock/family/entry_points.hpp"
#include "crossdock/plugin/family/loader.hpp"
#include "crossdock/plugin/family/saver.hpp"

namespace crossdock {

/// Qwen 2, 2.5 and 3, dense and with experts: the plugins "qwen".
using QwenLoader = FamilyLoader<qwen_family>;
using QwenSaver = FamilySaver<qwen_family>;

}  // namespace crossdock

#ifndef CROSSDOCK_COMPILED
#include "crossdock/family/qwen/hub.hpp"
#endif
