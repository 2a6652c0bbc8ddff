#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Compares conversions with cp on tmpfs and on disk: time, throughput and peak memory, as a Markdown table.
#
#   tests/benchmark/run.sh [GB] [ROUNDS]
#
#   GB       size of the synthetic Llama, 1 unless given; twice that must be free, in memory and on disk
#   ROUNDS   how often each is run, in turns, 5 unless given; the table has medians of time, the shortest, and the
#            highest memory
#
# A conversion flushes its files; where eatmydata is installed, rows "unflushed" show what it takes without, as cp does.
#
# CROSSDOCK_CLI names the program (build/release/crossdock unless given), CROSSDOCK_BENCHMARK_PLACES the two folders to
# work in ("/dev/shm build").
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

size=${1:-1}
rounds=${2:-5}
read -r memory disk <<< "${CROSSDOCK_BENCHMARK_PLACES:-/dev/shm build}"
crossdock=$(realpath "${CROSSDOCK_CLI:-build/release/crossdock}")
export crossdock

tools=$PWD/build/benchmark
mkdir -p "$tools"
for tool in make_llama measure; do
    "${CXX:-c++}" -std=c++20 -O2 -Iinclude "tests/benchmark/$tool.cpp" -o "$tools/$tool" -ldeflate -pthread
done

# NAME=COMMAND: makes `target` of `source`.
copies=('cp -r=cp -r source target' 'cp -r, sync=cp -r source target && sync -f target')
convert='exec "$crossdock" convert --quiet --load_dir source --save_dir target'
to_mcore="$convert --saver mcore --target_tensor_parallel_size 8 --target_pipeline_parallel_size 1"
to_llm="$convert --saver megatron --dialect llm --target_tensor_parallel_size 2 --target_pipeline_parallel_size 2"
to_lm="$convert --saver megatron --dialect lm --target_tensor_parallel_size 4 --target_pipeline_parallel_size 1"
to_dist="$convert --saver mcore --ckpt_format torch_dist"
to_dist_grid="$to_dist --target_tensor_parallel_size 8 --num_files 32"  # as TP 8 x DP 4 share the saving
to_hf="$convert --saver llama"

# Seconds, CPU seconds and MiB of a command. The source is in the page cache, no old writes are under way; the old target
# goes last, so that its memory is at hand.
timed_run() {
    find source -type f -exec cat {} + > /dev/null
    sync -f .
    rm -rf target
    "$tools/measure" "$size" bash -c "$1" 2> messages || { cat messages >&2; exit 1; }
}

column() { cut -d' ' -f"$2" "$1" | sort -g; }
median() { sed -n "$(((rounds + 1) / 2))p"; }

# The command as one that leaves its files in the page cache.
unflushed() { echo "export LD_PRELOAD=libeatmydata.so; $1"; }

# Runs the copies and NAME=COMMAND... in turns and prints a row for each.
compare() {
    local place=$1 jobs=("${copies[@]}" "${@:2}") round job bytes
    bytes=$(du -sb source | cut -f1)
    for ((round = 0; round < rounds; ++round)); do
        for job in "${!jobs[@]}"; do
            timed_run "${jobs[job]#*=}" >> "times.$job"
        done
    done
    for job in "${!jobs[@]}"; do
        echo "$(column "times.$job" 1 | median) $(column "times.$job" 2 | median) $(column "times.$job" 3 | tail -n 1)" \
            "$(column times.0 1 | median) $(column times.1 1 | median) $bytes $(column "times.$job" 1 | head -n 1)"
    done | awk -v place="$place" -v names="$(printf '%s\n' "${jobs[@]%%=*}")" 'BEGIN { split(names, name, "\n") } {
        printf "| %s | %s | %.2f | %.2f | %.2f | %.2f | %.2f | %.2f | %.0f |\n",
               place, name[NR], $1, $7, $6 / $1 / 1e9, $1 / $4, $1 / $5, $2, $3 }'
    rm -rf target times.*
}

# Makes the next source of the present one; only one of them is kept.
advance() {
    bash -c "$1" 2> messages || { cat messages >&2; exit 1; }
    rm -rf source
    mv target source
}

measure_in() {
    local work
    work=$(realpath "$(mktemp -d "$2/crossdock-benchmark.XXXXXX")")
    trap "rm -rf '$work'" EXIT
    pushd "$work" > /dev/null
    "$tools/make_llama" "$size" source
    local from_hf=("HF → mcore TP 8=$to_mcore --loader llama" "HF → torch_dist=$to_dist --loader llama"
        "HF → megatron llm TP 2 × PP 2=$to_llm --loader llama" "HF → HF=$to_hf --loader llama")
    if [[ $1 == disk ]] && command -v eatmydata > /dev/null; then
        from_hf+=("HF → mcore TP 8, unflushed=$(unflushed "$to_mcore --loader llama")"
            "HF → megatron llm TP 2 × PP 2, unflushed=$(unflushed "$to_llm --loader llama")")
    fi
    compare "$1" "${from_hf[@]}"
    advance "$to_mcore --loader llama"
    compare "$1" "mcore TP 8 → HF=$to_hf --loader mcore"
    advance "$to_llm --loader mcore"
    compare "$1" "megatron llm TP 2 × PP 2 → lm TP 4=$to_lm --loader megatron"
    advance "$to_dist_grid --loader megatron"
    compare "$1" "torch_dist TP 8 × DP 4 → HF=$to_hf --loader mcore"
    popd > /dev/null
    rm -rf "$work"
}

echo "A Llama of $size GB, $(nproc) processors, medians of $rounds runs."
echo
echo "| place | what | seconds | shortest | GB/s | ÷ \`cp -r\` | ÷ \`cp -r\`, \`sync\` | CPU seconds | peak MiB |"
echo "|---|---|---|---|---|---|---|---|---|"
measure_in tmpfs "$memory"
measure_in disk "$disk"
