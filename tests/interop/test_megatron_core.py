# SPDX-License-Identifier: Apache-2.0
"""Megatron-Core itself loads the files that we write, strictly, and computes what transformers computes."""
import contextlib

import pytest
import torch
import torch.nn.functional as F
from conftest import convert
from megatron.core import parallel_state
from megatron.core.models.bert.bert_layer_specs import bert_layer_local_spec
from megatron.core.models.bert.bert_model import BertModel
from megatron.core.models.gpt import GPTModel
from megatron.core.models.gpt.gpt_layer_specs import get_gpt_layer_local_spec
from megatron.core.tensor_parallel import get_cuda_rng_tracker
from megatron.core.transformer import TransformerConfig
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


class ZeroCentredNorm(torch.nn.RMSNorm):
    """Gemma's; Transformer Engine has it, Megatron-Core's local norm does not."""

    def forward(self, x):
        return F.rms_norm(x, self.normalized_shape, 1 + self.weight, self.eps)


def gelu_tanh(x):
    return F.gelu(x, approximate="tanh")


def make_config(args, is_gemma=False):
    """From the args in the checkpoint, as Megatron's core_transformer_config_from_args makes it."""
    fused_gelu = args.bias_gelu_fusion and not args.swiglu and not is_gemma  # a kernel that computes the tanh form
    return TransformerConfig(
        num_layers=args.num_layers, hidden_size=args.hidden_size, num_attention_heads=args.num_attention_heads,
        num_query_groups=args.num_query_groups if args.group_query_attention else args.num_attention_heads,
        kv_channels=args.kv_channels, ffn_hidden_size=args.ffn_hidden_size, normalization=args.normalization,
        layernorm_epsilon=args.norm_epsilon, add_bias_linear=args.add_bias_linear, add_qkv_bias=args.add_qkv_bias,
        activation_func=F.silu if args.swiglu else gelu_tanh if is_gemma or args.openai_gelu else F.gelu,
        gated_linear_unit=args.swiglu or is_gemma, bias_activation_fusion=fused_gelu, hidden_dropout=0.0,
        attention_dropout=0.0, bias_dropout_fusion=False, masked_softmax_fusion=False, persist_layer_norm=False,
        apply_rope_fusion=False, gradient_accumulation_fusion=False, use_cpu_initialization=True,
        rotary_interleaved=args.rotary_interleaved)


def make_gpt(args, is_gemma, embedding_scale):
    """As pretrain_gpt.py makes it, with local layers. What args cannot say of Gemma is said by the caller."""
    model = GPTModel(
        make_config(args, is_gemma), get_gpt_layer_local_spec(normalization=args.normalization),
        vocab_size=args.padded_vocab_size, max_sequence_length=args.max_position_embeddings,
        position_embedding_type=args.position_embedding_type, rotary_percent=args.rotary_percent,
        rotary_base=args.rotary_base, rope_scaling=args.use_rope_scaling, rope_scaling_factor=args.rope_scaling_factor,
        seq_len_interpolation_factor=args.rotary_seq_len_interpolation_factor,
        share_embeddings_and_output_weights=not args.untie_embeddings_and_output_weights)
    if args.apply_layernorm_1p:
        for parent in list(model.modules()):
            for name, norm in list(parent.named_children()):
                if isinstance(norm, torch.nn.RMSNorm):
                    setattr(parent, name, ZeroCentredNorm(args.hidden_size, args.norm_epsilon))
    model.embedding.register_forward_hook(lambda _module, _inputs, output: output * embedding_scale)
    return model.eval()


def logits(model, ids, window):
    """The mask is the caller's: Megatron-Core makes its own for a window, but on an accelerator only."""
    length = ids.shape[1]
    positions = torch.arange(length).expand(ids.shape)
    hidden_from = torch.ones(1, 1, length, length, dtype=torch.bool).triu(1)
    if window:
        hidden_from |= torch.ones(1, 1, length, length, dtype=torch.bool).tril(-window[0] - 1)
    with torch.no_grad():
        return model(ids, positions, hidden_from)


def converted(spec, directory):
    """The model, and the content of the file that it becomes."""
    original = spec.build()
    write(original, directory / "source")
    convert(spec.family, directory / "source", "mcore", directory / "mcore", transformer_impl="local",
            ckpt_format="torch")
    [file] = (directory / "mcore").rglob("*.pt")
    return original, torch.load(file, weights_only=False)


def assert_close(got, want):
    difference = (got - want).abs().max().item()
    print(f"largest difference of logits: {difference:.1e}")
    assert difference < TOLERANCE


DECODERS = ["llama-gqa", "llama-mha", "llama-tied", "llama-biases", "llama-head-dim", "llama-theta", "llama-linear",
            "llama-3.1", "mistral-window", "mistral-no-window", "mistral-head-dim", "gemma-mha", "gemma-mqa",
            "falcon-sequential", "gpt2"]


@pytest.mark.parametrize("name", DECODERS)
def test_megatron_core_computes_the_same_logits(name, megatron, tmp_path):
    original, content = converted(MODELS[name], tmp_path)
    is_gemma = MODELS[name].family == "gemma"
    model = make_gpt(content["args"], is_gemma, original.config.hidden_size**0.5 if is_gemma else 1.0)
    model.load_state_dict(content["model"], strict=True)
    ids = torch.randint(0, 250, (2, 24), generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        want = original(ids).logits
    assert_close(logits(model, ids, content["args"].window_size)[..., :250], want)


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
