#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Memory and CPU time where a checkpoint has very many tiny tensors, in each direction.

    many_tensors.py PROGRAM [TENSORS] [DIRECTION…]

Makes a Llama of some 200-byte tensors under $TMPDIR and converts it. A row gives the peak of resident memory in MiB, the
CPU time in microseconds a tensor of the Hugging Face model, and the SHA-256 of all that was written. Twice as many
tensors should take twice as long: compare two runs. Needs nothing but Python.
"""

import hashlib
import json
import os
import struct
import sys
import tempfile

HIDDEN, HEADS, FFN, WORDS, PER_LAYER = 16, 2, 16, 32, 9


def layer_tensors(number):
    name = f"model.layers.{number}."
    yield name + "input_layernorm.weight", [HIDDEN]
    for projection in "qkvo":
        yield f"{name}self_attn.{projection}_proj.weight", [HIDDEN, HIDDEN]
    yield name + "post_attention_layernorm.weight", [HIDDEN]
    yield name + "mlp.gate_proj.weight", [FFN, HIDDEN]
    yield name + "mlp.up_proj.weight", [FFN, HIDDEN]
    yield name + "mlp.down_proj.weight", [HIDDEN, FFN]


def make_checkpoint(directory, tensors):
    """One model.safetensors."""
    layers = max(1, (tensors - 3) // PER_LAYER)
    os.makedirs(directory)
    with open(directory + "/config.json", "w") as file:
        json.dump({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "torch_dtype": "bfloat16",
                   "max_position_embeddings": 64, "rms_norm_eps": 1e-05, "rope_theta": 10000.0, "hidden_act": "silu",
                   "tie_word_embeddings": False, "hidden_size": HIDDEN, "intermediate_size": FFN,
                   "num_attention_heads": HEADS, "num_key_value_heads": HEADS, "num_hidden_layers": layers,
                   "vocab_size": WORDS}, file)
    entries, end = [], 0
    shapes = [("model.embed_tokens.weight", [WORDS, HIDDEN])]
    for number in range(layers):
        shapes += layer_tensors(number)
    shapes += [("model.norm.weight", [HIDDEN]), ("lm_head.weight", [WORDS, HIDDEN])]
    for name, shape in shapes:
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
    """Returns peak MiB and CPU seconds."""
    null = os.open(os.devnull, os.O_WRONLY)
    child = os.posix_spawn(program, [program, *arguments], os.environ,
                           file_actions=[(os.POSIX_SPAWN_DUP2, null, 1)])
    os.close(null)
    _, status, usage = os.wait4(child, 0)
    if status != 0:
        sys.exit(f"{program} {' '.join(arguments)}: failed")
    return usage.ru_maxrss / 1024, usage.ru_utime + usage.ru_stime


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


def main():
    program, tensors = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 100_000
    wanted = sys.argv[3:]
    with tempfile.TemporaryDirectory() as work:
        source = work + "/source"
        apart(make_checkpoint, source, tensors)
        count = max(1, (tensors - 3) // PER_LAYER) * PER_LAYER + 3
        print(f"{count} tensors")

        def measure(name, *arguments, needs=None):
            if wanted and name not in wanted and name not in needed:
                return
            if needs and not os.path.isdir(f"{work}/{needs}"):
                sys.exit(f"{name} needs {needs}")
            target = f"{work}/{name}"
            if arguments[0] == "convert":
                arguments += ("--save_dir", target)
            mebibytes, seconds = run(program, list(arguments))
            written = digest(target) if os.path.isdir(target) else ""
            print(f"{name:12} {mebibytes:6.0f} MiB {seconds / count * 1e6:6.1f} us a tensor  {written}", flush=True)

        needed = {"mcore1"} if {"mcore1-hf", "verify"} & set(wanted) else set()
        if "dist-hf" in wanted:
            needed.add("dist")
        most_layers = 10_000  # that a torch_dist checkpoint is read with
        mcore = ("--saver", "mcore", "--ckpt_format", "torch")
        load = ("convert", "--quiet", "--load_dir", source)
        size = "--target_tensor_parallel_size"
        measure("inspect", "inspect", source)
        measure("hf", *load, "--saver", "hf")
        measure("mcore1", *load, *mcore, size, "1")
        measure("mcore2", *load, *mcore, size, "2")
        measure("dist", *load, "--saver", "mcore", "--ckpt_format", "torch_dist")
        back = ("convert", "--quiet", "--load_dir")
        measure("mcore1-hf", *back, work + "/mcore1", "--saver", "hf", needs="mcore1")
        if count // PER_LAYER <= most_layers:
            measure("dist-hf", *back, work + "/dist", "--saver", "hf", needs="dist")
        measure("verify", "verify", source, work + "/mcore1", needs="mcore1")


if __name__ == "__main__":
    main()
