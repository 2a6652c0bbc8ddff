# SPDX-License-Identifier: Apache-2.0
"""Megatron-Core itself loads the files that we write, strictly, and computes what transformers computes."""
import contextlib

import pytest
import torch
from conftest import convert
from gemma_gpt import in_local_names, make_gemma, soft_cap
from gpt_model import logits, make_config, make_gpt
from megatron.core import parallel_state
from megatron.core.models.bert.bert_layer_specs import bert_layer_local_spec
from megatron.core.models.bert.bert_model import BertModel
from megatron.core.tensor_parallel import get_cuda_rng_tracker
from models import MODELS, write

# The two differ in the order of their sums; one wrong tensor moves these logits (of size 1 to 10) by more than 0.5.
TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def megatron(tmp_path_factory):
    """One process, no accelerator; the two places that insist on CUDA are told otherwise."""
    store = tmp_path_factory.mktemp("gloo") / "store"
    torch.distributed.init_process_group("gloo", init_method=f"file://{store}", rank=0, world_size=1)
    parallel_state.initialize_model_parallel()
    patch = pytest.MonkeyPatch()
    patch.setattr(torch.cuda, "current_device", lambda: "cpu")
    patch.setattr(get_cuda_rng_tracker(), "fork", lambda *_: contextlib.nullcontext())  # of dropout, which is 0
    yield
    patch.undo()
    parallel_state.destroy_model_parallel()
    torch.distributed.destroy_process_group()


def converted(spec, directory, **options):
    """The model, and the content of the file that it becomes."""
    original = spec.build()
    write(original, directory / "source")
    convert(spec.family, directory / "source", "mcore", directory / "mcore", ckpt_format="torch",
            **{"transformer_impl": "local", **options})
    [file] = (directory / "mcore").rglob("*.pt")
    return original, torch.load(file, weights_only=False)


def assert_close(got, want):
    difference = (got - want).abs().max().item()
    print(f"largest difference of logits: {difference:.1e}")
    assert difference < TOLERANCE


DECODERS = ["llama-gqa", "llama-mha", "llama-tied", "llama-biases", "llama-head-dim", "llama-theta", "llama-linear",
            "llama-3.1", "mistral-window", "mistral-no-window", "mistral-head-dim", "gemma-mha", "gemma-mqa",
            "falcon-sequential", "qwen2", "qwen3", "qwen2-moe", "qwen3-moe", "mixtral", "deepseek-v3",
            "glm4-moe", "gpt2"]


@pytest.mark.parametrize("name, options", [*((name, {}) for name in DECODERS), ("mixtral", {"expert_layout": "grouped"})])
def test_megatron_core_computes_the_same_logits(name, options, megatron, tmp_path):
    original, content = converted(MODELS[name], tmp_path, **options)
    is_gemma = MODELS[name].family == "gemma"
    model = make_gpt(content["args"], is_gemma, original.config.hidden_size**0.5 if is_gemma else 1.0)
    model.load_state_dict(content["model"], strict=True)
    ids = torch.randint(0, 250, (2, 24), generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        want = original(ids).logits
    assert_close(logits(model, ids, content["args"].window_size)[..., :250], want)


@pytest.mark.parametrize("name", ["gemma2", "gemma3"])
def test_megatron_bridges_gemma_computes_the_same_logits(name, megatron, tmp_path):
    original, content = converted(MODELS[name], tmp_path, transformer_impl="transformer_engine")
    args = content["args"]
    model = make_gemma(args)
    model.load_state_dict(in_local_names(content["model"]), strict=True)
    ids = torch.randint(0, 250, (2, 24), generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        want = original(ids).logits
    assert_close(soft_cap(logits(model, ids, None), args.final_logit_softcapping)[..., :250], want)


def test_megatron_core_computes_the_same_bert(megatron, tmp_path):
    original, content = converted(MODELS["megatron-bert"], tmp_path)
    args = content["args"]
    model = BertModel(make_config(args), 2, bert_layer_local_spec, args.padded_vocab_size, args.max_position_embeddings,
                      share_embeddings_and_output_weights=True).eval()
    model.load_state_dict(content["model"], strict=True)
    generator = torch.Generator().manual_seed(3)
    ids, types = (torch.randint(0, high, (2, 24), generator=generator) for high in (250, 2))
    with torch.no_grad():
        want = original(ids, token_type_ids=types)
        words, is_next = model(ids, torch.ones_like(ids), types)
    assert_close(words[..., :250], want.prediction_logits)
    assert_close(is_next, want.seq_relationship_logits)
