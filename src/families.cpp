// SPDX-License-Identifier: Apache-2.0
#include "crossdock/family/bert.hpp"
#include "crossdock/family/deepseek/hub.hpp"
#include "crossdock/family/falcon.hpp"
#include "crossdock/family/gemma.hpp"
#include "crossdock/family/gpt2.hpp"
#include "crossdock/family/llama/hub.hpp"
#include "crossdock/family/mistral/hub.hpp"
#include "crossdock/family/qwen/hub.hpp"
