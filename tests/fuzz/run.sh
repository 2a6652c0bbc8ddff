#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds each fuzz target with Clang and runs it, from the inputs in tests/data/TARGET, or those that the target makes of
# real folders itself:
#
#   tests/fuzz/run.sh              the same inputs in each run: for CI
#   tests/fuzz/run.sh SECONDS      new ones, for so long
#
# What it finds stays in build/fuzz.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

# How many inputs take about half a minute, on one core.
declare -A runs=([safetensors]=20000 [torch]=4000 [directory]=500)
declare -A level=([directory]=-O0)  # most of the library: optimizing what the sanitizers add takes longer than it saves

tools/install-dependencies.sh clang libclang-rt-14-dev
mkdir -p build/fuzz
for source in tests/fuzz/*.cpp; do
    target=$(basename "$source" .cpp)
    program=build/fuzz/$target.fuzz
    clang++ -std=c++20 -gline-tables-only "${level[$target]:--O1}" -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined \
        -Iinclude "$source" -ldeflate -lpthread -o "$program"
    seeds=build/fuzz/$target.seeds
    rm -rf "$seeds"
    mkdir -p "$seeds"
    if [[ -d tests/data/$target ]]; then
        cp tests/data/"$target"/* "$seeds"
    elif grep -q -- --seeds= "$source"; then
        "$program" --seeds="$seeds"
    fi
    if (($# > 0)); then
        corpus=build/fuzz/$target
        mkdir -p "$corpus"
        how=(-max_total_time="$1" "$corpus")
    else
        # A slow machine stops early rather than late; what it has found by then fails all the same.
        how=(-seed=1 -runs="${runs[$target]:-1000}" -max_total_time=90)
    fi
    "$program" "${how[@]}" "$seeds" -max_len=65536 -timeout=30 -rss_limit_mb=1024 -verbosity=0 -print_final_stats=1 \
        -artifact_prefix="build/fuzz/$target."
done
