#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds the fuzz targets with Clang and runs them, from what corpus.py makes, or what a target makes of real folders
# itself:
#
#   tests/fuzz/run.sh                     the same inputs in each run: for CI
#   tests/fuzz/run.sh SECONDS [TARGET…]   new ones, for so long each, on all cores; what it learns it keeps
#
# What it finds stays in build/fuzz.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

# For CI: how many inputs. Those of whole folders are written to files, converted, read again and compared.
declare -A runs=([json]=4000 [pickle]=2000 [metadata]=1500 [safetensors]=3000 [torch]=1000 [names]=400
                 [distributed]=100 [hub]=16 [megatron]=12 [megatron_dist]=6 [original]=10)
# Those that read from memory learn most from short inputs.
declare -A longest=([json]=48 [pickle]=48 [metadata]=1200 [safetensors]=128 [torch]=600)

seconds=${1:-}
if (($# > 1)); then targets=("${@:2}"); else targets=("${!runs[@]}"); fi
# For a program that runs for some seconds, optimizing takes longer than it saves; and so does a second sanitizer of the
# whole library, whose own tests run under both.
level=-O0 of_library=address jobs=1
if [[ $seconds ]]; then level=-O1 of_library=address,undefined jobs=$(nproc); fi
options=(-std=c++20 -gline-tables-only "$level" -fno-sanitize-recover=undefined -Iinclude)
# In memory an input takes 40 microseconds, of which most would be spent on what finds no more: checks that the address
# sanitizer makes as well, watching all comparisons, remembering where each block came from, and weighing inputs.
in_memory=(-O2 -fno-sanitize=null,object-size,vptr -fno-sanitize-coverage=trace-cmp)
lean=(-entropic=0 -reduce_inputs=0 -detect_leaks=0)  # leaks are looked for once, at the end

tools/install-dependencies.sh clang libclang-rt-14-dev
out=build/fuzz
mkdir -p "$out"

# What the targets that convert whole folders share: the library, as one source, which takes half of what several take,
# and their driver.
build_shared() {
    objects+=("$out/library$level.o" "$out/folders$level.o")
    if [[ -e ${objects[-1]} && ! $(find include src tests/fuzz -name '*pp' -newer "${objects[-1]}" -print -quit) ]]; then
        return
    fi
    local compile=(clang++ "${options[@]}" -fsanitize=fuzzer-no-link,"$of_library" -DCROSSDOCK_COMPILED -c)
    printf '#include "%s"\n' "$PWD"/src/*.cpp > "$out/library.cpp"
    "${compile[@]}" -DCROSSDOCK_LIBRARY "$out/library.cpp" -o "${objects[0]}"
    "${compile[@]}" tests/fuzz/folders.cpp -o "${objects[1]}"
}

build() {  # TARGET
    local objects=() more=()
    if grep -q '"folders.hpp"' "tests/fuzz/$1.cpp"; then build_shared; fi
    if [[ $seconds && ${longest[$1]:-} ]]; then more=("${in_memory[@]}"); fi
    clang++ "${options[@]}" -fsanitize=fuzzer,address,undefined "${more[@]}" "tests/fuzz/$1.cpp" "${objects[@]}" \
        -ldeflate -lpthread -o "$out/$1.fuzz"
}

fuzz() {  # TARGET
    local program=$out/$1.fuzz seeds=$out/seeds/$1 asan=quarantine_size_mb=16 how
    if [[ ! -d $seeds ]]; then "$program" --seeds="$seeds"; fi
    if [[ $seconds ]]; then
        mkdir -p "$out/$1"
        how=(-max_total_time="$seconds" "$out/$1" "$seeds" -max_len="${longest[$1]:-65536}")
        if [[ ${longest[$1]:-} ]]; then
            how+=("${lean[@]}")
            asan=malloc_context_size=0:quarantine_size_mb=1:thread_local_quarantine_size_kb=64
        fi
    else
        # Of whole folders a few.
        if grep -q '"folders.hpp"' "tests/fuzz/$1.cpp"; then
            local few=$out/seeds/$1-few
            mkdir -p "$few"
            find "$seeds" -type f | sort | awk -v few="$((runs[$1] / 2))" '{ all[NR] = $0 }
                END { for (i = 0; i < few; ++i) print all[1 + int(i * NR / few)] }' | xargs cp -t "$few"
            seeds=$few
        fi
        # A slow machine stops early rather than late; what it has found by then fails all the same.
        how=(-seed=1 -runs="${runs[$1]}" -max_total_time=40 "$seeds" -max_len=65536)
    fi
    ASAN_OPTIONS=$asan "$program" "${how[@]}" -timeout=30 -rss_limit_mb=1024 -verbosity=0 \
        -print_final_stats=1 -artifact_prefix="$out/$1."
}

rm -rf "$out/seeds"
python3 tests/fuzz/corpus.py "$out/seeds"
for target in "${targets[@]}"; do build "$target"; done

failed=$out/failed
rm -f "$failed"
for target in "${targets[@]}"; do
    while (($(jobs -rp | wc -l) >= jobs)); do wait -n || true; done
    { fuzz "$target" > "$out/$target.log" 2>&1 || echo "$target" >> "$failed"; } &
done
wait
for target in "${targets[@]}"; do
    echo "== $target"
    cat "$out/$target.log"
done
if [[ -e $failed ]]; then
    echo "Findings of: $(xargs < "$failed")" >&2
    exit 1
fi
