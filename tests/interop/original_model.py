# SPDX-License-Identifier: Apache-2.0
"""A plain reading of Meta's and mistralai's original files, after llama/model.py (meta-llama/llama),
models/llama3/model.py (meta-llama/llama-models) and transformer.py (mistralai/mistral-inference)."""
import json
import math

import torch
import torch.nn.functional as F
from safetensors.torch import load_file

# How Meta's model code cuts: ColumnParallelLinear its rows, RowParallelLinear its columns; norms are whole everywhere.
ROWS = ("wq", "wk", "wv", "w1", "w3", "output")
COLUMNS = ("wo", "w2")


def read(directory):
    """params.json and the whole tensors of all parts."""
    params = json.loads((directory / "params.json").read_text())
    single = directory / "consolidated.safetensors"
    if single.exists():
        return params, load_file(single)
    parts = [torch.load(file, weights_only=True) for file in sorted(directory.glob("consolidated.*.pth"))]
    return params, {name: join(name, [part[name] for part in parts], params) for name in parts[0]}


def join(name, parts, params):
    kind = name.split(".")[-2]
    if kind == "tok_embeddings":  # ParallelEmbedding cut columns until Llama 3's VocabParallelEmbedding cut rows
        return torch.cat(parts, 1 if parts[0].shape[1] < params["dim"] else 0)
    if kind in ROWS or kind in COLUMNS:
        return torch.cat(parts, 0 if kind in ROWS else 1)
    assert all(torch.equal(part, parts[0]) for part in parts), name
    return parts[0]


def frequencies(params, head_dim):
    inverse = 1.0 / params.get("rope_theta", 10000.0) ** (torch.arange(0, head_dim, 2).float() / head_dim)
    if not params.get("use_scaled_rope"):
        return inverse
    scaled = []
    for frequency in inverse.tolist():  # apply_scaling(), with its constants
        wavelength = 2 * math.pi / frequency
        if wavelength < 8192 / 4:
            scaled.append(frequency)
        elif wavelength > 8192 / 1:
            scaled.append(frequency / 8)
        else:
            smooth = (8192 / wavelength - 1) / (4 - 1)
            scaled.append((1 - smooth) * frequency / 8 + smooth * frequency)
    return torch.tensor(scaled)


def rotate(x, angles):
    """Neighbouring elements are the two parts of a complex number."""
    pairs = torch.view_as_complex(x.float().reshape(*x.shape[:-1], -1, 2))
    turned = pairs * torch.polar(torch.ones_like(angles), angles)[None, :, None, :]
    return torch.view_as_real(turned).flatten(-2)


def logits(params, tensors, ids):
    heads = params["n_heads"]
    kv_heads = params.get("n_kv_heads", heads)
    head_dim = params.get("head_dim", params["dim"] // heads)
    length = ids.shape[1]
    positions = torch.arange(length)
    angles = torch.outer(positions.float(), frequencies(params, head_dim))
    hidden_from = positions[None, :] > positions[:, None]
    if params.get("sliding_window"):
        hidden_from |= positions[:, None] - positions[None, :] >= params["sliding_window"]
    mask = torch.zeros(length, length).masked_fill(hidden_from, -torch.inf)

    def norm(x, name):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + params["norm_eps"]) * tensors[name + ".weight"]

    x = tensors["tok_embeddings.weight"][ids]
    for layer in range(params["n_layers"]):
        def linear(y, name, layer=layer):
            return F.linear(y, tensors[f"layers.{layer}.{name}.weight"])

        y = norm(x, f"layers.{layer}.attention_norm")
        q = rotate(linear(y, "attention.wq").unflatten(-1, (heads, head_dim)), angles)
        k = rotate(linear(y, "attention.wk").unflatten(-1, (kv_heads, head_dim)), angles)
        v = linear(y, "attention.wv").unflatten(-1, (kv_heads, head_dim))
        k, v = (t.repeat_interleave(heads // kv_heads, 2) for t in (k, v))
        scores = torch.einsum("bqhd,bkhd->bhqk", q, k) / math.sqrt(head_dim) + mask
        x = x + linear(torch.einsum("bhqk,bkhd->bqhd", scores.softmax(-1), v).flatten(-2), "attention.wo")
        y = norm(x, f"layers.{layer}.ffn_norm")
        x = x + linear(F.silu(linear(y, "feed_forward.w1")) * linear(y, "feed_forward.w3"), "feed_forward.w2")
    return F.linear(norm(x, "norm"), tensors["output.weight"])


def meta_ffn(params):
    """The MLP's size as Meta's model code computes it."""
    hidden = int(2 * (4 * params["dim"]) / 3)
    if params.get("ffn_dim_multiplier") is not None:
        hidden = int(params["ffn_dim_multiplier"] * hidden)
    return params["multiple_of"] * -(-hidden // params["multiple_of"])
