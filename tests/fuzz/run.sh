#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds each fuzz target with Clang and runs it, from what corpus.py makes, or what the target makes of real folders
# itself:
#
#   tests/fuzz/run.sh                     the same inputs in each run: for CI
#   tests/fuzz/run.sh SECONDS [TARGET…]   new ones, for so long each, on all cores; what it learns it keeps
#
# What it finds stays in build/fuzz.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

# For CI: how many inputs beyond the seeds. Those of whole folders are written to files, converted and compared.
declare -A runs=([json]=10000 [pickle]=8000 [metadata]=4000 [safetensors]=8000 [torch]=3000 [distributed]=500
                 [hub]=60 [megatron]=60 [megatron_dist]=20 [original]=20)
# The fast ones learn most from short inputs.
declare -A longest=([json]=512 [pickle]=512 [metadata]=4096 [safetensors]=1024 [torch]=4096)

seconds=${1:-}
if (($# > 1)); then targets=("${@:2}"); else targets=("${!runs[@]}"); fi
# A program that runs for half a minute is not worth being optimized: that takes longer than it saves.
level=-O0
if [[ $seconds ]]; then level=-O1; fi
options=(-std=c++20 -gline-tables-only "$level" -fno-sanitize-recover=undefined -Iinclude)
sanitizers=address,undefined

tools/install-dependencies.sh clang libclang-rt-14-dev
out=build/fuzz
mkdir -p "$out"

compile() { clang++ "${options[@]}" -fsanitize=fuzzer-no-link,$sanitizers "$@"; }

# What the targets that convert folders share: the library, read at once since its headers take long, and their driver.
build_shared() {
    local shared=$out/folders$level.o
    if [[ ! -e $shared || $(find include src tests/fuzz -name '*pp' -newer "$shared" -print -quit) ]]; then
        printf '#include "%s"\n' src/*.cpp | compile -I. -DCROSSDOCK_COMPILED -DCROSSDOCK_LIBRARY -x c++ -c - -o "$out/library.o"
        compile -DCROSSDOCK_COMPILED -c tests/fuzz/folders.cpp -o "$out/driver.o"
        ld -r "$out/library.o" "$out/driver.o" -o "$shared"
    fi
    objects=("$shared")
}

build() {  # TARGET
    local objects=()
    if grep -q '"folders.hpp"' tests/fuzz/"$1".cpp; then build_shared; fi
    clang++ "${options[@]}" -fsanitize=fuzzer,$sanitizers tests/fuzz/"$1".cpp "${objects[@]}" -ldeflate -lpthread \
        -o "$out/$1.fuzz"
}

fuzz() {  # TARGET
    local program=$out/$1.fuzz seeds=$out/seeds/$1 how
    if [[ ! -d $seeds ]]; then "$program" --seeds="$seeds"; fi
    if [[ $seconds ]]; then
        mkdir -p "$out/$1"
        how=(-max_total_time="$seconds" "$out/$1" "$seeds" -max_len="${longest[$1]:-65536}")
    else
        # A slow machine stops early rather than late; what it has found by then fails all the same.
        how=(-seed=1 -runs="${runs[$1]}" -max_total_time=40 "$seeds" -max_len=65536)
    fi
    "$program" "${how[@]}" -timeout=30 -rss_limit_mb=1024 -verbosity=0 -print_final_stats=1 -artifact_prefix="$out/$1."
}

rm -rf "$out/seeds"
python3 tests/fuzz/corpus.py "$out/seeds"
for target in "${targets[@]}"; do build "$target"; done

failed=0
jobs=1
if [[ $seconds ]]; then jobs=$(nproc); fi
for target in "${targets[@]}"; do
    while (($(jobs -rp | wc -l) >= jobs)); do wait -n || failed=1; done
    { fuzz "$target" > "$out/$target.log" 2>&1 || { echo "$target: a finding"; false; }; } &
done
while (($(jobs -p | wc -l) > 0)); do wait -n || { (($? == 127)) || failed=1; }; jobs > /dev/null; done
for target in "${targets[@]}"; do
    echo "== $target"
    cat "$out/$target.log"
done
exit "$failed"
