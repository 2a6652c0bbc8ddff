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
refuse_load() {
    local load
    load=$(cut -d' ' -f1 /proc/loadavg)
    awk "BEGIN { exit !($load > 0.5) }" || return 0
    echo "The load average is $load: wait until it is 0.5, or measure all the same with --force." >&2
    exit 1
}
if [[ ${1-} == --force ]]; then shift; else refuse_load; fi
size=${1:-1}
rounds=${2:-3}
crossdock=$(realpath "${CROSSDOCK_CLI:-build/release/crossdock}")
export crossdock

tools=$PWD/build/benchmark
peers=$PWD/build/peers
mkdir -p "$tools" "$peers"
for tool in make_model measure; do
    "${CXX:-c++}" -std=c++20 -O2 -Iinclude "tests/benchmark/$tool.cpp" -o "$tools/$tool" -ldeflate -pthread
done
make_model=$tools/make_model

fetch() {
    tools/install-dependencies.sh python3-venv
    [[ -x $peers/venv/bin/python ]] || /usr/bin/python3 -m venv "$peers/venv"
    "$peers/venv/bin/pip" install --quiet --constraint tests/interop/requirements.txt torch transformers safetensors
    "$peers/venv/bin/pip" install --quiet mergekit || echo "mergekit cannot be installed: left out" >&2
    "$peers/venv/bin/pip" install --quiet gguf sentencepiece protobuf || true
    [[ -e $peers/llama.cpp ]] || {
        "$peers/venv/bin/pip" download --quiet --no-deps --no-binary :all: --dest "$peers" llama-cpp-python &&
            mkdir "$peers/llama.cpp" &&
            tar -xzf "$peers"/llama_cpp_python-*.tar.gz -C "$peers/llama.cpp" --strip-components=3 --wildcards \
                '*/vendor/llama.cpp/convert_hf_to_gguf.py' '*/vendor/llama.cpp/gguf-py' '*/vendor/llama.cpp/conversion'
    } || echo "llama.cpp's converter cannot be fetched: left out" >&2
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
cat > passthrough.yml << 'EOF'
merge_method: passthrough
models: [{model: source}]
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

column() { cut -d' ' -f"$2" "times.$1" | sort -g; }
median() { column "$@" | sed -n "$(((rounds + 1) / 2))p"; }
for ((round = 0; round < rounds; ++round)); do
    for i in "${!contestants[@]}"; do
        [[ -n ${contestants[i]-} ]] || continue
        rm -rf target
        find source -type f -exec cat {} + > /dev/null
        if ! "$tools/measure" "$size" bash -c "${contestants[i]#*=}" 2> messages > line; then
            echo "${contestants[i]%%=*} failed and is left out: $(tail -n 1 messages)" >&2
            unset "contestants[i]"
            continue
        fi
        tail -n 1 line >> "times.$i"
    done
done

echo "A Llama of $size GB in bf16, $(nproc) processors, tmpfs, load average $(cut -d' ' -f1 /proc/loadavg), medians of $rounds runs;"
echo "versions: $(pip list 2> /dev/null | awk '/^(torch|transformers|safetensors|mergekit|gguf) / { printf "%s%s %s", sep, $1, $2; sep = ", " }')."
echo
echo "| what | seconds | ÷ \`cp -r\` | CPU seconds | peak MiB |"
echo "|---|---|---|---|---|"
for i in "${!contestants[@]}"; do
    echo "$(median "$i" 1) $(median 0 1) $(median "$i" 2) $(column "$i" 3 | tail -n 1)" |
        awk -v name="${contestants[i]%%=*}" '{ printf "| %s | %.2f | %.2f | %.2f | %.0f |\n", name, $1, $1 / $2, $3, $4 }'
done
