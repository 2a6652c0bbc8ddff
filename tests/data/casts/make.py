# SPDX-License-Identifier: Apache-2.0
"""Writes what PyTorch's Tensor.to() makes of floats, as bit patterns, for tests/core/float_formats.test.cpp.

    python make.py        (torch 2.13 on an x86 CPU with AVX2 or AVX-512; both give the same files)

Little-endian. The tables hold the result for each of the 65,536 inputs in order; of f64 results, whose lower half is
always zero, the upper half. The cases are records of an input and its results:

    f32_cases.bin    u32 f32, u16 as bf16, u16 as f16, u64 as f64
    f64_cases.bin    u64 f64, u32 as f32, u16 as bf16, u16 as f16

PyTorch's scalar loops, which it uses for few or strided elements and on older CPUs, make other NaNs of NaNs; so all
tensors here are contiguous and padded to a length that leaves no elements to the scalar loops.
"""
from pathlib import Path

import numpy as np
import torch

HERE = Path(__file__).parent
UNSIGNED = {2: np.uint16, 4: np.uint32, 8: np.uint64}
SIGNED = {2: (np.int16, torch.int16), 4: (np.int32, torch.int32), 8: (np.int64, torch.int64)}


def cast(bits, from_type, to_type):
    """The bits of bits' values in another type."""
    padded = np.concatenate([bits, np.zeros(1024 - len(bits) % 1024, bits.dtype)])
    values = torch.tensor(padded.view(SIGNED[bits.itemsize][0])).view(from_type)
    result = values.to(to_type)
    result = result.view(SIGNED[result.element_size()][1]).numpy()
    return result.view(UNSIGNED[result.itemsize])[: len(bits)]


def upper_half(bits):
    assert not (bits & np.uint64(0xFFFFFFFF)).any()
    return (bits >> np.uint64(32)).astype(np.uint32)


def scrambled(count, bits):
    """`count` bit patterns without a pattern, the same everywhere."""
    mask = 2**bits - 1
    return [((i + 1) * 0x9E3779B97F4A7C15 ^ (i * i * 0xD1B54A32D192ED03)) >> (64 - bits) & mask for i in range(count)]


def around_halfway(digits, least, greatest):
    """Magnitudes that a type with `digits` binary digits, last one at least 2^least, must round: halfway between two
    neighbours, a little less and a little more, for even and odd ones, up to 2^greatest."""
    for exponent in range(least - 1, greatest + 1):
        for mantissa in (1, 2, 3, 2**digits - 3, 2**digits - 2, 2**digits - 1, 2**digits, 0x55555555 & (2**digits - 1)):
            unit = 2.0 ** max(exponent - digits + 1, least)
            value = 2.0**exponent if exponent < least else mantissa * unit
            for part in (0, 0.25, 0.5, 0.75):
                for nudge in (0, 2.0**-12, -(2.0**-12), 2.0**-20, -(2.0**-20), 2.0**-30, -(2.0**-30)):
                    yield value + unit * (part + nudge)


def specials(exponent_bits, mantissa_bits):
    """Zero, least and greatest subnormals and normals, infinity, and quiet and signalling NaNs of many payloads."""
    infinity = (2**exponent_bits - 1) << mantissa_bits
    quiet = 1 << (mantissa_bits - 1)
    payloads = [1 << bit for bit in range(mantissa_bits)] + [2 * quiet - 1, quiet - 1, quiet + 1, quiet + (quiet >> 1)]
    edges = [0, 1, 2, 3, 2**mantissa_bits - 1, 2**mantissa_bits, 2**mantissa_bits + 1, infinity - 2, infinity - 1]
    return edges + [infinity] + [infinity | payload for payload in payloads]


def with_signs(magnitudes, bits):
    both = sorted({m for m in magnitudes} | {m | 1 << (bits - 1) for m in magnitudes})
    return np.array(both, UNSIGNED[bits // 8])


def thinned(values, keep):
    """At most `keep` of the values, evenly spread."""
    values = sorted(set(values))
    return values if len(values) <= keep else [values[i * len(values) // keep] for i in range(keep)]


def magnitudes(float_type, bits, keep):
    f16 = list(around_halfway(11, -24, 16))
    bf16 = list(around_halfway(8, -133, 127))
    values = np.array(thinned(f16, keep) + thinned(bf16, keep), np.float64)
    with np.errstate(over="ignore"):
        return values[values >= 0].astype(float_type).view(UNSIGNED[bits // 8]).tolist()


def f32_cases():
    edges = np.array([65504, 65519.996, 65520, 65536, 2.0**-25, 2.0**-24, 2.0**-14, 6.0975552e-5], np.float32)
    return with_signs(
        magnitudes(np.float32, 32, 1400) + specials(8, 23) + edges.view(np.uint32).tolist() + scrambled(400, 32), 32)


def f64_cases():
    greatest_f32 = float(np.finfo(np.float32).max)
    edges = [65519.999, 65520.0, 65520.000001, 2.0**-25, 2.0**-149, 2.0**-150, 1.5 * 2.0**-150, greatest_f32,
             greatest_f32 + 2.0**103, float(np.nextafter(greatest_f32 + 2.0**103, 0)), 1e300, 5e-324]
    # Between two f32s, a bit beside halfway between two 16-bit floats: rounding twice shows.
    twice = [(1 + k * 2.0**-digits) * (1 + sign * 2.0**-40) for digits in (8, 11) for k in range(1, 64, 2) for sign in (-1, 1)]
    values = np.array(edges + twice, np.float64).view(np.uint64).tolist()
    return with_signs(magnitudes(np.float64, 64, 1200) + specials(11, 52) + values + scrambled(400, 64), 64)


def main():
    capability = torch.backends.cpu.get_cpu_capability()
    assert capability in ("AVX2", "AVX512"), capability
    f64, f32, f16, bf16 = torch.float64, torch.float32, torch.float16, torch.bfloat16
    every = np.arange(65536, dtype=np.uint16)
    for name, from_type, other_name, other_type in (("bf16", bf16, "f16", f16), ("f16", f16, "bf16", bf16)):
        cast(every, from_type, f32).tofile(HERE / f"{name}_to_f32.bin")
        upper_half(cast(every, from_type, f64)).tofile(HERE / f"{name}_to_f64_upper.bin")
        cast(every, from_type, other_type).tofile(HERE / f"{name}_to_{other_name}.bin")

    singles, doubles = f32_cases(), f64_cases()
    np.rec.fromarrays([singles, cast(singles, f32, bf16), cast(singles, f32, f16), cast(singles, f32, f64)],
                      dtype="<u4,<u2,<u2,<u8").tofile(HERE / "f32_cases.bin")
    np.rec.fromarrays([doubles, cast(doubles, f64, f32), cast(doubles, f64, bf16), cast(doubles, f64, f16)],
                      dtype="<u8,<u4,<u2,<u2").tofile(HERE / "f64_cases.bin")


if __name__ == "__main__":
    main()
