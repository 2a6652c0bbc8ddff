// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "crossdock/family/entry_points.hpp"

namespace crossdock {

/// The families that come with the library. A model of no stated family is of the first whose format holds it, so that
/// the plainer architecture comes before one that has more to say.
inline const std::vector<const Family*>& builtin_families() {
    static const std::vector<const Family*> families{&llama_family(),  &mistral_family(),  &gemma_family(),
                                                     &qwen_family(),   &deepseek_family(), &glm_family(),
                                                     &falcon_family(), &gpt2_family(),     &bert_family()};
    return families;
}

}  // namespace crossdock

#ifndef CROSSDOCK_COMPILED
#include "crossdock/family/bert.hpp"
#include "crossdock/family/deepseek/hub.hpp"
#include "crossdock/family/falcon.hpp"
#include "crossdock/family/gemma/hub.hpp"
#include "crossdock/family/glm/hub.hpp"
#include "crossdock/family/gpt2.hpp"
#include "crossdock/family/llama/hub.hpp"
#include "crossdock/family/mistral/hub.hpp"
#include "crossdock/family/qwen/hub.hpp"
#endif
