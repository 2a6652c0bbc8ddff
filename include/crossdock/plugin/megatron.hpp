// SPDX-License-Identifier: Apache-2.0
#pragma once

/// MegatronLoader and MegatronSaver (the plugins "megatron"), MegatronCoreLoader and MegatronCoreSaver ("mcore"): the
/// checkpoints of Megatron-LLM, Megatron-LM and Megatron-Core.
#include "crossdock/plugin/megatron/loader.hpp"
#include "crossdock/plugin/megatron/saver.hpp"
