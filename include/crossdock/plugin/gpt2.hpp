// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "crossdock/family/entry_points.hpp"
#include "crossdock/plugin/family/loader.hpp"
#include "crossdock/plugin/family/saver.hpp"

namespace crossdock {

/// GPT-2: the plugins "gpt2".
using Gpt2Loader = FamilyLoader<gpt2_family>;
using Gpt2Saver = FamilySaver<gpt2_family>;

}  // namespace crossdock

#ifndef CROSSDOCK_COMPILED
#include "crossdock/family/gpt2.hpp"
#endif
