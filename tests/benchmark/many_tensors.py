#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Memory and time where a checkpoint has very many tensors, in each direction.

    many_tensors.py PROGRAM [TENSORS] [DIRECTION…]
    many_tensors.py PROGRAM deepseek|deepseek_fp8 [DIRECTION…]

Makes a Llama of some 200-byte tensors, or a DeepSeek-V3 of 2 GB in 90,000 tensors, under $TMPDIR, and converts it. A row gives the peak of resident memory in MiB, the CPU time in microseconds a tensor of the
Hugging Face model and in seconds, the wall time in seconds, and the SHA-256 of all that was written; the row "cp" is
`cp -r` of the source. Twice as many tensors should take twice as long: compare two runs. Needs nothing but Python.
"""

import hashlib
import json
import math
import os
import struct
import sys
import tempfile
import time

SHARED = {"torch_dtype": "bfloat16", "max_position_embeddings": 64, "rms_norm_eps": 1e-05, "rope_theta": 10000.0,
          "hidden_act": "silu", "tie_word_embeddings": False}
WIDTHS = {"BF16": 2, "F32": 4, "F8_E4M3": 1}


class Tiny:
    """A Llama of so many tensors."""
    PER_LAYER = 9
    HIDDEN, FFN, WORDS = 16, 16, 32

    def __init__(self, tensors):
        self.layers = max(1, (tensors - 3) // self.PER_LAYER)
        self.config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": self.HIDDEN,
                       "intermediate_size": self.FFN, "num_attention_heads": 2, "num_key_value_heads": 2,
                       "num_hidden_layers": self.layers, "vocab_size": self.WORDS}

    def layer(self, name):
        yield name + "input_layernorm.weight", [self.HIDDEN]
        for projection in "qkvo":
            yield f"{name}self_attn.{projection}_proj.weight", [self.HIDDEN, self.HIDDEN]
        yield name + "post_attention_layernorm.weight", [self.HIDDEN]
        yield name + "mlp.gate_proj.weight", [self.FFN, self.HIDDEN]
        yield name + "mlp.up_proj.weight", [self.FFN, self.HIDDEN]
        yield name + "mlp.down_proj.weight", [self.HIDDEN, self.FFN]


class DeepSeek:
    """A DeepSeek-V3 of 2 GB: of 120 layers in bfloat16, or of 61 with a tensor of scales for each matrix of 8 bits."""
    HIDDEN, WORDS, EXPERTS, HEADS, DENSE = 512, 1024, 256, 4, 3
    Q_RANK, KV_RANK, NOPE, ROPE, VALUE = 64, 32, 16, 8, 16

    def __init__(self, scales):
        self.scales = scales
        self.layers = 61 if scales else 120
        self.ffn = 88 if scales else 22
        self.config = {"architectures": ["DeepseekV3ForCausalLM"], "model_type": "deepseek_v3",
                       "hidden_size": self.HIDDEN, "intermediate_size": 4 * self.ffn, "moe_intermediate_size": self.ffn,
                       "num_attention_heads": self.HEADS, "num_key_value_heads": self.HEADS, "attention_bias": False,
                       "q_lora_rank": self.Q_RANK, "kv_lora_rank": self.KV_RANK, "qk_nope_head_dim": self.NOPE,
                       "qk_rope_head_dim": self.ROPE, "v_head_dim": self.VALUE, "first_k_dense_replace": self.DENSE,
                       "n_routed_experts": self.EXPERTS, "n_shared_experts": 1, "num_experts_per_tok": 8, "n_group": 8,
                       "topk_group": 4, "norm_topk_prob": True, "routed_scaling_factor": 2.5, "moe_layer_freq": 1,
                       "scoring_func": "sigmoid", "topk_method": "noaux_tc", "num_nextn_predict_layers": 0,
                       "num_hidden_layers": self.layers, "vocab_size": self.WORDS}
        if scales:
            self.config["quantization_config"] = {"activation_scheme": "dynamic", "fmt": "e4m3", "quant_method": "fp8",
                                                  "weight_block_size": [128, 128]}

    def matrix(self, name, rows, columns):
        if self.scales:
            yield name + ".weight", [rows, columns], "F8_E4M3"
            yield name + ".weight_scale_inv", [-(-rows // 128), -(-columns // 128)], "F32"
        else:
            yield name + ".weight", [rows, columns]

    def mlp(self, name, ffn):
        yield from self.matrix(name + "gate_proj", ffn, self.HIDDEN)
        yield from self.matrix(name + "up_proj", ffn, self.HIDDEN)
        yield from self.matrix(name + "down_proj", self.HIDDEN, ffn)

    def layer(self, name):
        yield name + "input_layernorm.weight", [self.HIDDEN]
        attention = name + "self_attn."
        yield from self.matrix(attention + "q_a_proj", self.Q_RANK, self.HIDDEN)
        yield attention + "q_a_layernorm.weight", [self.Q_RANK]
        yield from self.matrix(attention + "q_b_proj", self.HEADS * (self.NOPE + self.ROPE), self.Q_RANK)
        yield from self.matrix(attention + "kv_a_proj_with_mqa", self.KV_RANK + self.ROPE, self.HIDDEN)
        yield attention + "kv_a_layernorm.weight", [self.KV_RANK]
        yield from self.matrix(attention + "kv_b_proj", self.HEADS * (self.NOPE + self.VALUE), self.KV_RANK)
        yield from self.matrix(attention + "o_proj", self.HIDDEN, self.HEADS * self.VALUE)
        yield name + "post_attention_layernorm.weight", [self.HIDDEN]
        if int(name.split(".")[2]) < self.DENSE:
            yield from self.mlp(name + "mlp.", 4 * self.ffn)
            return
        yield name + "mlp.gate.weight", [self.EXPERTS, self.HIDDEN]
        yield name + "mlp.gate.e_score_correction_bias", [self.EXPERTS], "F32"
        for expert in range(self.EXPERTS):
            yield from self.mlp(f"{name}mlp.experts.{expert}.", self.ffn)
        yield from self.mlp(name + "mlp.shared_experts.", self.ffn)


def tensors_of(model):
    yield "model.embed_tokens.weight", [model.WORDS, model.HIDDEN]
    for number in range(model.layers):
        yield from model.layer(f"model.layers.{number}.")
    yield "model.norm.weight", [model.HIDDEN]
    yield "lm_head.weight", [model.WORDS, model.HIDDEN]


def make_checkpoint(directory, model):
    """One model.safetensors."""
    os.makedirs(directory)
    with open(directory + "/config.json", "w") as file:
        json.dump({**SHARED, **model.config}, file)
    entries, end = [], 0
    for name, shape, *dtype in tensors_of(model):
        dtype = dtype[0] if dtype else "BF16"
        begin, end = end, end + WIDTHS[dtype] * math.prod(shape)
        entries.append(f'"{name}":{{"dtype":"{dtype}","shape":{json.dumps(shape)},"data_offsets":[{begin},{end}]}}')
    header = ('{"__metadata__":{"format":"pt"},' + ",".join(entries) + "}").encode()
    header += b" " * (-len(header) % 8)
    with open(directory + "/model.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        state = hashlib.sha256(b"many")
        for left in range(end, 0, -(1 << 16)):
            state.update(b"x")
            file.write((state.digest() * 2048)[:min(left, 1 << 16)])


def apart(work, *arguments):
    """Calls work(*arguments) in a process of its own: what a program begins with is its parent's memory."""
    if (child := os.fork()) == 0:
        try:
            work(*arguments)
            os._exit(0)
        finally:
            os._exit(1)
    if os.waitpid(child, 0)[1] != 0:
        sys.exit(1)


def run(program, arguments):
    """Returns peak MiB, CPU seconds and wall seconds."""
    null = os.open(os.devnull, os.O_WRONLY)
    begin = time.monotonic()
    child = os.posix_spawnp(program, [program, *arguments], os.environ,
                            file_actions=[(os.POSIX_SPAWN_DUP2, null, 1)])
    os.close(null)
    _, status, usage = os.wait4(child, 0)
    if status != 0:
        sys.exit(f"{program} {' '.join(arguments)}: failed")
    return usage.ru_maxrss / 1024, usage.ru_utime + usage.ru_stime, time.monotonic() - begin


def digest(directory):
    """Of the names and bytes of all files, but for what names the directory itself."""
    total = hashlib.sha256()
    for folder, folders, files in os.walk(directory):
        folders.sort()
        for name in sorted(files):
            path = os.path.join(folder, name)
            total.update(os.path.relpath(path, directory).encode())
            with open(path, "rb") as file:
                while piece := file.read(1 << 20):
                    total.update(piece)
    return total.hexdigest()[:12]


def directions(mcore):
    """Name, what it starts from, and the options."""
    size, torch = "--target_tensor_parallel_size", ("--saver", "mcore", "--ckpt_format", "torch")
    yield "hf", "source", ("--saver", "hf")
    for ranks in mcore:
        yield f"mcore{ranks}", "source", (*torch, size, ranks[0],
                                          *(("--target_expert_parallel_size", ranks[2]) if len(ranks) > 1 else ()))
    yield "dist", "source", ("--saver", "mcore", "--ckpt_format", "torch_dist")
    yield f"mcore{mcore[-1]}-hf", f"mcore{mcore[-1]}", ("--saver", "hf")
    yield "mcore1-hf", "mcore1", ("--saver", "hf")
    yield "dist-hf", "dist", ("--saver", "hf")


def main():
    program, wanted = sys.argv[1], sys.argv[3:]
    what = sys.argv[2] if len(sys.argv) > 2 else "100000"
    experts = what in ("deepseek", "deepseek_fp8")
    model = DeepSeek(what == "deepseek_fp8") if experts else Tiny(int(what))
    with tempfile.TemporaryDirectory() as work:
        apart(make_checkpoint, work + "/source", model)
        count = sum(1 for _ in tensors_of(model))
        print(f"{count} tensors")

        def measure(name, *arguments):
            target = f"{work}/{name}"
            if arguments[0] != "inspect" and arguments[0] != "verify":
                arguments += (("--save_dir", target) if arguments[0] == "convert" else (target,))
            mebibytes, seconds, wall = run("cp" if name == "cp" else program, list(arguments))
            written = digest(target) if os.path.isdir(target) else ""
            print(f"{name:12} {mebibytes:6.0f} MiB {seconds / count * 1e6:6.1f} us a tensor "
                  f"{seconds:6.2f} s CPU {wall:6.2f} s  {written}", flush=True)

        rows = list(directions(("1", "2e4") if experts else ("1", "2")))
        needed = {source for name, source, _ in rows if name in wanted} | ({"mcore1"} if "verify" in wanted else set())
        measure("cp", "-r", work + "/source")
        if not wanted or "inspect" in wanted:
            measure("inspect", "inspect", work + "/source")
        for name, source, options in rows:
            if not wanted or name in wanted or name in needed:
                measure(name, "convert", "--quiet", "--load_dir", f"{work}/{source}", *options)
        if not wanted or "verify" in wanted:
            measure("verify", "verify", work + "/source", work + "/mcore1")


if __name__ == "__main__":
    main()
