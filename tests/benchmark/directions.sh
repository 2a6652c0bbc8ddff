# SPDX-License-Identifier: Apache-2.0
# Sourced by run.sh and budget.sh: what they convert, and how. `make_model` and `crossdock` name the programs.

# How a source is made: a model of make_model, and the options of the conversion that makes it, if it takes one.
declare -A sources=(
    ["HF"]="llama"
    ["mcore TP 8"]="llama --saver mcore --target_tensor_parallel_size 8"
    ["Meta, 8 parts"]="llama --saver llama --layout original --model_parallel_size 8"
    ["torch_dist, 32 files"]="llama --saver mcore --ckpt_format torch_dist --target_tensor_parallel_size 8 --num_files 32"
    ["megatron llm TP 2 × PP 2"]="llama --saver megatron --dialect llm --target_tensor_parallel_size 2
        --target_pipeline_parallel_size 2"
    ["GPT-2"]="gpt2"
    ["GPT-2, mcore TP 1"]="gpt2 --saver mcore --ckpt_format torch"
)

# SOURCE → TARGET|OPTIONS, in groups of one source.
directions=(
    "HF → mcore TP 1|--saver mcore --ckpt_format torch"
    "HF → mcore TP 8|--saver mcore --target_tensor_parallel_size 8"
    "HF → mcore TP 2 × PP 2|--saver mcore --target_tensor_parallel_size 2 --target_pipeline_parallel_size 2"
    "HF → torch_dist|--saver mcore --ckpt_format torch_dist"
    "HF → megatron llm TP 2 × PP 2|--saver megatron --dialect llm --target_tensor_parallel_size 2
        --target_pipeline_parallel_size 2"
    "HF → HF|--saver hf"
    "HF → Meta, 8 parts|--saver llama --layout original --model_parallel_size 8"
    "HF → mcore TP 1, f32|--saver mcore --ckpt_format torch --dtype f32"
    "HF → mcore TP 1, f16|--saver mcore --ckpt_format torch --dtype f16"
    "mcore TP 8 → HF|--saver hf"
    "mcore TP 8 → TP 4 × PP 2|--saver mcore --target_tensor_parallel_size 4 --target_pipeline_parallel_size 2"
    "Meta, 8 parts → HF|--saver hf"
    "torch_dist, 32 files → HF|--saver hf"
    "megatron llm TP 2 × PP 2 → lm TP 4|--saver megatron --dialect lm --target_tensor_parallel_size 4
        --target_pipeline_parallel_size 1"
    "GPT-2 → mcore TP 2 × PP 2|--saver mcore --target_tensor_parallel_size 2 --target_pipeline_parallel_size 2"
    "GPT-2, mcore TP 1 → HF|--saver hf"
)

convert() {  # FROM TO OPTION…: says nothing unless it fails
    "$crossdock" convert --quiet --load_dir "$1" --save_dir "$2" "${@:3}" 2> messages || { cat messages >&2; exit 1; }
}

# Makes `source`, of about so many gigabytes; never more than two of its size are there.
make_source() {  # NAME GIGABYTES
    local model options
    read -r -d '' model options <<< "${sources[$1]}" || true
    rm -rf source
    if [[ -z $options ]]; then
        "$make_model" "$model" "$2" source
    else
        "$make_model" "$model" "$2" made
        # shellcheck disable=SC2086
        convert made source $options
        rm -rf made
    fi
}
