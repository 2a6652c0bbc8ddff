#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What a conversion asks of the system: how often it reads and writes, and how many bytes. Compares that with what
# budget.tsv allows, 15 % more at most. The counts hardly depend on the machine, nor on what else it does.
#
#   tests/benchmark/budget.sh PROGRAMS [--record]
#
#   PROGRAMS   the folder that crossdock was built in, and tests/benchmark.make_model and tests/benchmark.measure in it
#   --record   writes budget.tsv anew, for a change that is meant
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/directions.sh"

programs=$(realpath "${1:?where are the programs?}")
crossdock=$programs/crossdock make_model=$programs/tests/benchmark.make_model
measure=$programs/tests/benchmark.measure
work=$(mktemp -d "$programs/budget.XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"

made=
for direction in "${directions[@]}"; do
    name=${direction%%|*} source=${direction%% → *}
    [[ $source == "$made" ]] || make_source "$source" 0.1
    made=$source
    # shellcheck disable=SC2086
    counts=$("$measure" 0.001 "$crossdock" convert --quiet --threads 2 --load_dir source --save_dir target \
        ${direction#*|} 2> messages) || { cat messages >&2; exit 1; }
    read -r _ _ _ reads bytes_read writes bytes_written _ <<< "$counts"
    printf '%s\t%s\t%s\t%s\t%s\n' "$name" "$reads" "$bytes_read" "$writes" "$bytes_written" >> measured
    rm -rf target
done

awk -F '\t' '!$2 { exit 1 }' measured || { echo "this kernel does not count what a process reads and writes"; exit 77; }
head='direction\treads\tbytes read\twrites\tbytes written'
if [[ ${2-} == --record ]]; then
    { echo -e "$head"; cat measured; } > "$here/budget.tsv"
    exit
fi
awk -F '\t' -v say="of budget.tsv, which 'tests/benchmark/budget.sh $1 --record' writes anew" '
    FNR == 1 { ++file }
    file == 1 && FNR == 1 { for (i = 2; i <= NF; ++i) what[i] = $i; next }
    file == 1 { allowed[$1] = $0; next }
    !($1 in allowed) { print $1 ": is no line " say; bad = 1; next }
    {
        split(allowed[$1], budget, "\t")
        for (i = 2; i <= NF; ++i)
            if ($i > budget[i] * 1.15) {
                printf "%s: %s %d, more than 1.15 times the %d %s\n", $1, what[i], $i, budget[i], say
                bad = 1
            } else if ($i * 1.15 < budget[i]) {
                printf "%s: %s %d, less than the %d %s\n", $1, what[i], $i, budget[i], say
            }
    }
    END { exit bad }' "$here/budget.tsv" measured
