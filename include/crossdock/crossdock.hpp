// SPDX-License-Identifier: Apache-2.0
#pragma once

// The whole library, floor by floor. core/tensor_view.hpp (tensors as xtensor arrays) is included by who needs it.
#include "crossdock/core/recipe.hpp"
#include "crossdock/core/tensor.hpp"
#include "crossdock/pipeline/convert.hpp"
#include "crossdock/pipeline/inspect.hpp"
#include "crossdock/pipeline/verify.hpp"
#include "crossdock/plugin/builtin.hpp"
#include "crossdock/protocol/messages.hpp"
#include "crossdock/version.hpp"
