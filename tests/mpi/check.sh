#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Converts and compares with several MPI ranks, lets some of them fail, and compares with what one process does:
#
#     tests/mpi/check.sh MPIRUN MPI_PROGRAM PROGRAM [briefly]
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../data"
mpirun=$1 many=$2 one=$3 briefly=${4-}

# Of Open MPI, which by itself refuses root and more ranks than processors.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
export OMPI_MCA_hwloc_base_binding_policy=none OMPI_MCA_btl_vader_single_copy_mechanism=none
export OMPI_MCA_mpi_yield_when_idle=1  # a rank that waits leaves its processor to those for which it waits

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
broken=0
fail() { echo "FAILED: $*"; broken=1; }
expect() {  # WHAT EXPECTED FOUND
    [[ $2 == "$3" ]] || fail "$1: expected '$2', found '$3'"
}
nothing_left() {  # beside what the test put there
    local found
    found=$(cd "$work/out" && ls -A)
    [[ -z $found ]] || fail "$1: left $found"
}
ranks() {  # N ARGUMENT…
    "$mpirun" -n "$1" "$many" "${@:2}" < /dev/null
}
odd_rank() {  # "SHELL COMMAND" ARGUMENT…: 3 ranks, of which rank 1 does something before it starts
    "$mpirun" -n 1 "$many" "${@:2}" : -n 1 sh -c "$1; exec \"\$0\" \"\$@\"" "$many" "${@:2}" : \
        -n 1 "$many" "${@:2}" < /dev/null
}

# Without the program's name and its speed, and what Open MPI has to say: on a busy machine it warns of a race of its own.
said() { sed -E '/^\[[^] ]+:[0-9]+\] /d; s/^[^ ]*: //; s/ in [0-9.]+ s \(.*//' "$1"; }

mkdir "$work/out"

# ---- the same bytes, whatever the number of ranks

same_bytes() {  # SOURCE ARGUMENT…
    local source=$1 number
    "$one" convert --load_dir "$source" --save_dir "$work/one" --quiet "${@:2}" 2> "$work/warnings" || fail "one: $*"
    for number in $numbers; do
        ranks $number convert --load_dir "$source" --save_dir "$work/out/many" --quiet --threads 2 \
            --region_size 4096B "${@:2}" 2> "$work/warnings_of_many" || fail "$number ranks: $*"
        diff -r "$work/one" "$work/out/many" || fail "$number ranks write other bytes: $*"
        diff <(said "$work/warnings") <(said "$work/warnings_of_many") || fail "$number ranks say something else: $*"
        rm -rf "$work/out/many"
        nothing_left "$number ranks: $*"
    done
    rm -rf "$work/one"
}
if [[ $briefly ]]; then numbers="2 3"; else numbers="1 2 3 4"; fi
same_bytes hf/llama3-gqa --saver mcore --target_tensor_parallel_size 2 \
    --target_pipeline_parallel_size 2 --ckpt_format torch
if [[ -z $briefly ]]; then
    numbers=3
    same_bytes hf/llama3-gqa --saver mcore --target_tensor_parallel_size 2 --ckpt_format torch_dist --num_files 3 --bridge
    same_bytes hf/llama3-gqa --saver hf --max_shard_size 20KB --dtype f16
    same_bytes hf/llama2-gqa --saver llama --layout original --model_parallel_size 2
    same_bytes megatron-dist/llama2-gqa-mcore0.16-tp2pp2vpp2 --saver hf
    same_bytes hf/gpt2 --saver megatron --dialect lm --target_tensor_parallel_size 2
fi

# ---- verify

"$one" convert --load_dir hf/llama3-gqa --save_dir "$work/other" --saver hf --dtype f16 --quiet 2> /dev/null
for other in hf/llama3-gqa "$work/other"; do
    "$one" verify hf/llama3-gqa "$other" --quiet > "$work/one.log"; code=$?
    ranks 3 verify hf/llama3-gqa "$other" --quiet > "$work/many.log" 2> /dev/null
    expect "verify's exit code" $code $?
    diff <(said "$work/one.log") <(said "$work/many.log") || fail "3 ranks find other differences"
done

# ---- what goes wrong is told once, and leaves nothing behind

told() {  # WHAT LOG PATTERN: one line, once
    local count
    count=$(grep -c "^${many##*/}: " "$2")
    expect "lines about $1" 1 "$count"
    grep -q -- "$3" "$2" || { fail "$1: not told"; cat "$2"; }
}
ranks 3 convert --load_dir hf/llama3-gqa --save_dir "$work/out/many" --saver hff > "$work/log" 2>&1
told "a wrong option" "$work/log" "no saver is called 'hff'"

cp -r hf/llama3-gqa "$work/source"
sed -i 's/"rope_theta": [0-9.]*/"rope_theta": 77.0/' "$work/source/config.json"
convert=(convert --save_dir "$work/out/many" --saver hf --quiet --load_dir)
"$mpirun" -n 2 "$many" "${convert[@]}" hf/llama3-gqa : -n 1 "$many" "${convert[@]}" "$work/source" \
    > "$work/log" 2>&1 < /dev/null && fail "ranks that read different models are no failure"
told "different models" "$work/log" "the ranks do not see the same model"
nothing_left "different models"

rm "$work/source/model.safetensors"
"$mpirun" -n 2 "$many" "${convert[@]}" hf/llama3-gqa : -n 1 "$many" "${convert[@]}" "$work/source" \
    > "$work/log" 2>&1 < /dev/null && fail "a rank that misses a file is no failure"
told "a missing file" "$work/log" "rank 2 (.*): $work/source: "
nothing_left "a missing file"

# ---- ranks that are killed

mkdir "$work/large"  # 0.4 GB of zeros that take no room
layers=12
{
    printf '{"architectures":["LlamaForCausalLM"],"model_type":"llama","hidden_size":1024,"intermediate_size":4096,'
    printf '"num_attention_heads":16,"num_key_value_heads":16,"num_hidden_layers":%d,"vocab_size":32000,' $layers
    printf '"rms_norm_eps":1e-5,"rope_theta":10000.0,"max_position_embeddings":2048,"hidden_act":"silu",'
    printf '"torch_dtype":"bfloat16","tie_word_embeddings":false}'
} > "$work/large/config.json"
end=0 header='{"__metadata__":{"format":"pt"}'
tensor() {  # NAME ROWS [COLUMNS]
    local begin=$end shape=$2${3:+,$3}
    end=$((end + 2 * $2 * ${3:-1}))
    header+=",\"$1\":{\"dtype\":\"BF16\",\"shape\":[$shape],\"data_offsets\":[$begin,$end]}"
}
tensor model.embed_tokens.weight 32000 1024
for ((layer = 0; layer < layers; ++layer)); do
    for name in q k v o; do tensor model.layers.$layer.self_attn.${name}_proj.weight 1024 1024; done
    for name in gate up; do tensor model.layers.$layer.mlp.${name}_proj.weight 4096 1024; done
    tensor model.layers.$layer.mlp.down_proj.weight 1024 4096
    for name in input post_attention; do tensor model.layers.$layer.${name}_layernorm.weight 1024; done
done
tensor model.norm.weight 1024
tensor lm_head.weight 32000 1024
header+='}'
{
    for shift in 0 8 16 24 32 40 48 56; do
        # shellcheck disable=SC2059
        printf "\\x$(printf %02x $((${#header} >> shift & 255)))"
    done
    printf %s "$header"
} > "$work/large/model.safetensors"
truncate --size=$((8 + ${#header} + end)) "$work/large/model.safetensors"

large=(convert --load_dir "$work/large" --save_dir "$work/out/many" --saver mcore --target_tensor_parallel_size 2
    --ckpt_format torch --threads 1 --quiet --region_size 1MiB)
staged=$work/out/.many.crossdock-staging/files
start_large() {  # rank 1's process goes to $rank
    rm -f "$work/pid"
    odd_rank "echo \$\$ > '$work/pid.new'; mv '$work/pid.new' '$work/pid'" "${large[@]}" > "$work/log" 2>&1 &
    run=$!
    until compgen -G "$staged/*/mp_rank_01*/*" > /dev/null || ! kill -0 $run 2> /dev/null; do sleep 0.005; done
    rank=$(cat "$work/pid")
}

# MPI itself needs files of some size.
odd_rank "trap '' XFSZ; ulimit -f 100000" "${large[@]}" > "$work/log" 2>&1 && fail "a full disk is no failure"
told "a full disk" "$work/log" "rank 1 (.*): .*cannot be written: File too large"
nothing_left "a full disk"

start_large
kill -STOP "$rank" && sleep 1
[[ ! -e $work/out/many ]] || fail "the target is there although a rank stands still"
kill -KILL "$rank"
wait $run && fail "a killed rank is no failure"
[[ ! -e $work/out/many ]] || fail "the target is there although a rank was killed"
ranks 3 "${large[@]}" > "$work/log" 2>&1 || fail "a run after a killed one"
grep -q 'removed what a run that did not end left there' "$work/log" || { fail "what is left is not cleaned"; cat "$work/log"; }
"$one" convert --load_dir "$work/large" --save_dir "$work/one" --saver mcore --target_tensor_parallel_size 2 \
    --ckpt_format torch --quiet 2> /dev/null
diff -r "$work/one" "$work/out/many" || fail "a run after a killed one writes other bytes"
rm -rf "$work/out/many" "$work/one"
nothing_left "a run after a killed one"

start_large
kill -TERM "$rank"
wait $run && fail "a rank that is told to stop is no failure"
grep -q 'stopped: another rank was told to' "$work/log" || { fail "SIGTERM to a rank: not told"; cat "$work/log"; }
nothing_left "SIGTERM to a rank"

((broken == 0)) && echo "all as one process"
exit $broken
