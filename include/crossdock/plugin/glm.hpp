// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "crossdock/family/entry_points.hpp"
#include "crossdock/plugin/family/loader.hpp"
#include "crossdock/plugin/family/saver.hpp"

namespace crossdock {

/// GLM-4.5 and GLM-4.5-Air: the plugins "glm".
using GlmLoader = FamilyLoader<glm_family>;
using GlmSaver = FamilySaver<glm_family>;

}  // namespace crossdock

#ifndef CROSSDOCK_COMPILED
#include "crossdock/family/glm/hub.hpp"
#endif
