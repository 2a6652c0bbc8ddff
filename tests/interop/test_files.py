# SPDX-License-Identifier: Apache-2.0
"""Other programs read our files, and we read what torch and safetensors write in all its forms."""
import argparse
import enum
import io
import shutil
import subprocess
import sys
import types
import zipfile
from collections import OrderedDict

import pytest
import torch
from conftest import convert
from models import ALL, LLM, LOCAL, MODELS, TE, assert_same_outputs, assert_same_tensors, load, write
from safetensors import safe_open
from safetensors.torch import load_file


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A Llama as transformers writes it."""
    return write(MODELS["llama-gqa"].build(), tmp_path_factory.mktemp("llama"))


def megatron_files(source, directory, saver, options):
    convert("llama", source, saver, directory, target_tensor_parallel_size=2, target_pipeline_parallel_size=2, **options)
    files = sorted(directory.rglob("*.pt"))
    assert len(files) == 4
    return files


DIALECTS = pytest.mark.parametrize("saver, options", ALL, ids=["llm", "lm", "te", "local"])


@DIALECTS
def test_torch_load_reads_megatron_files(source, saver, options, tmp_path):
    for file in megatron_files(source, tmp_path / "out", saver, options):
        content = torch.load(file, weights_only=False)
        assert isinstance(content["args"], argparse.Namespace) and content["args"].num_layers == 4
        assert content["checkpoint_version"] == 3.0
        with torch.serialization.safe_globals([argparse.Namespace]):
            safe = torch.load(file, weights_only=True)
        assert vars(safe["args"]) == vars(content["args"])
        mapped = torch.load(file, weights_only=False, mmap=True)
        assert_same_tensors(flat(content["model"]), flat(mapped["model"]))


def flat(tree, prefix=""):
    tensors = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            tensors |= flat(value, f"{prefix}{key}/")
        elif value is not None:
            tensors[prefix + key] = value
    return tensors


@DIALECTS
def test_zip_tools_accept_megatron_files(source, saver, options, tmp_path):
    for file in megatron_files(source, tmp_path / "out", saver, options):
        subprocess.run(["unzip", "-tqq", file], check=True)
        with zipfile.ZipFile(file) as archive:
            assert archive.testzip() is None
            assert all(entry.compress_type == zipfile.ZIP_STORED for entry in archive.infolist())


def test_torch_load_reads_meta_files_with_weights_only(source, tmp_path):
    convert("llama", source, "llama", tmp_path / "out", layout="original", model_parallel_size=2)
    files = sorted((tmp_path / "out").glob("consolidated.*.pth"))
    assert len(files) == 2
    for file in files:
        state = torch.load(file, weights_only=True)
        assert all(isinstance(tensor, torch.Tensor) and tensor.is_contiguous() for tensor in state.values())
        subprocess.run(["unzip", "-tqq", file], check=True)


def test_safetensors_reads_our_shards(source, tmp_path):
    convert("llama", source, "llama", tmp_path / "out", max_shard_size="100KB")
    files = sorted((tmp_path / "out").glob("model-*.safetensors"))
    assert len(files) > 1
    found = {}
    for file in files:
        with safe_open(file, "pt") as opened:
            assert opened.metadata() == {"format": "pt"}
            found |= {name: opened.get_tensor(name) for name in opened.keys()}
        assert_same_tensors({name: found[name] for name in load_file(file)}, load_file(file))
    assert_same_tensors(found, load_file(source / "model.safetensors"))


def save_as(kind, state, file):
    """The model's tensors, all in one of the forms in which torch can hold or write them."""
    if kind == "plain dict":
        torch.save(dict(state), file)
    elif kind == "OrderedDict with metadata":  # what state_dict() itself is
        ordered = OrderedDict(state)
        ordered._metadata = OrderedDict({"": {"version": 1}})
        torch.save(ordered, file)
    elif kind == "parameters":
        torch.save({name: torch.nn.Parameter(tensor) for name, tensor in state.items()}, file)
    elif kind == "one shared storage":
        whole = torch.cat([tensor.flatten() for tensor in state.values()])
        views, at = {}, 0
        for name, tensor in state.items():
            views[name] = whole[at : at + tensor.numel()].view(tensor.shape)
            at += tensor.numel()
        torch.save(views, file)
    elif kind == "transposed":
        torch.save({name: t.t().contiguous().t() if t.dim() == 2 else t for name, t in state.items()}, file)
    elif kind == "every second element":
        strided = {}
        for name, tensor in state.items():
            wide = torch.full((*tensor.shape, 2), torch.nan, dtype=tensor.dtype)
            wide[..., 1] = tensor
            strided[name] = wide[..., 1]
        torch.save(strided, file)
    elif kind == "columns of a wider matrix":
        torch.save({n: torch.nn.functional.pad(t, (3, 5))[..., 3:-5] for n, t in state.items()}, file)
    elif kind == "before zip files":
        torch.save(state, file, _use_new_zipfile_serialization=False)
    elif kind == "before zip files, one shared storage":
        buffer = io.BytesIO()
        save_as("one shared storage", state, buffer)
        buffer.seek(0)
        torch.save(torch.load(buffer), file, _use_new_zipfile_serialization=False)
    elif kind.startswith("pickle protocol"):
        torch.save(state, file, pickle_protocol=int(kind.split()[-1]))
    else:
        raise AssertionError(kind)


KINDS = ["plain dict", "OrderedDict with metadata", "parameters", "one shared storage", "transposed",
         "every second element", "columns of a wider matrix", "before zip files",
         "before zip files, one shared storage", "pickle protocol 2", "pickle protocol 3", "pickle protocol 4",
         "pickle protocol 5"]


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_torch_writes_converts(kind, source, tmp_path):
    original = MODELS["llama-gqa"].build()
    (tmp_path / "source").mkdir()
    shutil.copy(source / "config.json", tmp_path / "source")
    save_as(kind, original.state_dict(), tmp_path / "source/pytorch_model.bin")
    convert("llama", tmp_path / "source", "mcore", tmp_path / "mcore", target_tensor_parallel_size=2,
            target_pipeline_parallel_size=2)
    convert("mcore", tmp_path / "mcore", "llama", tmp_path / "back")
    assert_same_tensors(original.state_dict(), load_file(tmp_path / "back/model.safetensors"))


def test_expanded_tensors_convert(source, tmp_path):
    """A stride of 0: one element, or one row, stands for all."""
    state = MODELS["llama-gqa"].build().state_dict()
    for name in state:
        state[name] = state[name][:1].expand_as(state[name]) if "embed" in name else state[name]
        state[name] = torch.tensor(1.5).expand_as(state[name]) if "layernorm" in name else state[name]
    (tmp_path / "source").mkdir()
    shutil.copy(source / "config.json", tmp_path / "source")
    torch.save(state, tmp_path / "source/pytorch_model.bin")
    convert("llama", tmp_path / "source", "llama", tmp_path / "back")
    assert_same_tensors(state, load_file(tmp_path / "back/model.safetensors"))


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "before zip files"])
@pytest.mark.parametrize("saver, options", [LLM, LOCAL, TE], ids=["llm", "local", "te"])
def test_megatron_files_with_training_state_convert(saver, options, legacy, source, tmp_path, monkeypatch):
    """As training leaves them: optimizer and random states, and objects of classes that only Megatron has."""
    nowhere = types.ModuleType("nowhere_to_be_found")
    nowhere.AttnBackend = enum.Enum("AttnBackend", ["flash", "fused"], module=nowhere.__name__)
    monkeypatch.setitem(sys.modules, nowhere.__name__, nowhere)
    for file in megatron_files(source, tmp_path / "megatron", saver, options):
        content = torch.load(file, weights_only=False)
        content["args"].attention_backend = nowhere.AttnBackend.flash
        content["args"].device = torch.device("cpu")
        content["args"].attention_size = torch.Size([1, 2])
        content["optimizer"] = {"state": {0: {"exp_avg": torch.randn(7, 3)}}, "param_groups": [{"lr": 1e-4}]}
        content["opt_param_scheduler"] = {"max_lr": 1e-4, "num_steps": 12}
        content["rng_state"] = [{"torch_rng_state": torch.get_rng_state(), "random_rng_state": (3, (1, 2), None)}]
        torch.save(content, file, _use_new_zipfile_serialization=not legacy)
    convert(saver, tmp_path / "megatron", "llama", tmp_path / "back")
    assert_same_outputs(MODELS["llama-gqa"].build(), load("LlamaForCausalLM", tmp_path / "back"))
