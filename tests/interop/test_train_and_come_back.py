# SPDX-License-Identifier: Apache-2.0
"""From Hugging Face to Megatron, through what training does to the files, and back (docs/train-and-come-back.md)."""
import argparse
import enum
import json
import shutil
import types

import pytest
import torch
import transformers
from conftest import Failed, convert
from models import LLAMA_SIZES, MODELS, assert_same_outputs, assert_same_tensors, load, write

ROPE = dict(rope_type="llama3", rope_theta=500000.0, factor=32.0, low_freq_factor=1.0, high_freq_factor=4.0,
            original_max_position_embeddings=8192)
COMPANIONS = {"tokenizer.json": '{"model": {}}', "tokenizer_config.json": "{}", "chat_template.jinja": "{{ messages }}",
              "LICENSE": "Llama 3.2 community license", "USE_POLICY.md": "do no harm", "README.md": "# a model"}


def published(directory):
    """A small Llama 3.2 as it stands on a hub."""
    config = transformers.LlamaConfig(**{**LLAMA_SIZES, "max_position_embeddings": 131072}, rope_parameters=ROPE,
                                      rms_norm_eps=1e-5, bos_token_id=128, eos_token_id=[129, 130], pad_token_id=131)
    torch.manual_seed(5)
    model = transformers.LlamaForCausalLM._from_config(config, attn_implementation="eager", dtype=torch.float32).eval()
    model.generation_config.temperature = 0.6
    model.generation_config.do_sample = True
    write(model, directory)
    for name, content in COMPANIONS.items():
        (directory / name).write_text(content)
    return model


class AttnBackend(enum.Enum):
    """Training's args hold members of Megatron's own enumerations."""

    auto = 5


def train(directory, keep_args):
    """What a training run leaves: the weights under another iteration, an optimizer's state, and args of its own."""
    (directory / "crossdock.json").unlink()
    for name in (*COMPANIONS, "generation_config.json"):
        (directory / name).unlink()
    [old] = directory.glob("iter_*")
    new = directory / "iter_0000500"
    old.rename(new)
    (directory / "latest_checkpointed_iteration.txt").write_text("500")
    for file in new.rglob("*.pt"):
        content = torch.load(file, weights_only=False)
        args = {name: getattr(content["args"], name) for name in keep_args(vars(content["args"]))}
        args.update(lr=3e-4, train_iters=500, global_batch_size=512, micro_batch_size=1, rank=0, world_size=4,
                    attention_backend=AttnBackend.auto, fp8=None, seq_length=4096, max_position_embeddings=4096,
                    consumed_train_samples=256000, save="/checkpoints", load=None, optimizer="adam")
        content.update(args=argparse.Namespace(**args), iteration=500, num_floating_point_operations_so_far=1e18,
                       optimizer={"state": {}}, opt_param_scheduler={"num_steps": 256000}, rng_state=[{"cuda": None}])
        torch.save(content, file)


def everything(args):
    return list(args)


def without_scaling(args):
    """Megatrons that did not know Llama 3's scaling yet."""
    return [name for name in args if "rope_scaling" not in name]


@pytest.mark.parametrize("keep_args", [everything, without_scaling])
@pytest.mark.parametrize("ckpt_format", ["torch_dist", "torch"])
def test_train_and_come_back(ckpt_format, keep_args, tmp_path):
    original = published(tmp_path / "hub")
    convert("llama", tmp_path / "hub", "mcore", tmp_path / "megatron", target_tensor_parallel_size=2,
            target_pipeline_parallel_size=2, ckpt_format=ckpt_format)
    train(tmp_path / "megatron", keep_args)
    convert("mcore", tmp_path / "megatron", "hf", tmp_path / "back", config=tmp_path / "hub")
    back = load("LlamaForCausalLM", tmp_path / "back")
    assert_same_tensors(original.state_dict(), back.state_dict())
    assert_same_outputs(original, back)
    source, target = (json.loads((tmp_path / name / "config.json").read_text()) for name in ("hub", "back"))
    for key in ("bos_token_id", "eos_token_id", "pad_token_id", "max_position_embeddings", "vocab_size"):
        assert source[key] == target[key], key
    assert back.config.rope_parameters == original.config.rope_parameters
    for name in (*COMPANIONS, "generation_config.json"):
        assert (tmp_path / "hub" / name).read_bytes() == (tmp_path / "back" / name).read_bytes()


def test_companions_travel_without_a_reference(tmp_path):
    published(tmp_path / "hub")
    convert("llama", tmp_path / "hub", "mcore", tmp_path / "megatron")
    (tmp_path / "megatron/crossdock.json").unlink()
    convert("mcore", tmp_path / "megatron", "llama", tmp_path / "back")
    for name in (*COMPANIONS, "generation_config.json"):
        assert (tmp_path / "hub" / name).read_bytes() == (tmp_path / "back" / name).read_bytes()


def test_a_hub_cache_is_a_reference(tmp_path):
    original = published(tmp_path / "hub")
    convert("llama", tmp_path / "hub", "mcore", tmp_path / "megatron")
    (tmp_path / "megatron/crossdock.json").unlink()
    cache = tmp_path / "models--meta-llama--Llama-3.2-1B"
    snapshot = cache / "snapshots/4e20de362430cd3b72f300e6b0f18e50e7166e08"
    snapshot.mkdir(parents=True)
    (cache / "blobs").mkdir()
    for number, file in enumerate(sorted((tmp_path / "hub").iterdir())):
        shutil.copy(file, cache / "blobs" / f"{number:040x}")
        (snapshot / file.name).symlink_to(f"../../blobs/{number:040x}")
    convert("mcore", tmp_path / "megatron", "llama", tmp_path / "back", config=snapshot)
    assert_same_outputs(original, load("LlamaForCausalLM", tmp_path / "back"))
    assert (tmp_path / "back/tokenizer.json").read_text() == COMPANIONS["tokenizer.json"]


def test_another_models_reference_is_refused(tmp_path):
    published(tmp_path / "hub")
    convert("llama", tmp_path / "hub", "mcore", tmp_path / "megatron")
    write(MODELS["llama-mha"].build(), tmp_path / "other")
    with pytest.raises(Failed, match="num_query_groups is 8, the model has 4"):
        convert("mcore", tmp_path / "megatron", "llama", tmp_path / "back", config=tmp_path / "other")
    assert not (tmp_path / "back").exists()


def test_args_as_a_fork_keeps_them(tmp_path):
    """A SimpleNamespace is read as argparse's is."""
    original = published(tmp_path / "hub")
    convert("llama", tmp_path / "hub", "mcore", tmp_path / "megatron")
    for file in (tmp_path / "megatron").rglob("*.pt"):
        content = torch.load(file, weights_only=False)
        content["args"] = types.SimpleNamespace(**vars(content["args"]))
        torch.save(content, file)
    (tmp_path / "megatron/crossdock.json").unlink()
    convert("mcore", tmp_path / "megatron", "llama", tmp_path / "back", config=tmp_path / "hub")
    assert_same_outputs(original, load("LlamaForCausalLM", tmp_path / "back"))
