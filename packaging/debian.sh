#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Makes the Debian packages crossdock and libcrossdock-dev: packaging/debian.sh DIRECTORY
set -euo pipefail
output=$(realpath -m "${1:?packaging/debian.sh DIRECTORY}")
cd "$(dirname "${BASH_SOURCE[0]}")/.."
tools/install-dependencies.sh dpkg-dev lintian
# Debian's own folder, and the library for all who build with it.
cmake --preset release -B build/debian -DCMAKE_INSTALL_PREFIX=/usr \
    -DCROSSDOCK_BUILD_TESTS=OFF -DCROSSDOCK_BUILD_EXAMPLES=OFF
cmake --build build/debian
(cd build/debian && cpack -G DEB -B packages)
lintian --fail-on error build/debian/packages/*.deb
mkdir -p "$output"
cp build/debian/packages/*.deb "$output"
