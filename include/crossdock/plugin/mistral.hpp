// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "crossdock/family/entry_points.hpp"
#include "crossdock/plugin/family/loader.hpp"
#include "crossdock/plugin/family/saver.hpp"

namespace crossdock {

/// Mistral, in Hugging Face's and in mistralai's layout: the plugins "mistral".
using MistralLoader = FamilyLoader<mistral_family>;
using MistralSaver = FamilySaver<mistral_family>;

}  // namespace crossdock

#ifndef CROSSDOCK_COMPILED
#include "crossdock/family/mistral/hub.hpp"
#endif
