// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "crossdock/container/json.hpp"
#include "crossdock/container/json_text.hpp"
