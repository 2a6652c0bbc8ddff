#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Uses Crossdock as another project would: installed and found, and as a subfolder.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
export CMAKE_GENERATOR=Ninja

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

use() {  # NAME [CMAKE OPTION…]: builds and runs the consumer
    cmake -S tests/install -B "$work/$1" "${@:2}"
    cmake --build "$work/$1"
    "$work/$1/consumer"
    "$work/$1/consumer_cli" --version
}

cmake -S . -B "$work/crossdock" -DCROSSDOCK_BUILD_CLI=OFF -DCROSSDOCK_BUILD_TESTS=OFF -DCROSSDOCK_BUILD_EXAMPLES=OFF
cmake --install "$work/crossdock" --prefix "$work/prefix"
use installed -DCMAKE_PREFIX_PATH="$work/prefix"
use subfolder -DCROSSDOCK_SOURCE_DIR="$PWD"
