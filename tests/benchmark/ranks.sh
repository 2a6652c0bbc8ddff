#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Seconds and CPU seconds of a conversion by one process, by 2 and 4 MPI ranks, of `cp -r`, and of mpiFileUtils' `dcp` on
# the same ranks where that is installed; medians of five, by turns:
#
#     tests/benchmark/ranks.sh MPIRUN MPI_PROGRAM PROGRAM MODEL DIRECTORY
#
# MODEL is a Hugging Face folder; DIRECTORY lies on the file system that is measured. Each rank has one thread. Starting MPI
# takes a part of a second, which is shown as well.
set -euo pipefail
mpirun=$1 many=$2 one=$3 model=$4
work=$(mktemp -d "$5/ranks.XXXXXX")
trap 'rm -rf "$work"' EXIT
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
export OMPI_MCA_hwloc_base_binding_policy=none

measured() {  # NAME COMMAND…
    local name=$1 TIMEFORMAT="%R %U %S"
    shift
    rm -rf "$work/target"
    { time "$@" > "$work/log" 2>&1 < /dev/null || cat "$work/log" >&2; } 2> "$work/seconds"
    echo "$name $(tail -n 1 "$work/seconds")" >> "$work/all"
}
convert=(convert --load_dir "$model" --save_dir "$work/target" --quiet)
megatron=(--saver mcore --target_tensor_parallel_size 8 --ckpt_format torch)
hub=(--saver hf --max_shard_size 200MB)

for _ in 1 2 3 4 5; do
    measured cp cp -r "$model" "$work/target"
    measured start_of_2_ranks "$mpirun" -n 2 "$many" --version
    measured megatron_one_process_2_threads "$one" "${convert[@]}" --threads 2 "${megatron[@]}"
    measured hub_one_process_2_threads "$one" "${convert[@]}" --threads 2 "${hub[@]}"
    for ranks in 2 4; do
        measured megatron_${ranks}_ranks "$mpirun" -n $ranks "$many" "${convert[@]}" --threads 1 "${megatron[@]}"
        measured hub_${ranks}_ranks "$mpirun" -n $ranks "$many" "${convert[@]}" --threads 1 "${hub[@]}"
        if command -v dcp > /dev/null; then measured dcp_${ranks}_ranks "$mpirun" -n $ranks dcp "$model" "$work/target"; fi
    done
done

printf '%-34s %8s %8s\n' what seconds CPU
awk '{ n[$1]++; wall[$1, n[$1]] = $2; cpu[$1, n[$1]] = $3 + $4 }
    function median(values, name, count,   i, j, sorted, swap) {
        for (i = 1; i <= count; ++i) sorted[i] = values[name, i]
        for (i = 1; i <= count; ++i) for (j = i + 1; j <= count; ++j)
            if (sorted[j] < sorted[i]) { swap = sorted[i]; sorted[i] = sorted[j]; sorted[j] = swap }
        return sorted[int((count + 1) / 2)]
    }
    END { for (name in n) printf "%-34s %8.2f %8.2f\n", name, median(wall, name, n[name]), median(cpu, name, n[name]) }
' "$work/all" | sort
