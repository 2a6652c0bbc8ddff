#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs the commands of docs/recipes.md, from top to bottom, on small checkpoints that stand for those of the page.
#
#     tests/docs/commands.sh PROGRAM
set -euo pipefail
program=$(realpath "$1")
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/bin"
ln -s "$program" "$work/bin/crossdock"
stands_for() { ln -s "$PWD/tests/data/$1" "$work/$2"; }
stands_for hf/llama2-gqa Llama-3.1-8B
stands_for hf/mixtral Mixtral-8x7B
stands_for megatron-dist/llama2-gqa-mcore0.16-tp2pp2vpp2 checkpoints
stands_for meta/llama2-gqa-mp2 Llama-2-7b

commands=$(awk '/^```/ { inside = $0 == "```sh"; next } inside' docs/recipes.md)
(($(grep -c '^crossdock ' <<< "$commands") >= 10)) || { echo "docs/recipes.md has hardly any commands"; exit 1; }
cd "$work"
PATH=$work/bin:$PATH bash -euxo pipefail -c "$commands"
