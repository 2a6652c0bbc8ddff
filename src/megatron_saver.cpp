// SPDX-License-Identifier: Apache-2.0
#include "crossdock/plugin/megatron/saver.hpp"
