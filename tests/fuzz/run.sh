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
declare -A runs=([safetensors]=20000 [torch]=4000 [directory]=150 [distributed]=2000)
declare -A level=([directory]=-O0)  # most of the library: optimizing what the sanitizers add takes longer than it saves

tools/install-dependencies.sh clang libclang-rt-14-dev
mkdir -p build/fuzz
fuzz() {  # TARGET [SECONDS]
    local target=$1 program=build/fuzz/$1.fuzz seeds=build/fuzz/$1.seeds source=tests/fuzz/$1.cpp how
    clang++ -std=c++20 -gline-tables-only "${level[$target]:--O1}" -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined \
        -Iinclude "$source" -ldeflate -lpthread -o "$program"
    rm -rf "$seeds"
    mkdir -p "$seeds"
    if [[ -d tests/data/$target ]]; then
        cp tests/data/"$target"/* "$seeds"
    elif grep -q -- --seeds= "$source"; then
        "$program" --seeds="$seeds"
    fi
    if (($# > 1)); then
        mkdir -p "build/fuzz/$target"
        how=(-max_total_time="$2" "build/fuzz/$target")
    else
        # A slow machine stops early rather than late; what it has found by then fails all the same.
        how=(-seed=1 -runs="${runs[$target]:-1000}" -max_total_time=90)
    fi
    "$program" "${how[@]}" "$seeds" -max_len=65536 -timeout=30 -rss_limit_mb=1024 -verbosity=0 -print_final_stats=1 \
        -artifact_prefix="build/fuzz/$target."
}

# Side by side, each on one core; what each says is shown when it has ended.
declare -A running=()
for source in tests/fuzz/*.cpp; do
    target=$(basename "$source" .cpp)
    fuzz "$target" "$@" > "build/fuzz/$target.log" 2>&1 &
    running[$target]=$!
done
failed=0
for target in "${!running[@]}"; do
    wait "${running[$target]}" || failed=1
    cat "build/fuzz/$target.log"
done
exit "$failed"
