#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Compares conversions with cp on tmpfs and on disk: time, CPU time, system calls and peak memory, as a Markdown table.
#
#   tests/benchmark/run.sh [--force] [GB] [ROUNDS]
#
#   GB        size of the synthetic models, 1 unless given; twice that must be free, in memory and on disk
#   ROUNDS    how often each is run, in turns, 5 unless given; the table has medians of time, the shortest, and the
#             highest memory
#   --force   measures although others use the processors, too: then CPU seconds and calls are what to look at
#
# A conversion flushes its files; where eatmydata is installed, rows "unflushed" show what it takes without, as cp does.
#
# CROSSDOCK_CLI names the program (build/release/crossdock unless given), CROSSDOCK_BENCHMARK_PLACES the two folders to
# work in ("/dev/shm build"), CROSSDOCK_BENCHMARK_ONLY a pattern of the directions to measure ("GPT-2*").
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
source tests/benchmark/directions.sh
source tests/benchmark/measuring.sh

if [[ ${1-} == --force ]]; then shift; else want_quiet_machine; fi
size=${1:-1}
rounds=${2:-5}
read -r memory disk <<< "${CROSSDOCK_BENCHMARK_PLACES:-/dev/shm build}"
only=${CROSSDOCK_BENCHMARK_ONLY:-*}
build_measuring_tools

# Runs a command and appends a line of what it took. The source is in the page cache, no old writes are under way; the
# old target goes last, so that its memory is at hand.
timed_run() {  # FILE COMMAND…
    find source -type f -exec cat {} + > /dev/null
    sync -f .
    rm -rf target
    "$measure" "$size" "${@:2}" >> "$1" 2> messages || { cat messages >&2; exit 1; }
}
converted() {  # FILE OPTION…
    timed_run "$1" "$crossdock" convert --quiet --load_dir source --save_dir target "${@:2}"
}

# Runs the copies and the direction in turns and prints a row for it, and for the copies with the first one of a source.
compare() {  # PLACE NAME OPTION…
    local place=$1 name=$2 rows=("cp -r" "cp -r, sync" "$2") round row
    shift 2
    for ((round = 0; round < rounds; ++round)); do
        timed_run times.0 cp -r source target
        timed_run times.1 bash -c 'cp -r source target && sync -f target'
        converted times.2 "$@"
        if [[ $place == disk && $name == "HF → mcore TP 8" ]] && command -v eatmydata > /dev/null; then
            rows[3]="$name, unflushed"
            LD_PRELOAD=libeatmydata.so converted times.3 "$@"
        fi
    done
    local bytes
    bytes=$(du -sb source | cut -f1)
    for row in "${!rows[@]}"; do
        ((row > 1)) || [[ -z $copied ]] || continue
        echo "$(median times.$row 1) $(column times.$row 1 | head -n 1) $(median times.$row 2)" \
            "$(median times.$row 4) $(median times.$row 6) $(column times.$row 3 | tail -n 1)" \
            "$(median times.0 1) $(median times.1 1) $(median times.0 2)"$'\t'"${rows[row]}"
    done | awk -v place="$place" -v bytes="$bytes" '{
        split($0, halves, "\t")
        gb = bytes / 1e9
        printf "| %s | %s | %.2f | %.2f | %.2f | %.2f | %.2f | %.2f | %.2f | %.0f | %.0f | %.0f |\n",
               place, halves[2], $1, $2, gb / $1, $1 / $7, $1 / $8, $3 / gb, $3 / $9, $4 / gb, $5 / gb, $6 }'
    copied=1
    rm -rf target times.*
}

measure_in() {  # PLACE FOLDER
    local work made= copied= direction name
    work=$(realpath "$(mktemp -d "$2/crossdock-benchmark.XXXXXX")")
    trap "rm -rf '$work'" EXIT
    pushd "$work" > /dev/null
    for direction in "${directions[@]}"; do
        name=${direction%%|*}
        # shellcheck disable=SC2053
        [[ $name == $only ]] || continue
        [[ ${name% → *} == "$made" ]] || { make_source "${name% → *}" "$size"; copied=; }
        made=${name% → *}
        # shellcheck disable=SC2086
        compare "$1" "$name" ${direction#*|}
    done
    popd > /dev/null
    rm -rf "$work"
}

echo "Models of $size GB, $(nproc) processors, load average $load, medians of $rounds runs; CPU seconds and calls are for each"
echo "GB of the source."
echo
echo "| place | what | seconds | shortest | GB/s | ÷ \`cp -r\` | ÷ \`cp -r\`, \`sync\` | CPU s/GB | CPU ÷ \`cp -r\` | reads/GB | writes/GB | peak MiB |"
echo "|---|---|---|---|---|---|---|---|---|---|---|---|"
measure_in tmpfs "$memory"
[[ -z $disk ]] || measure_in disk "$disk"
