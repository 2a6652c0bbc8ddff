// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "crossdock/plugin/bert.hpp"
#include "crossdock/plugin/deepseek.hpp"
#include "crossdock/plugin/falcon.hpp"
#include "crossdock/plugin/gemma.hpp"
#include "crossdock/plugin/glm.hpp"
#include "crossdock/plugin/gpt2.hpp"
#include "crossdock/plugin/hf.hpp"
#include "crossdock/plugin/llama.hpp"
#include "crossdock/plugin/megatron.hpp"
#include "crossdock/plugin/mistral.hpp"
#include "crossdock/plugin/plugin_list.hpp"
#include "crossdock/plugin/qwen.hpp"

namespace crossdock {

/// The plugins that come with the library; a program adds its own with BuiltinLoaders::with.
using BuiltinLoaders =
    LoaderList<MegatronLoader, MegatronCoreLoader, HubLoader, LlamaLoader, MistralLoader, FalconLoader, GemmaLoader,
               QwenLoader, DeepseekLoader, GlmLoader, Gpt2Loader, BertLoader>;
using BuiltinSavers = SaverList<MegatronSaver, MegatronCoreSaver, HubSaver, LlamaSaver, MistralSaver, FalconSaver,
                                GemmaSaver, QwenSaver, DeepseekSaver, GlmSaver, Gpt2Saver, BertSaver>;

}  // namespace crossdock
