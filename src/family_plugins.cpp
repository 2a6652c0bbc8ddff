// SPDX-License-Identifier: Apache-2.0
#include "crossdock/plugin/family/open_family.hpp"
#include "crossdock/plugin/family/saver_base.hpp"
#include "crossdock/plugin/hub/any_family.hpp"
