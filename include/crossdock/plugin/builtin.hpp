// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "crossdock/family/bert.hpp"
#include "crossdock/family/falcon.hpp"
#include "crossdock/family/gemma.hpp"
#include "crossdock/family/gpt2.hpp"
#include "crossdock/family/llama/hub.hpp"
#include "crossdock/family/mistral/hub.hpp"
#include "crossdock/plugin/family/loader.hpp"
#include "crossdock/plugin/family/saver.hpp"
#include "crossdock/plugin/megatron/loader.hpp"
#include "crossdock/plugin/megatron/saver.hpp"
#include "crossdock/plugin/plugin_list.hpp"

namespace crossdock {

using LlamaLoader = FamilyLoader<llama_family>;
using LlamaSaver = FamilySaver<llama_family>;
using MistralLoader = FamilyLoader<mistral_family>;
using MistralSaver = FamilySaver<mistral_family>;
using FalconLoader = FamilyLoader<falcon_family>;
using FalconSaver = FamilySaver<falcon_family>;
using GemmaLoader = FamilyLoader<gemma_family>;
using GemmaSaver = FamilySaver<gemma_family>;
using Gpt2Loader = FamilyLoader<gpt2_family>;
using Gpt2Saver = FamilySaver<gpt2_family>;
using BertLoader = FamilyLoader<bert_family>;
using BertSaver = FamilySaver<bert_family>;

/// The plugins that come with the library; a program adds its own with BuiltinLoaders::with.
using BuiltinLoaders = LoaderList<MegatronLoader, MegatronCoreLoader, LlamaLoader, MistralLoader, FalconLoader,
                                  GemmaLoader, Gpt2Loader, BertLoader>;
using BuiltinSavers = SaverList<MegatronSaver, MegatronCoreSaver, LlamaSaver, MistralSaver, FalconSaver, GemmaSaver,
                                Gpt2Saver, BertSaver>;

}  // namespace crossdock
