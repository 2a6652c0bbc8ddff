#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds each fuzz target with Clang and lets it run, from tests/data/TARGET where that is there:
#
#   tests/fuzz/run.sh [SECONDS]
#
# What it finds stays in build/fuzz.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
seconds=${1:-600}

tools/install-dependencies.sh clang libclang-rt-14-dev
for source in tests/fuzz/*.cpp; do
    target=$(basename "$source" .cpp)
    corpus=build/fuzz/$target
    mkdir -p "$corpus"
    clang++ -std=c++20 -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined \
        -Iinclude "$source" -ldeflate -o "build/fuzz/$target.fuzz"
    seeds=()
    [[ ! -d tests/data/$target ]] || seeds=("tests/data/$target")
    "build/fuzz/$target.fuzz" -max_total_time="$seconds" -timeout=10 -artifact_prefix="build/fuzz/$target." \
        -verbosity=0 -print_final_stats=1 "$corpus" "${seeds[@]}"
done
