#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Compares Crossdock with what else moves a checkpoint from one folder to another, as a Markdown table:
#
#   tests/benchmark/peers.sh [--force] [GB] [ROUNDS]
#
#   GB        size of a synthetic Llama, 1 unless given, on tmpfs
#   ROUNDS    how often each is run, in turns, 3 unless given; the table has medians
#   --force   measures although others use the processors, too
#
# Fetches PyTorch, Transformers, safetensors and mergekit from PyPI into build/peers, and llama.cpp's converter, out of
# the sources of llama-cpp-python, which hold a copy. What cannot be fetched is left out. None of them flushes its files
# to disk, Crossdock does. CROSSDOCK_CLI names the program (build/release/crossdock unless given).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
source tests/benchmark/directions.sh
source tests/benchmark/measuring.sh

if [[ ${1-} == --force ]]; then shift; else want_quiet_machine; fi
size=${1:-1}
rounds=${2:-3}
build_measuring_tools
export crossdock

peers=$PWD/build/peers
mkdir -p "$peers"
fetch() {
    local pip=("$peers/venv/bin/pip" --quiet)
    [[ ! -e $peers/fetched ]] || return 0
    tools/install-dependencies.sh python3-venv
    [[ -x ${pip[0]} ]] || /usr/bin/python3 -m venv "$peers/venv"
    "${pip[@]}" install --constraint tests/interop/requirements.txt torch transformers safetensors gguf sentencepiece
    "${pip[@]}" install --constraint tests/interop/requirements.txt mergekit || echo "mergekit is left out" >&2
    [[ -e $peers/llama.cpp ]] || fetch_llama_cpp || echo "llama.cpp's converter is left out" >&2
    touch "$peers/fetched"
}
fetch_llama_cpp() {
    "${pip[@]}" download --no-deps --no-binary llama-cpp-python --dest "$peers" llama-cpp-python &&
        mkdir -p "$peers/unpacked" &&
        tar -xzf "$peers"/llama_cpp_python-*.tar.gz -C "$peers/unpacked" --strip-components=3 --wildcards \
            '*/vendor/llama.cpp/*.py' && mv "$peers/unpacked" "$peers/llama.cpp"
}
fetch
export PATH=$peers/venv/bin:$PATH HF_HUB_OFFLINE=1 PYTHONPATH=$peers/llama.cpp/gguf-py

work=$(mktemp -d /dev/shm/crossdock-peers.XXXXXX)
trap 'rm -rf "$work"' EXIT
cd "$work"
"$make_model" llama "$size" made
convert made source --saver hf --max_shard_size 200MB
rm -rf made

# llama.cpp wants a tokenizer: pieces of no meaning, as many as the model has words.
python - << 'EOF' || true
import json
from sentencepiece import sentencepiece_model_pb2 as sentencepiece
model = sentencepiece.ModelProto()
model.trainer_spec.byte_fallback = True
kinds = {0: ("<unk>", 2), 1: ("<s>", 3), 2: ("</s>", 3)} | {3 + i: (f"<0x{i:02X}>", 6) for i in range(256)}
for number in range(json.load(open("source/config.json"))["vocab_size"]):
    piece, kind = kinds.get(number, (f"piece{number}", 1))
    model.pieces.add(piece=piece, score=-number, type=kind)
open("source/tokenizer.model", "wb").write(model.SerializeToString())
EOF

cat > by_safetensors.py << 'EOF'
import os
from pathlib import Path
from safetensors.torch import load_file, save_file
os.mkdir("target")
for file in sorted(Path("source").glob("*.safetensors")):
    save_file(load_file(file), f"target/{file.name}")
EOF
cat > by_transformers.py << 'EOF'
import torch
from transformers import AutoModelForCausalLM
model = AutoModelForCausalLM.from_pretrained("source", dtype=torch.bfloat16)
model.save_pretrained("target", max_shard_size="200MB")
EOF
cat > passthrough.yml << EOF
merge_method: passthrough
models: [{model: $work/source}]
dtype: bfloat16
EOF
to_hf='exec "$crossdock" convert --quiet --load_dir source --save_dir target --saver hf --max_shard_size 200MB'
to_mcore='exec "$crossdock" convert --quiet --load_dir source --save_dir target --saver mcore
    --target_tensor_parallel_size 2 --target_pipeline_parallel_size 2'
# NAME=COMMAND: makes `target` of `source`.
contestants=(
    '`cp -r`=exec cp -r source target'
    "**Crossdock**, HF → HF=$to_hf"
    "**Crossdock**, HF → mcore TP 2 × PP 2=${to_mcore//$'\n'/ }"
    'safetensors and PyTorch, `load_file`, `save_file`=exec python by_safetensors.py'
    'Transformers, `from_pretrained`, `save_pretrained`=exec python by_transformers.py'
    'mergekit, passthrough=exec mergekit-yaml passthrough.yml target --out-shard-size 200M --no-copy-tokenizer'
    "llama.cpp, \`convert_hf_to_gguf.py\`, bf16=exec python '$peers/llama.cpp/convert_hf_to_gguf.py' source --outtype bf16 --outfile target"
)

for ((round = 0; round < rounds; ++round)); do
    for i in "${!contestants[@]}"; do
        [[ -n ${contestants[i]-} ]] || continue
        rm -rf target
        find source -type f -exec cat {} + > /dev/null
        if ! "$measure" "$size" bash -c "${contestants[i]#*=}" 2> messages > line; then
            echo "${contestants[i]%%=*} failed and is left out: $(tail -n 1 messages)" >&2
            unset "contestants[i]"
            continue
        fi
        tail -n 1 line >> "times.$i"
    done
done

echo "A Llama of $size GB in bf16, $(nproc) processors, tmpfs, load average $load, medians of $rounds runs;"
echo "versions: $(pip list 2> /dev/null | awk '/^(torch|transformers|safetensors|mergekit|gguf) / { printf "%s%s %s", sep, $1, $2; sep = ", " }')."
echo
echo "| what | seconds | ÷ \`cp -r\` | CPU seconds | peak MiB |"
echo "|---|---|---|---|---|"
for i in "${!contestants[@]}"; do
    echo "$(median "times.$i" 1) $(median times.0 1) $(median "times.$i" 2) $(column "times.$i" 3 | tail -n 1)" |
        awk -v name="${contestants[i]%%=*}" '{ printf "| %s | %.2f | %.2f | %.2f | %.0f |\n", name, $1, $1 / $2, $3, $4 }'
done
