#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds a program that asks for nothing but a Linux kernel, and an archive of it with its manual page and completions:
# packaging/static.sh DIRECTORY
set -euo pipefail
output=$(realpath -m "${1:?packaging/static.sh DIRECTORY}")
cd "$(dirname "${BASH_SOURCE[0]}")/.."
tools/install-dependencies.sh
cmake --preset release -B build/static -DCROSSDOCK_BUILD_TESTS=OFF -DCROSSDOCK_BUILD_EXAMPLES=OFF \
    -DCROSSDOCK_SELF_CONTAINED=ON -DCMAKE_EXE_LINKER_FLAGS=-static
cmake --build build/static
(cd build/static && cpack -G TGZ -D CPACK_COMPONENTS_ALL=program -D CPACK_COMPONENT_INCLUDE_TOPLEVEL_DIRECTORY=ON -B packages)
mkdir -p "$output"
cp build/static/packages/crossdock-*.tar.gz "$output"
tar --extract --file "$output"/crossdock-*.tar.gz --directory "$output" --strip-components=2 --wildcards '*/bin/crossdock'
