// SPDX-License-Identifier: Apache-2.0
#include "all_headers.hpp"

std::string_view version_seen_by_other();
std::string_view version_seen_by_other() { return crossdock::library_version; }
