# SPDX-License-Identifier: Apache-2.0
"""Gemma 2 and 3 of Megatron-Core's parts, put together as Megatron-Bridge does it: norms behind attention and MLP, soft
caps, a scale of its own, windows and rotary bases by layer. Megatron-Core itself has none of these."""
import torch
from gpt_model import ZeroCentredNorm, make_gpt
from megatron.core.models.common.embeddings.rotary_pos_embedding import RotaryEmbedding

# Transformer Engine's linears hold the norm in front of them; Megatron-Core's own layers have it beside.
LOCAL_NAMES = {"self_attention.linear_qkv.layer_norm_weight": "input_layernorm.weight",
               "mlp.linear_fc1.layer_norm_weight": "pre_mlp_layernorm.weight"}


def soft_cap(values, cap):
    return cap * torch.tanh(values / cap) if cap else values


class SoftCap(torch.nn.Module):
    """In front of the scores' mask."""

    def __init__(self, cap, inner):
        super().__init__()
        self.cap, self.inner = cap, inner

    def forward(self, scores, *others):
        return self.inner(soft_cap(scores, self.cap), *others)


def add_output_norm(linear, args):
    linear.post_layernorm = ZeroCentredNorm(args.hidden_size, args.norm_epsilon)
    linear.register_forward_hook(lambda module, _inputs, output: (module.post_layernorm(output[0]), output[1]))


def give_window(layer, args, rotary):
    """The layer sees the last tokens only, and turns by a base of its own where there is one."""

    def replace(_layer, inputs, given):
        mask = given["attention_mask"]
        far = torch.ones_like(mask).tril(-args.window_size[0] - 1)
        given = {**given, "attention_mask": mask | far}
        if rotary:
            given["rotary_pos_emb"] = rotary(mask.shape[-1])
        return inputs, given

    layer.register_forward_pre_hook(replace, with_kwargs=True)


def make_gemma(args):
    """From the args that we write; the names that Megatron does not know are Megatron-Bridge's or our own."""
    model = make_gpt(args, True, args.hidden_size**0.5, softmax_scale=args.query_pre_attn_scalar**-0.5)
    local = None
    if args.gemma_version == 3:
        model.rotary_pos_emb.inv_freq /= args.rope_global_linear_factor or 1.0
        local = RotaryEmbedding(args.kv_channels, 1.0, rotary_base=args.rope_local_base_freq, use_cpu_initialization=True)
    for layer, has_window in zip(model.decoder.layers, args.window_attn_skip_freq):
        attention = layer.self_attention.core_attention
        attention.scale_mask_softmax = SoftCap(args.attn_logit_softcapping, attention.scale_mask_softmax)
        add_output_norm(layer.self_attention.linear_proj, args)
        add_output_norm(layer.mlp.linear_fc2, args)
        if has_window:
            give_window(layer, args, local)
    return model.eval()


def in_local_names(state):
    renamed = {}
    for name, value in state.items():
        for engine, local in LOCAL_NAMES.items():
            name = name.replace(engine, local)
        renamed[name] = value
    return renamed
