# SPDX-License-Identifier: Apache-2.0
"""A GPTModel of Megatron-Core as the args in a checkpoint describe it, and what it computes."""
import dataclasses
import types

import torch
import torch.nn.functional as F
from megatron.core import parallel_state
from megatron.core.models.gpt import GPTModel
from megatron.core.models.gpt.gpt_layer_specs import get_gpt_decoder_block_spec, get_gpt_layer_local_spec
from megatron.core.transformer import MLATransformerConfig, TransformerConfig, multi_latent_attention
from megatron.core.transformer.dot_product_attention import DotProductAttention
from megatron.core.transformer.moe import experts, moe_utils

if not hasattr(moe_utils, "te_general_gemm"):  # without Transformer Engine, 0.16.1 asks for a name that it never gave
    moe_utils.te_general_gemm = None

for linear in ("TELinear", "TEColumnParallelLinear"):  # latent attention asks what is of these types, which are mocks
    if not isinstance(getattr(multi_latent_attention, linear, None), type):
        setattr(multi_latent_attention, linear, type(linear, (), {}))


def grouped_gemm(x, weights, counts, trans_b=False):
    """What the kernel of that name computes: each expert's rows times its matrix."""
    rows = x.split(counts.tolist())
    return torch.cat([part @ (weight.t() if trans_b else weight) for part, weight in zip(rows, weights)])


if hasattr(experts, "gg"):  # the kernel is for accelerators
    experts.gg.assert_grouped_gemm_is_available = lambda: None
    experts.gg.ops = types.SimpleNamespace(gmm=grouped_gemm)


class ZeroCentredNorm(torch.nn.RMSNorm):
    """Gemma's; Transformer Engine has it, Megatron-Core's local norm does not."""

    def forward(self, x):
        return F.rms_norm(x, self.normalized_shape, 1 + self.weight, self.eps)


def gelu_tanh(x):
    return F.gelu(x, approximate="tanh")


def expert_settings(args):
    """What args say of experts, in the words of TransformerConfig."""
    if not getattr(args, "num_experts", None):
        return {}
    names = {field.name for field in dataclasses.fields(TransformerConfig) if field.name.startswith("moe_")}
    said = {name: value for name, value in vars(args).items() if name in names}
    return {**said, "num_moe_experts": args.num_experts, "moe_token_dispatcher_type": "allgather"}


LATENT = ("q_lora_rank", "kv_lora_rank", "qk_head_dim", "qk_pos_emb_head_dim", "v_head_dim", "rope_type", "rotary_base",
          "rotary_scaling_factor", "original_max_position_embeddings", "beta_fast", "beta_slow", "mscale", "mscale_all_dim")


def latent_settings(args):
    """What args say of latent attention."""
    if not getattr(args, "multi_latent_attention", False):
        return {}
    return {"multi_latent_attention": True, **{name: getattr(args, name) for name in LATENT if hasattr(args, name)}}


class LatentCoreAttention(DotProductAttention):
    """Megatron-Core's own, with the sizes that latent attention gives to Transformer Engine's alone."""

    def __init__(self, *args, k_channels=None, v_channels=None, **options):
        super().__init__(*args, **options)
        if v_channels:  # without them, it is built for what all attention has in common, and then again
            self.hidden_size_per_partition = v_channels * self.num_attention_heads_per_partition


def make_config(args, is_gemma=False, **parallel):
    """From the args in the checkpoint, as Megatron's core_transformer_config_from_args makes it."""
    fused_gelu = args.bias_gelu_fusion and not args.swiglu and not is_gemma  # a kernel that computes the tanh form
    latent = latent_settings(args)
    return (MLATransformerConfig if latent else TransformerConfig)(
        num_layers=args.num_layers, hidden_size=args.hidden_size, num_attention_heads=args.num_attention_heads,
        num_query_groups=args.num_query_groups if args.group_query_attention else args.num_attention_heads,
        kv_channels=args.kv_channels, ffn_hidden_size=args.ffn_hidden_size, normalization=args.normalization,
        layernorm_epsilon=args.norm_epsilon, add_bias_linear=args.add_bias_linear, add_qkv_bias=args.add_qkv_bias,
        activation_func=F.silu if args.swiglu else gelu_tanh if is_gemma or args.openai_gelu else F.gelu,
        gated_linear_unit=args.swiglu or is_gemma, bias_activation_fusion=fused_gelu, hidden_dropout=0.0,
        attention_dropout=0.0, bias_dropout_fusion=False, masked_softmax_fusion=False, persist_layer_norm=False,
        apply_rope_fusion=False, gradient_accumulation_fusion=False, use_cpu_initialization=True,
        rotary_interleaved=args.rotary_interleaved, qk_layernorm=getattr(args, "qk_layernorm", False),
        **expert_settings(args), **latent, **parallel)


def layer_spec(config, args):
    if config.num_moe_experts:
        spec = get_gpt_decoder_block_spec(config, use_transformer_engine=False, normalization=args.normalization)
        for layer in spec.layer_specs if config.multi_latent_attention else []:
            layer.submodules.self_attention.submodules.core_attention = LatentCoreAttention
        return spec
    return get_gpt_layer_local_spec(qk_layernorm=config.qk_layernorm, normalization=args.normalization)


def make_gpt(args, is_gemma=False, embedding_scale=1.0, **parallel):
    """As pretrain_gpt.py makes it, with local layers. What args cannot say of Gemma is said by the caller."""
    config = make_config(args, is_gemma, **parallel)
    model = GPTModel(
        config, layer_spec(config, args), vocab_size=args.padded_vocab_size, max_sequence_length=args.max_position_embeddings,
        pre_process=parallel_state.is_pipeline_first_stage(), post_process=parallel_state.is_pipeline_last_stage(),
        position_embedding_type=args.position_embedding_type, rotary_percent=args.rotary_percent,
        rotary_base=args.rotary_base, rope_scaling=args.use_rope_scaling, rope_scaling_factor=args.rope_scaling_factor,
        seq_len_interpolation_factor=args.rotary_seq_len_interpolation_factor,
        share_embeddings_and_output_weights=not args.untie_embeddings_and_output_weights)
    if args.apply_layernorm_1p:
        for parent in list(model.modules()):
            for name, norm in list(parent.named_children()):
                if isinstance(norm, torch.nn.RMSNorm):
                    setattr(parent, name, ZeroCentredNorm(norm.normalized_shape, args.norm_epsilon))
    for module in model.modules():
        if type(module).__name__ == "GroupedMLP":  # its kernel would insist
            module.config = dataclasses.replace(module.config, bf16=True)
    if embedding_scale != 1.0:
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
