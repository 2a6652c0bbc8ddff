# SPDX-License-Identifier: Apache-2.0
"""--dtype rounds as torch does, to the last bit."""
import json

import pytest
import torch
from conftest import convert
from models import write_safetensors
from safetensors.torch import load_file

NAMES = {"f64": torch.float64, "f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
BITS = {2: torch.int16, 4: torch.int32, 8: torch.int64}
COUNT = 1 << 18
HIDDEN = 64


def values(dtype):
    """2^18 values: all there are of a 16-bit type; else random bits, ordinary numbers and the corners of rounding."""
    bits = BITS[dtype.itemsize]
    if dtype.itemsize == 2:
        return torch.arange(COUNT, dtype=torch.int32).to(bits).view(dtype)
    generator = torch.Generator().manual_seed(7)
    limits = torch.iinfo(bits)
    random_bits = torch.randint(limits.min, limits.max, (COUNT // 4,), generator=generator, dtype=bits).view(dtype)
    normal = torch.randn(COUNT // 4, generator=generator, dtype=dtype) * 10.0 ** torch.randint(-9, 9, (COUNT // 4,), generator=generator)
    corners = around_halves(dtype)
    filled = torch.cat([random_bits, normal.to(dtype), corners])
    return filled.repeat(-(-COUNT // filled.numel()))[:COUNT]


def around_halves(dtype):
    """Each bf16 and f16 value, what lies halfway to the next, and their neighbours on both sides; NaN and infinities."""
    parts = []
    for small in (torch.bfloat16, torch.float16):
        exact = torch.arange(-(1 << 15), 1 << 15, 7, dtype=torch.int32).to(torch.int16).view(small).to(dtype)
        halfway = (exact + torch.roll(exact, -1)) / 2
        steps = [torch.nextafter(halfway, torch.tensor(end, dtype=dtype)) for end in (torch.inf, -torch.inf)]
        parts += [exact, halfway, *steps]
    single = torch.tensor([0.0, -0.0, torch.inf, -torch.inf, torch.nan, 65504.0, 65519.99, 65520.0, 1e-45, 2.0**-24, 2.0**-25,
                           3.3895313892515355e38, 3.4028234663852886e38], dtype=torch.float64)
    if dtype == torch.float64:
        single = torch.cat([single, torch.tensor([3.4028235677973366e38, 1e308, 5e-324, 2.0**-150, 2.0**-149 * 1.5], dtype=dtype)])
    return torch.cat([*parts, single.to(dtype), -single.to(dtype)])


def write_model(directory, embeddings):
    """A Llama of one layer whose embeddings are the values."""
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": HIDDEN, "num_hidden_layers": 1,
              "num_attention_heads": 1, "intermediate_size": HIDDEN, "vocab_size": COUNT // HIDDEN, "tie_word_embeddings": True}
    square = torch.zeros(HIDDEN, HIDDEN, dtype=embeddings.dtype)
    layer = "model.layers.0."
    tensors = {layer + f"self_attn.{part}_proj.weight": square for part in "qkvo"}
    tensors |= {layer + f"mlp.{part}_proj.weight": square for part in ("gate", "up", "down")}
    tensors |= {name: square[0] for name in (layer + "input_layernorm.weight", layer + "post_attention_layernorm.weight",
                                             "model.norm.weight")}
    tensors["model.embed_tokens.weight"] = embeddings.view(-1, HIDDEN)
    directory.mkdir()
    (directory / "config.json").write_text(json.dumps(config))
    write_safetensors({name: tensor.clone() for name, tensor in tensors.items()}, directory)


@pytest.mark.parametrize("target", ["f32", "f16", "bf16"])
@pytest.mark.parametrize("origin", NAMES)
def test_casts_as_torch_does(origin, target, tmp_path):
    before = values(NAMES[origin])
    write_model(tmp_path / "source", before)
    convert("llama", tmp_path / "source", "llama", tmp_path / "out", dtype=target)
    got = load_file(tmp_path / "out/model.safetensors")["model.embed_tokens.weight"].flatten()
    want = before.to(NAMES[target])
    assert got.dtype == want.dtype
    bits = BITS[want.dtype.itemsize]
    different = (got.view(bits) != want.view(bits)).nonzero().flatten()
    assert len(different) == 0, [(before[i].item(), got[i].item(), want[i].item()) for i in different[:5]]
