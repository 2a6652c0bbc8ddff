// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "crossdock/family/llama.hpp"
#include "crossdock/plugin/family_loader.hpp"
#include "crossdock/plugin/family_saver.hpp"
#include "crossdock/plugin/megatron_loader.hpp"
#include "crossdock/plugin/megatron_saver.hpp"
#include "crossdock/plugin/plugin_list.hpp"

namespace crossdock {

using LlamaLoader = FamilyLoader<llama_family>;
using LlamaSaver = FamilySaver<llama_family>;

/// The plugins that come with the library; a program adds its own with ::with<…>.
using BuiltinLoaders = PluginList<Loader, MegatronLoader, MegatronCoreLoader, LlamaLoader>;
using BuiltinSavers = PluginList<Saver, MegatronSaver, MegatronCoreSaver, LlamaSaver>;

}  // namespace crossdock
