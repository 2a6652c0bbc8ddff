// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "crossdock/family/entry_points.hpp"
#include "crossdock/plugin/family/loader.hpp"
#include "crossdock/plugin/family/saver.hpp"

namespace crossdock {

/// Gemma 1 to 3 and CodeGemma: the plugins "gemma".
using GemmaLoader = FamilyLoader<gemma_family>;
using GemmaSaver = FamilySaver<gemma_family>;

}  // namespace crossdock

#ifndef CROSSDOCK_COMPILED
#include "crossdock/family/gemma/hub.hpp"
#endif
