#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Says how many lines of each reader's headers the fuzz targets' inputs reach: what they begin with, and what
# tests/fuzz/run.sh SECONDS has learned on this machine, if it ran. Fails where it is less than 90 %.
#
#   tests/fuzz/coverage.sh [TARGET…]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

readers=(container/json.hpp container/json_parser.hpp container/pickle/{builder,cursor,integer,node_pool}.hpp
         container/pickle/{packed,packed_machine,packed_reader,reader,recalled,stack,text,value}.hpp container/torch/{format,nested_tensors,reader,rebuild}.hpp
         container/zip/{checked_source,crc32,reader}.hpp container/safetensors/{header_parser,reader}.hpp
         container/sharded/{format,reader}.hpp container/dcp/{assemble,item_file,metadata_reader,reader,stored_chunk,tiling}.hpp
         container/{foreign_directory,foreign_files}.hpp)

tools/install-dependencies.sh clang libclang-rt-14-dev llvm
out=build/fuzz/coverage
rm -rf "$out"
mkdir -p "$out"
python3 tests/fuzz/corpus.py "$out/seeds"

options=(-std=c++20 -O0 -fprofile-instr-generate -fcoverage-mapping -Iinclude)
targets=("$@")
if (($# == 0)); then targets=(json pickle metadata safetensors torch names distributed hub megatron megatron_dist original); fi
programs=()
for target in "${targets[@]}"; do
    source=tests/fuzz/$target.cpp program=$out/$target objects=()
    if grep -q '"folders.hpp"' "$source"; then
        for part in src/*.cpp tests/fuzz/folders.cpp; do
            object=$out/$(basename "$part" .cpp).o library=()
            if [[ $part == src/* ]]; then library=(-DCROSSDOCK_LIBRARY); fi
            objects+=("$object")
            if [[ -e $object ]]; then continue; fi
            clang++ "${options[@]}" -fsanitize=fuzzer-no-link -DCROSSDOCK_COMPILED "${library[@]}" -c "$part" -o "$object"
        done
    fi
    clang++ "${options[@]}" -fsanitize=fuzzer "$source" "${objects[@]}" -ldeflate -lpthread -o "$program"
    export LLVM_PROFILE_FILE=$program.profraw  # of the last run, which takes the inputs
    if [[ ! -d $out/seeds/$target ]]; then "$program" --seeds="$out/seeds/$target"; fi
    inputs=("$out/seeds/$target")
    if [[ -d build/fuzz/$target ]]; then inputs+=("build/fuzz/$target"); fi
    "$program" -runs=0 -rss_limit_mb=0 -artifact_prefix="$program." "${inputs[@]}" > "$program.log" 2>&1
    programs+=("$program")
done
llvm-profdata merge -o "$out/all.profdata" "${programs[@]/%/.profraw}"
llvm-cov export -summary-only -instr-profile "$out/all.profdata" "${programs[0]}" "${programs[@]/#/-object=}" \
    "${readers[@]/#/include/crossdock/}" > "$out/summary.json"
python3 - "$out/summary.json" <<'PYTHON'
import json, sys
files = json.load(open(sys.argv[1]))["data"][0]["files"]
low = 0
for file in files:
    lines = file["summary"]["lines"]
    low += lines["percent"] < 90
    print(f'| {file["filename"].split("crossdock/")[-1]} | {lines["count"]} | {lines["percent"]:.1f} |')
sys.exit(low > 0)
PYTHON
