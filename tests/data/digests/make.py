#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Digests of Hugging Face folders as docs/proof.md defines them, with nothing of Crossdock's: takes safetensors' own
reader and Python's xxhash.

    make.py        writes NAME.txt for each NAME below
"""
import json
from pathlib import Path

import torch
import xxhash
from safetensors import safe_open

HERE = Path(__file__).parent
TYPES = {torch.float32: "f32", torch.bfloat16: "bf16", torch.float16: "f16"}


def digest(data):
    blocks = [data[i:i + 65536] for i in range(0, len(data), 65536)]
    return xxhash.xxh3_128_hexdigest(b"".join(xxhash.xxh3_128_digest(block) for block in blocks))


def line(name, tensor):
    data = tensor.contiguous().view(torch.uint8).numpy().tobytes()
    return f"{digest(data)}  {TYPES[tensor.dtype]} [{', '.join(map(str, tensor.shape))}]  {name}\n"


def read(folder):
    with safe_open(folder / "model.safetensors", "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}


def grouped(q, k, v, heads, groups):
    """Per query group: its query heads, its key head, its value head."""
    d = q.shape[0] // heads
    q, k, v = (part.reshape(groups, -1, *part.shape[1:]) for part in (q, k, v))
    assert k.shape[1] == d
    return torch.cat((q, k, v), 1).flatten(0, 1)


def llama(tensors, config):
    yield "embeddings / word embeddings", tensors["model.embed_tokens.weight"]
    for i in range(config["num_hidden_layers"]):
        layer, at = f"transformer layer {i}", f"model.layers.{i}."
        yield f"{layer} / input norm weight", tensors[at + "input_layernorm.weight"]
        yield f"{layer} / post norm weight", tensors[at + "post_attention_layernorm.weight"]
        yield f"{layer} / qkv weight", grouped(*(tensors[f"{at}self_attn.{x}_proj.weight"] for x in "qkv"),
                                               config["num_attention_heads"], config["num_key_value_heads"])
        yield f"{layer} / dense weight", tensors[at + "self_attn.o_proj.weight"]
        yield f"{layer} / mlp l0 weight W", tensors[at + "mlp.gate_proj.weight"]
        yield f"{layer} / mlp l0 weight V", tensors[at + "mlp.up_proj.weight"]
        yield f"{layer} / mlp l1 weight", tensors[at + "mlp.down_proj.weight"]
    yield "final norm / weight", tensors["model.norm.weight"]
    if not config.get("tie_word_embeddings"):
        yield "output layer / weight", tensors["lm_head.weight"]


for name, family in {"llama2-gqa": llama, "llama3.2-tied": llama}.items():
    folder = HERE.parent / "hf" / name
    config = json.loads((folder / "config.json").read_text())
    lines = "".join(line(*each) for each in family(read(folder), config))
    (HERE / f"{name}.txt").write_text(f"{lines}{xxhash.xxh3_128_hexdigest(lines.encode())}  model\n")
