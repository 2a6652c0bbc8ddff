# SPDX-License-Identifier: Apache-2.0
"""`inspect --stats` against what Python makes of the same bytes: math.fsum adds without rounding."""

import json
import math
import os
import random
import struct
import subprocess
import tempfile
import unittest
from pathlib import Path

DATA = Path(__file__).parents[1] / "data"


def small_float(exponent_bits, mantissa_bits, has_infinities=True):
    """What the bits of a float come to that Python has no name for."""

    def value(bits):
        sign = -1.0 if bits >> exponent_bits + mantissa_bits else 1.0
        exponent = bits >> mantissa_bits & (1 << exponent_bits) - 1
        mantissa = bits & (1 << mantissa_bits) - 1
        top = (1 << exponent_bits) - 1
        if exponent == top and has_infinities:
            return sign * math.inf if mantissa == 0 else math.nan
        if exponent == top and mantissa == (1 << mantissa_bits) - 1:
            return math.nan
        bias = (1 << exponent_bits - 1) - 1
        if exponent == 0:
            return sign * math.ldexp(mantissa, 1 - bias - mantissa_bits)
        return sign * math.ldexp(mantissa | 1 << mantissa_bits, exponent - bias - mantissa_bits)

    return value


# safetensors' name → struct's letter, and the value of what that reads
TYPES = {
    "F64": ("d", float),
    "F32": ("f", float),
    "F16": ("e", float),
    "BF16": ("H", small_float(8, 7)),
    "F8_E4M3": ("B", small_float(4, 3, has_infinities=False)),
    "F8_E5M2": ("B", small_float(5, 2)),
    "I64": ("q", float),
    "I32": ("i", float),
    "I16": ("h", float),
    "I8": ("b", float),
    "U8": ("B", float),
    "BOOL": ("?", float),
}


def values_of(dtype, data):
    letter, value = TYPES[dtype]
    return [value(raw) for (raw,) in struct.iter_unpack("<" + letter, data)]


def expected(values):
    finite = [value for value in values if math.isfinite(value)]
    return {
        "min": min(finite, default=None),
        "max": max(finite, default=None),
        "mean": math.fsum(finite) / len(finite) if finite else None,
        "nans": sum(map(math.isnan, values)),
        "infinities": sum(map(math.isinf, values)),
    }


def write_safetensors(path, tensors):
    header, data = {}, b""
    for name, (dtype, shape, content) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def read_safetensors(path):
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    tensors = json.loads(content[8 : 8 + length])
    tensors.pop("__metadata__", None)
    for name, entry in tensors.items():
        begin, end = entry["data_offsets"]
        yield name, entry["dtype"], entry["shape"], content[8 + length + begin : 8 + length + end]


def inspected(path, *words):
    command = [os.environ["CROSSDOCK_CLI"], "inspect", str(path), "--stats", "--json", *words]
    return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)["tensors"]


class Statistics(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.file = Path(folder.name) / "x.safetensors"

    def check(self, tensors, *words):
        write_safetensors(self.file, tensors)
        found = {tensor["name"]: tensor["statistics"] for tensor in inspected(self.file, *words)}
        self.assertEqual(found.keys(), tensors.keys())
        for name, (dtype, _, content) in tensors.items():
            with self.subTest(name):
                self.assertEqual(found[name], expected(values_of(dtype, content)))

    def test_every_type(self):
        """Any bits at all, so NaNs, infinities, numbers below the normal ones; of 16 bits and fewer all there are."""
        chance = random.Random(13)
        tensors = {}
        for dtype, (letter, _) in TYPES.items():
            size = struct.calcsize(letter)
            if letter == "?":
                content = bytes(chance.randrange(2) for _ in range(999))
            elif size <= 2:
                content = b"".join(bits.to_bytes(size, "little") for bits in range(256**size))
            else:
                content = chance.randbytes(size * 5000)
            if dtype == "F64":  # no sum that is beyond all doubles
                content = b"".join(struct.pack("<d", chance.gauss(0, 1) * 2.0 ** chance.randrange(-1074, 900)) for _ in range(5000))
            tensors[dtype] = (dtype, [len(content) // size], content)
        for threads in ("1", "3"):
            self.check(tensors, "--threads", threads)

    def test_what_rounding_would_lose(self):
        floats = lambda *values: ("F32", [len(values)], struct.pack(f"<{len(values)}f", *values))
        doubles = lambda *values: ("F64", [len(values)], struct.pack(f"<{len(values)}d", *values))
        self.check({"f32": floats(2.0**100, 1.0, -(2.0**100)),
                    "f64": doubles(1.0, 2.0**-53, 2.0**-1074),
                    "subnormal": doubles(5e-324, 5e-324, -5e-324),
                    "middle": doubles(-1.0, -(2.0**-53))})  # fmt: skip

    def test_special_values_and_shapes(self):
        write = lambda shape, *values: ("F32", shape, struct.pack(f"<{len(values)}f", *values))
        self.check({"scalar": write([], -2.5),
                    "empty": write([0, 3]),
                    "no finite one": write([3], math.nan, math.inf, -math.inf),
                    "hidden": write([4], math.nan, -3.0, math.inf, 5.0),
                    "zeros": write([3], 0.0, -0.0, 0.0)})  # fmt: skip
        zeros = next(t for t in inspected(self.file) if t["name"] == "zeros")["statistics"]
        self.assertEqual((math.copysign(1, zeros["min"]), math.copysign(1, zeros["max"])), (-1, 1))

    def test_checkpoints(self):
        """Canonical tensors that are stored as they are, in every format that has the same weights."""
        source = DATA / "hf" / "llama2-gqa"
        stored = {name: expected(values_of(dtype, data))
                  for name, dtype, _, data in read_safetensors(source / "model.safetensors")}  # fmt: skip
        names = {"final norm / weight": "model.norm.weight"}
        for layer in range(4):
            names[f"transformer layer {layer} / input norm weight"] = f"model.layers.{layer}.input_layernorm.weight"
            names[f"transformer layer {layer} / dense weight"] = f"model.layers.{layer}.self_attn.o_proj.weight"
        by_format = [
            {f"{tensor['message']} / {tensor['name']}": tensor["statistics"]
             for tensor in inspected(DATA / directory, "--threads", "2", "--true_vocab_size", "600")}
            for directory in ("hf/llama2-gqa", "megatron-core/llama2-gqa-te-tp1", "megatron-llm/llama2-gqa-tp2pp2")
        ]  # fmt: skip
        for name, in_file in names.items():
            self.assertEqual(by_format[0][name], stored[in_file], name)
        for other in by_format[1:]:
            self.assertEqual(other, by_format[0])

    def test_chosen_tensors_alone_are_read(self):
        chosen = inspected(DATA / "hf" / "llama2-gqa", "--tensors", "layer [12] / qkv weight")
        self.assertEqual([tensor["message"] for tensor in chosen], ["transformer layer 1", "transformer layer 2"])
        self.assertTrue(all(tensor["statistics"]["nans"] == 0 for tensor in chosen))


if __name__ == "__main__":
    unittest.main()
