// SPDX-License-Identifier: Apache-2.0
#include "all_headers.hpp"

std::string_view version_seen_by_other();

// A function that lacks `inline` in any header does not get through the linker.
int main() { return version_seen_by_other() == crossdock::library_version ? 0 : 1; }
