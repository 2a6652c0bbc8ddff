#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds Crossdock, takes a small Llama from Hugging Face to Megatron on 2 × 2 ranks and back, and verifies that
# nothing has changed. What it writes lies in build/quickstart.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

tools/install-dependencies.sh
cmake --preset release -DCROSSDOCK_BUILD_TESTS=OFF -DCROSSDOCK_BUILD_EXAMPLES=OFF
cmake --build --preset release
PATH=$PWD/build/release:$PATH

original=examples/data/llama-tiny
output=build/quickstart
rm -rf "$output"
mkdir -p "$output"

set -x
crossdock convert --model_type llama2 --loader llama --saver megatron \
    --load_dir "$original" --save_dir "$output/megatron" \
    --target_tensor_parallel_size 2 --target_pipeline_parallel_size 2
crossdock convert --model_type llama2 --loader megatron --saver llama \
    --load_dir "$output/megatron" --save_dir "$output/huggingface"
crossdock verify "$original" "$output/huggingface"
