#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds a program that asks for nothing but a Linux kernel: packaging/static.sh DIRECTORY
set -euo pipefail
output=$(realpath -m "${1:?packaging/static.sh DIRECTORY}")
cd "$(dirname "${BASH_SOURCE[0]}")/.."
tools/install-dependencies.sh
cmake -S . -B build/static -G Ninja -DCROSSDOCK_BUILD_TESTS=OFF -DCROSSDOCK_BUILD_EXAMPLES=OFF \
    -DCROSSDOCK_SELF_CONTAINED=ON -DCMAKE_EXE_LINKER_FLAGS=-static
cmake --build build/static --target crossdock_program
mkdir -p "$output"
cmake --install build/static --component program --strip --prefix build/static/installed
cp build/static/installed/bin/crossdock "$output"
