# SPDX-License-Identifier: Apache-2.0
"""What the args of a training run say of the model: transformers computes what Megatron-Core does, or the conversion is
refused by the argument's name."""
import argparse

import pytest
import torch
import torch.nn.functional as F
from conftest import Failed, convert
from megatron.core.activations import squared_relu
from megatron.core.fusions.fused_bias_geglu import quick_gelu
from megatron.core.models.gpt import GPTModel
from megatron.core.models.gpt.gpt_layer_specs import get_gpt_layer_local_spec
from megatron.core.transformer import TransformerConfig
from megatron.core.transformer.enums import AttnBackend
from test_megatron_core import megatron  # noqa: F401  (a fixture)
from transformers import AutoModelForCausalLM

WORDS, LENGTH = 128, 96


def train(config=None, model=None, norm="RMSNorm", act=F.silu, gated=True, bias=False, positions="rope"):
    """A model with random weights, as a run with these options has it."""
    made = TransformerConfig(
        num_layers=2, hidden_size=32, num_attention_heads=4, num_query_groups=4 if norm == "LayerNorm" else 2,
        ffn_hidden_size=64, kv_channels=None, normalization=norm, gated_linear_unit=gated, activation_func=act,
        add_bias_linear=bias, hidden_dropout=0.0, attention_dropout=0.0, masked_softmax_fusion=False,
        bias_activation_fusion=False, bias_dropout_fusion=False, persist_layer_norm=False, apply_rope_fusion=False,
        gradient_accumulation_fusion=False, use_cpu_initialization=True, **(config or {}))
    torch.manual_seed(1)
    network = GPTModel(made, get_gpt_layer_local_spec(normalization=norm), vocab_size=WORDS, max_sequence_length=LENGTH,
                       position_embedding_type=positions, share_embeddings_and_output_weights=norm == "LayerNorm",
                       **(model or {}))
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape) + (1.0 if "norm.weight" in name else 0.0))
    return network.eval()


def args_of(network, more):
    config = network.config
    return argparse.Namespace(**{**dict(
        num_layers=2, hidden_size=32, num_attention_heads=4, ffn_hidden_size=64, kv_channels=config.kv_channels,
        group_query_attention=config.num_query_groups != 4, num_query_groups=config.num_query_groups,
        max_position_embeddings=LENGTH, seq_length=LENGTH, padded_vocab_size=WORDS, vocab_size=WORDS,
        position_embedding_type=network.position_embedding_type, rotary_base=10000, rotary_percent=1.0,
        rotary_interleaved=config.rotary_interleaved, rotary_seq_len_interpolation_factor=None, use_rope_scaling=False,
        rope_scaling_factor=8.0, add_bias_linear=config.add_bias_linear, add_qkv_bias=config.add_bias_linear,
        swiglu=config.activation_func is F.silu, squared_relu=False, bias_gelu_fusion=True,
        untie_embeddings_and_output_weights=not network.share_embeddings_and_output_weights,
        normalization=config.normalization, norm_epsilon=config.layernorm_epsilon, apply_layernorm_1p=False,
        window_size=None, num_experts=None, no_rope_freq=None, tensor_model_parallel_size=1,
        pipeline_model_parallel_size=1, world_size=8, rank=0, data_path=["some/data"], lr=3e-4,
        attention_backend=AttnBackend.auto, params_dtype=torch.bfloat16, bf16=True, iteration=7), **more})


def save(network, directory, **more):
    rank = directory / "iter_0000007/mp_rank_00"
    rank.mkdir(parents=True)
    args = args_of(network, more)
    torch.save({"args": args, "checkpoint_version": 3.0, "iteration": 7, "model": network.state_dict()},
               rank / "model_optim_rng.pt")
    (directory / "latest_checkpointed_iteration.txt").write_text("7")
    return args


def difference(network, directory):
    """Between the logits of Megatron-Core's model and those of the Hugging Face directory."""
    ids = torch.randint(0, WORDS, (2, LENGTH), generator=torch.Generator().manual_seed(3))
    hidden_from = torch.ones(1, 1, LENGTH, LENGTH, dtype=torch.bool).triu(1)
    with torch.no_grad():
        want = network(ids, torch.arange(LENGTH).expand(ids.shape), hidden_from)
        got = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32, attn_implementation="eager")(ids).logits
    return (got - want).abs().max().item()


EXPRESSED = {
    "rope scaling 32": (dict(model=dict(rope_scaling=True, rope_scaling_factor=32.0, rotary_base=500000)),
                        dict(use_rope_scaling=True, rope_scaling_factor=32.0, rotary_base=500000)),
    "rope scaling 8": (dict(model=dict(rope_scaling=True)), dict(use_rope_scaling=True)),
    "interpolation": (dict(model=dict(seq_len_interpolation_factor=4)), dict(rotary_seq_len_interpolation_factor=4)),
    "interleaved": (dict(config=dict(rotary_interleaved=True)), {}),
    "quick_geglu": (dict(act=quick_gelu), dict(quick_geglu=True)),
}


@pytest.mark.parametrize("name", EXPRESSED)
def test_what_a_llama_can_say_is_computed_alike(name, megatron, tmp_path):  # noqa: F811
    made, stated = EXPRESSED[name]
    network = train(**made)
    save(network, tmp_path / "run", **stated)
    convert("mcore", tmp_path / "run", "llama", tmp_path / "hub")
    assert difference(network, tmp_path / "hub") < 1e-4
    convert("mcore", tmp_path / "run", "mcore", tmp_path / "reshard", target_tensor_parallel_size=2)
    convert("mcore", tmp_path / "reshard", "llama", tmp_path / "again")
    assert difference(network, tmp_path / "again") < 1e-4


def test_a_squared_relu_is_computed_alike(megatron, tmp_path):  # noqa: F811
    network = train(norm="LayerNorm", act=squared_relu, gated=False, bias=True, positions="learned_absolute")
    save(network, tmp_path / "run", squared_relu=True)
    convert("mcore", tmp_path / "run", "gpt2", tmp_path / "hub", model_type="GPT")
    assert difference(network, tmp_path / "hub") < 1e-4


REFUSED = {
    "no_rope_freq": (dict(config=dict(no_rope_freq=2)), 2),
    "activation_func_clamp_value": (dict(config=dict(activation_func_clamp_value=0.05)), 0.05),
    "glu_linear_offset": (dict(config=dict(glu_linear_offset=1.0)), 1.0),
    "softmax_scale": (dict(config=dict(softmax_scale=1.0)), 1.0),
    "rotary_percent": (dict(model=dict(rotary_percent=0.5)), 0.5),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_llama_cannot_say_is_refused_and_matters(name, megatron, tmp_path):  # noqa: F811
    made, value = REFUSED[name]
    network = train(**made)
    save(network, tmp_path / "run", **{name: value})
    with pytest.raises(Failed, match=name):
        convert("mcore", tmp_path / "run", "llama", tmp_path / "hub")
    assert not (tmp_path / "hub").exists()
    convert("mcore", tmp_path / "run", "llama", tmp_path / "hub", ignore=name)
    assert difference(network, tmp_path / "hub") > 1e-2


def test_what_only_rounds_otherwise_is_no_obstacle(megatron, tmp_path):  # noqa: F811
    network = train(config=dict(apply_query_key_layer_scaling=True, attention_softmax_in_fp32=True))
    save(network, tmp_path / "run", apply_query_key_layer_scaling=True)
    convert("mcore", tmp_path / "run", "llama", tmp_path / "hub")
    assert difference(network, tmp_path / "hub") < 1e-4


def test_a_reshard_keeps_the_args_of_the_run(megatron, tmp_path):  # noqa: F811
    before = vars(save(train(), tmp_path / "run", no_rope_freq=2))
    convert("mcore", tmp_path / "run", "mcore", tmp_path / "out", target_tensor_parallel_size=2,
            transformer_impl="local")
    after = torch.load(tmp_path / "out/iter_0000007/mp_rank_01/model_optim_rng.pt", weights_only=False)["args"]
    assert isinstance(after, argparse.Namespace)
    layout = {"tensor_model_parallel_size": 2, "world_size": 2, "padded_vocab_size": 256, "params_dtype": torch.float32, "bf16": False}
    for name, value in before.items():
        assert getattr(after, name) == layout.get(name, value), name
    assert after.attention_backend is AttnBackend.auto
