// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "crossdock/family/entry_points.hpp"
#include "crossdock/plugin/family/loader.hpp"
#include "crossdock/plugin/family/saver.hpp"

namespace crossdock {

/// Falcon: the plugins "falcon".
using FalconLoader = FamilyLoader<falcon_family>;
using FalconSaver = FamilySaver<falcon_family>;

}  // namespace crossdock

#ifndef CROSSDOCK_COMPILED
#include "crossdock/family/falcon.hpp"
#endif
