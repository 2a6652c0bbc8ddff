// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>
#include <vector>

namespace crossdock::test {

/// Directories of tests/data whose folders a fuzz program converts (folders.cpp).
extern const std::vector<std::string_view> folders;

}  // namespace crossdock::test
