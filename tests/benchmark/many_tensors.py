#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Memory and time where a checkpoint has very many tensors, in each direction.

    many_tensors.py PROGRAM [TENSORS] [DIRECTION…]
    many_tensors.py PROGRAM experts [DIRECTION…]

Makes a Llama of some 200-byte tensors, or a Qwen3-MoE of 2 GB in 90,000 tensors (115 layers of 256 experts), under
$TMPDIR, and converts it. A row gives the peak of resident memory in MiB, the CPU time in microseconds a tensor of the
Hugging Face model and in seconds, the wall time in seconds, and the SHA-256 of all that was written; the row "cp" is
`cp -r` of the source. Twice as many tensors should take twice as long: compare two runs. Needs nothing but Python.
"""

import hashlib
import json
import os
import struct
import sys
import tempfile
import time

SHARED = {"torch_dtype": "bfloat16", "max_position_embeddings": 64, "rms_norm_eps": 1e-05, "rope_theta": 10000.0,
          "hidden_act": "silu", "tie_word_embeddings": False}


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


class Experts:
    """A Qwen3-MoE of 2 GB."""
    HIDDEN, FFN, WORDS, EXPERTS, HEADS, GROUPS, HEAD = 256, 44, 1024, 256, 4, 2, 64

    def __init__(self):
        self.layers = 115
        self.config = {"architectures": ["Qwen3MoeForCausalLM"], "model_type": "qwen3_moe",
                       "hidden_size": self.HIDDEN, "intermediate_size": 2 * self.HIDDEN, "moe_intermediate_size": self.FFN,
                       "num_attention_heads": self.HEADS, "num_key_value_heads": self.GROUPS, "head_dim": self.HEAD,
                       "num_experts": self.EXPERTS, "num_experts_per_tok": 8, "decoder_sparse_step": 1,
                       "norm_topk_prob": True, "mlp_only_layers": [], "router_aux_loss_coef": 0.001,
                       "attention_bias": False, "use_sliding_window": False,
                       "num_hidden_layers": self.layers, "vocab_size": self.WORDS}

    def layer(self, name):
        yield name + "input_layernorm.weight", [self.HIDDEN]
        for projection, heads in (("q", self.HEADS), ("k", self.GROUPS), ("v", self.GROUPS)):
            yield f"{name}self_attn.{projection}_proj.weight", [heads * self.HEAD, self.HIDDEN]
        yield name + "self_attn.o_proj.weight", [self.HIDDEN, self.HEADS * self.HEAD]
        yield name + "self_attn.q_norm.weight", [self.HEAD]
        yield name + "self_attn.k_norm.weight", [self.HEAD]
        yield name + "post_attention_layernorm.weight", [self.HIDDEN]
        yield name + "mlp.gate.weight", [self.EXPERTS, self.HIDDEN]
        for expert in range(self.EXPERTS):
            yield f"{name}mlp.experts.{expert}.gate_proj.weight", [self.FFN, self.HIDDEN]
            yield f"{name}mlp.experts.{expert}.up_proj.weight", [self.FFN, self.HIDDEN]
            yield f"{name}mlp.experts.{expert}.down_proj.weight", [self.HIDDEN, self.FFN]


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
    for name, shape in tensors_of(model):
        begin, end = end, end + 2 * (shape[0] * shape[1] if len(shape) > 1 else shape[0])
        entries.append(f'"{name}":{{"dtype":"BF16","shape":{json.dumps(shape)},"data_offsets":[{begin},{end}]}}')
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
    experts = sys.argv[2:3] == ["experts"]
    model = Experts() if experts else Tiny(int(sys.argv[2]) if len(sys.argv) > 2 else 100_000)
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
