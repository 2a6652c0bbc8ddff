// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "crossdock/family/entry_points.hpp"
#include "crossdock/plugin/family/loader.hpp"
#include "crossdock/plugin/family/saver.hpp"

namespace crossdock {

/// Llama 1 to 3 and Code Llama, in Hugging Face's and in Meta's layout: the plugins "llama".
using LlamaLoader = FamilyLoader<llama_family>;
using LlamaSaver = FamilySaver<llama_family>;

}  // namespace crossdock

#ifndef CROSSDOCK_COMPILED
#include "crossdock/family/llama/hub.hpp"
#endif
