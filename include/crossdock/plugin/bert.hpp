// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "crossdock/family/entry_points.hpp"
#include "crossdock/plugin/family/loader.hpp"
#include "crossdock/plugin/family/saver.hpp"

namespace crossdock {

/// BERT and Megatron's BERT: the plugins "bert".
using BertLoader = FamilyLoader<bert_family>;
using BertSaver = FamilySaver<bert_family>;

}  // namespace crossdock

#ifndef CROSSDOCK_COMPILED
#include "crossdock/family/bert.hpp"
#endif
