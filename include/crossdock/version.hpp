// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

// The version's only home: CMakeLists.txt reads these three lines.
#define CROSSDOCK_VERSION_MAJOR 0
#define CROSSDOCK_VERSION_MINOR 1
#define CROSSDOCK_VERSION_PATCH 0

#define CROSSDOCK_JOIN_VERSION_(major, minor, patch) #major "." #minor "." #patch
#define CROSSDOCK_JOIN_VERSION(major, minor, patch) CROSSDOCK_JOIN_VERSION_(major, minor, patch)

namespace crossdock {

/// "major.minor.patch"
inline constexpr std::string_view library_version =
    CROSSDOCK_JOIN_VERSION(CROSSDOCK_VERSION_MAJOR, CROSSDOCK_VERSION_MINOR, CROSSDOCK_VERSION_PATCH);

}  // namespace crossdock

#undef CROSSDOCK_JOIN_VERSION
#undef CROSSDOCK_JOIN_VERSION_
