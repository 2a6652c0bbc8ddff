#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes a torch_dist checkpoint of Llama 3.1 405B with its optimizer: the real index, and files that are holes.

usage: make_torch_dist.py DIRECTORY [TP [PP [DP]]]      (8, 14 and 4 unless given)

It needs PyTorch. Nothing but what inspect reads is there: the weights cannot be converted.
"""
import argparse
import pickle
import sys
from collections import defaultdict
from pathlib import Path

import torch
from torch.distributed.checkpoint.filesystem import _StorageInfo
from torch.distributed.checkpoint.metadata import (BytesStorageMetadata, ChunkStorageMetadata, Metadata, MetadataIndex,
                                                   TensorProperties, TensorStorageMetadata)

LAYERS, HIDDEN, FFN, HEADS, GROUPS, VOCABULARY = 126, 16384, 53248, 128, 8, 128256
QKV = (HEADS + 2 * GROUPS) * (HIDDEN // HEADS)

root = Path(sys.argv[1])
tp, pp, dp = (list(map(int, sys.argv[2:])) + [8, 14, 4][len(sys.argv) - 2:])[:3]
directory = root / "iter_0000001"
directory.mkdir(parents=True)

# name → shape, and the axes that are cut into how many parts
layer = {"self_attention.linear_qkv.layer_norm_weight": ([HIDDEN], {}),
         "self_attention.linear_qkv.weight": ([QKV, HIDDEN], {0: tp}),
         "self_attention.linear_proj.weight": ([HIDDEN, HIDDEN], {1: tp}),
         "mlp.linear_fc1.layer_norm_weight": ([HIDDEN], {}),
         "mlp.linear_fc1.weight": ([2 * FFN, HIDDEN], {0: 2 * tp}),
         "mlp.linear_fc2.weight": ([HIDDEN, FFN], {1: tp})}
tensors = {f"decoder.layers.{name}": ([LAYERS, *shape], {0: LAYERS} | {axis + 1: n for axis, n in cuts.items()})
           for name, (shape, cuts) in layer.items()}
tensors |= {"embedding.word_embeddings.weight": ([VOCABULARY, HIDDEN], {0: tp}),
            "decoder.final_layernorm.weight": ([HIDDEN], {}),
            "output_layer.weight": ([VOCABULARY, HIDDEN], {0: tp})}

files = [f"__{rank}_{thread}.distcp" for rank in range(tp * pp * dp) for thread in range(2)]
ends = defaultdict(int)
items, places = {}, {}


def place(index, length):
    file = files[len(places) % len(files)]
    places[index] = _StorageInfo(file, ends[file], length)
    ends[file] += length


def add(name, shape, cuts, dtype):
    sizes = [extent // cuts.get(axis, 1) for axis, extent in enumerate(shape)]
    chunks = [[]]
    for axis, size in enumerate(sizes):
        chunks = [offsets + [size * i] for offsets in chunks for i in range(cuts.get(axis, 1))]
    items[name] = TensorStorageMetadata(TensorProperties(dtype=dtype), torch.Size(shape),
                                        [ChunkStorageMetadata(torch.Size(at), torch.Size(sizes)) for at in chunks])
    for number, offsets in enumerate(chunks):
        place(MetadataIndex(name, torch.Size(offsets), number), torch.Size(sizes).numel() * dtype.itemsize + 1200)


for name, (shape, cuts) in tensors.items():
    add(name, shape, cuts, torch.bfloat16)
for state in ("exp_avg", "exp_avg_sq", "fp32_param"):
    for name, (shape, cuts) in tensors.items():
        add(f"optimizer.state.{state}.{name}", shape, cuts, torch.float32)
for linear in ("self_attention.linear_qkv", "self_attention.linear_proj", "mlp.linear_fc1", "mlp.linear_fc2"):
    for number in range(LAYERS):
        name = f"decoder.layers.{linear}._extra_state/shard_{number}_{LAYERS}"
        items[name] = BytesStorageMetadata()
        place(MetadataIndex(name), 1261)

for file, end in ends.items():
    with open(directory / file, "wb") as holes:
        holes.truncate(end)
args = dict(num_layers=LAYERS, hidden_size=HIDDEN, ffn_hidden_size=FFN, num_attention_heads=HEADS, kv_channels=128,
            group_query_attention=True, num_query_groups=GROUPS, max_position_embeddings=131072, seq_length=8192,
            padded_vocab_size=VOCABULARY, make_vocab_size_divisible_by=128, position_embedding_type="rope",
            rotary_base=500000, rotary_percent=1.0, swiglu=True, normalization="RMSNorm", norm_epsilon=1e-5,
            untie_embeddings_and_output_weights=True, add_bias_linear=False, bf16=True, params_dtype=torch.bfloat16,
            tensor_model_parallel_size=tp, pipeline_model_parallel_size=pp)
torch.save({"args": argparse.Namespace(**args), "checkpoint_version": 3.0, "iteration": 1}, directory / "common.pt")
with open(directory / ".metadata", "wb") as index:
    pickle.dump(Metadata(items, storage_data=places), index)
(directory / "metadata.json").write_text('{"sharded_backend": "torch_dist", "sharded_backend_version": 1, '
                                         '"common_backend": "torch", "common_backend_version": 1}')
(root / "latest_checkpointed_iteration.txt").write_text("1")
