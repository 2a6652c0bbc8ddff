// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "crossdock/family/megatron/core.hpp"
#include "crossdock/family/megatron/llm.hpp"
#include "crossdock/family/megatron/lm.hpp"

namespace crossdock {

/// A dialect of this code: what its arguments and traits are. Which names Megatron-Core's tensors have depends on the
/// model besides.
inline const MegatronDialect& megatron_dialect(MegatronCode code) {
    switch (code) {
        case MegatronCode::llm: return megatron_llm();
        case MegatronCode::lm: return megatron_lm();
        default: return megatron_core_local(false);
    }
}

}  // namespace crossdock
