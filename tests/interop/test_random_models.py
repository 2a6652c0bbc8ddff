# SPDX-License-Identifier: Apache-2.0
"""Models that dice have put together: Megatron-Core computes what transformers computes, or the conversion is refused. And
the other way round, from args that a training run may have changed, with and without the crossdock.json of the conversion
that it began with."""
import copy
import os
import random
import shutil

import torch
from conftest import Failed, convert
from gemma_gpt import give_window, in_local_names, make_gemma, soft_cap
from gpt_model import logits, make_gpt
from models import LLAMA_3_1, MODELS, write
from test_megatron_core import megatron  # noqa: F401  (a fixture)
from transformers import AutoModelForCausalLM

# More look for more: CROSSDOCK_RANDOM_MODELS=2000.
COUNT = int(os.environ.get("CROSSDOCK_RANDOM_MODELS", 40))
IDS = torch.randint(0, 250, (2, 24), generator=torch.Generator().manual_seed(3))

PLAIN = [dict(rope_type="default", rope_theta=theta) for theta in (1e4, 5e5, 123.0)]
LINEAR = [dict(rope_type="linear", rope_theta=theta, factor=factor) for theta in (1e4, 1e6) for factor in (0.5, 1.0, 4.0)]
ROPE = [*PLAIN, *LINEAR, LLAMA_3_1, {**LLAMA_3_1, "factor": 32.0}]
MSCALES = (None, 0.0, 0.5, 0.707, 1.0)
YARN = [dict(rope_type="yarn", rope_theta=1e4, factor=factor, original_max_position_embeddings=16, beta_fast=beta, beta_slow=1,
             mscale=mscale, mscale_all_dim=all_dim)
        for factor in (1.0, 4.0, 40.0) for beta in (16, 32.0, None) for mscale in MSCALES for all_dim in MSCALES]
PARTIAL = [{**rope, "partial_rotary_factor": part} for rope in (*PLAIN, *LINEAR) for part in (0.25, 0.5, 1.0)]
EPSILONS = dict(rms_norm_eps=(1e-6, 1e-3, 0.1))
ROUTER = dict(norm_topk_prob=(True, False), num_experts_per_tok=(2, 3))
GROUPS = dict(num_experts_per_tok=(4,), routed_scaling_factor=(0.5, 1.0, 2.5), n_group=(1, 2, 4), topk_group=(1, 2, 4),
              first_k_dense_replace=(0, 1, 2), n_shared_experts=(1, 2))
GEMMA = dict(rms_norm_eps=(1e-6, 1e-3), query_pre_attn_scalar=(16, 24, 30), final_logit_softcapping=(None, 3.0),
             sliding_window=(4, 8))
GEMMA_ROPE = [dict(full_attention=full, sliding_attention=sliding) for full in (*PLAIN, *LINEAR) for sliding in PLAIN]

# What a config.json may say of each: half of it is left as it is.
SPACES = {
    "llama-gqa": dict(EPSILONS, rope_parameters=ROPE, num_key_value_heads=(1, 2, 8), head_dim=(6, 8, 32),
                      tie_word_embeddings=(True, False)),
    "llama-biases": dict(EPSILONS, rope_parameters=ROPE, mlp_bias=(True, False)),
    "mistral-window": dict(EPSILONS, rope_parameters=ROPE, sliding_window=(None, 1, 5), head_dim=(8, 16)),
    "gemma-mha": dict(EPSILONS, rope_parameters=[*PLAIN, *LINEAR], num_key_value_heads=(1, 2)),
    "gemma2": dict(GEMMA, attn_logit_softcapping=(None, 5.0), num_hidden_layers=(3, 4)),
    "gemma3": dict(GEMMA, attn_logit_softcapping=(None, 5.0), rope_parameters=GEMMA_ROPE, sliding_window_pattern=(2, 3)),
    "falcon-sequential": dict(layer_norm_epsilon=(1e-5, 1e-2), tie_word_embeddings=(True, False)),
    "qwen2": dict(EPSILONS, rope_parameters=ROPE, tie_word_embeddings=(True, False), num_key_value_heads=(1, 2)),
    "qwen3": dict(EPSILONS, rope_parameters=ROPE, head_dim=(8, 32), attention_bias=(True, False)),
    "qwen2-moe": dict(EPSILONS, **ROUTER, mlp_only_layers=([], [0, 2]), decoder_sparse_step=(1, 2)),
    "qwen3-moe": dict(EPSILONS, **ROUTER, rope_parameters=ROPE, num_experts=(4, 6)),
    "mixtral": dict(EPSILONS, rope_parameters=ROPE, num_local_experts=(2, 4), sliding_window=(None, 5)),
    # Of latents transformers' norms always have 1e-6.
    "deepseek-v3": dict(GROUPS, rope_parameters=[*PLAIN, *YARN], q_lora_rank=(None, 24), v_head_dim=(8, 16)),
    "glm4-moe": dict(GROUPS, **EPSILONS, rope_parameters=PARTIAL, use_qk_norm=(True, False), attention_bias=(True, False)),
    "gpt2": dict(layer_norm_epsilon=(1e-5, 0.1), activation_function=("gelu_new", "gelu", "gelu_pytorch_tanh"), n_inner=(None, 80),
                 tie_word_embeddings=(True, False)),
}

# What classes have that may not be the model's: each takes any key, and most of these it never looks at.
OTHERS = dict(attention_bias=(True, False), mlp_bias=(True,), qkv_bias=(False,), use_qk_norm=(True,), head_dim=(8, 16),
              sliding_window=(None, 5), use_sliding_window=(True,), max_window_layers=(0, 2), partial_rotary_factor=(0.5,),
              rope_interleave=(False,), norm_topk_prob=(True, False), routed_scaling_factor=(2.5,), scoring_func=("softmax",),
              n_group=(2,), attn_logit_softcapping=(5.0,), final_logit_softcapping=(3.0,), query_pre_attn_scalar=(24,),
              scale_attn_weights=(False,), multi_query=(True,), layer_types=(["full_attention", "sliding_attention"] * 2,),
              embedding_multiplier=(2.0,), logit_scale=(0.5,), residual_multiplier=(0.5,), attention_multiplier=(0.5,),
              num_nextn_predict_layers=(1,), add_bias_linear=(True,), rotary_pct=(0.5,), use_parallel_residual=(True,))

# What args may say besides.
ROTARY = dict(rotary_base=(100, 1000000), rotary_percent=(0.5, 1.0), rotary_interleaved=(True, False),
              rotary_seq_len_interpolation_factor=(None, 0.5, 4), use_rope_scaling=(True, False), rope_scaling_factor=(8.0, 32.0))
ARGS = dict(norm_epsilon=(1e-6, 1e-3), bias_gelu_fusion=(True, False))
EXPERT_ARGS = dict(moe_router_topk=(1, 2, 3), moe_router_pre_softmax=(True, False), moe_router_topk_scaling_factor=(None, 0.5, 2.5),
                   moe_router_num_groups=(None, 2), moe_router_group_topk=(None, 1))
LATENT_ARGS = dict(rope_type=("rope", "yarn"), rotary_scaling_factor=(1.0, 2.0, 40.0), mscale=MSCALES[1:], mscale_all_dim=MSCALES[1:],
                   original_max_position_embeddings=(16, 4096), beta_fast=(16.0, 32.0), beta_slow=(1.0, 2.0))
GEMMA_ARGS = dict(query_pre_attn_scalar=(16, 24), attn_logit_softcapping=(None, 5.0), final_logit_softcapping=(None, 3.0),
                  rope_local_base_freq=(100, 10000), rope_global_linear_factor=(None, 2.0, 8.0))


def thrown(space, dice):
    return {key: dice.choice(values) for key, values in space.items() if dice.random() < 0.5}


def random_model(dice, directory):
    """One that transformers can build, in this directory, and what it computes."""
    while True:
        name = dice.choice(list(SPACES))
        spec = copy.deepcopy(MODELS[name])
        spec.config.update(thrown(SPACES[name], dice))
        if dice.random() < 0.3:
            key = dice.choice(list(OTHERS))
            spec.config[key] = dice.choice(OTHERS[key])
        shutil.rmtree(directory, ignore_errors=True)
        try:
            write(spec.build(dice.randrange(1000)), directory)
            found = hub_logits(directory)
        except Exception:  # whatever its class thinks of it
            continue
        if found.isfinite().all():
            return spec, found


def hub_logits(directory):
    """Of the class that transformers takes the model for."""
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32, attn_implementation="eager")
    with torch.no_grad():
        return model.eval()(IDS).logits[..., :250]


def is_local(spec):
    return spec.architecture not in ("Gemma2ForCausalLM", "Gemma3ForCausalLM")


def to_core(spec, directory):
    convert(spec.family, directory / "hub", "mcore", directory / "core", ckpt_format="torch",
            transformer_impl="local" if is_local(spec) else "transformer_engine")
    [file] = (directory / "core").rglob("*.pt")
    return file, torch.load(file, weights_only=False)


def core_logits(spec, content):
    args, state = content["args"], content["model"]
    if is_local(spec):
        is_gemma = spec.family == "gemma"
        model = make_gpt(args, is_gemma, args.hidden_size**0.5 if is_gemma else 1.0)
        model.load_state_dict(state, strict=True)
        with_window = args.window_attn_skip_freq
        if not isinstance(with_window, list):
            return logits(model, IDS, args.window_size)[..., :250]
        for layer in (layer for layer, has_window in zip(model.decoder.layers, with_window) if has_window):
            give_window(layer, args, None)
        return logits(model, IDS, None)[..., :250]
    model = make_gemma(args)
    model.load_state_dict(in_local_names(state), strict=True)
    return soft_cap(logits(model, IDS, None), args.final_logit_softcapping)[..., :250]


def assert_close(got, want, *what):
    assert got.isfinite().all(), what
    difference = ((got - want).abs().max() / want.abs().max().clamp(min=1)).item()
    assert difference < 1e-3, (difference, *what)


def test_megatron_core_computes_what_dice_have_put_together(megatron, tmp_path):  # noqa: F811
    compared = 0
    for seed in range(COUNT):
        spec, want = random_model(random.Random(seed), tmp_path / str(seed) / "hub")
        try:
            _, content = to_core(spec, tmp_path / str(seed))
        except Failed:
            continue
        assert_close(core_logits(spec, content), want, seed, spec)
        compared += 1
    assert compared > COUNT / 2


def changed_args(spec, args, dice):
    """Other args of the same tensors, of which Megatron-Core can build a model."""
    space = dict(ARGS)
    if hasattr(args, "gemma_version"):
        space.update(GEMMA_ARGS)
    elif args.position_embedding_type == "rope" and not args.multi_latent_attention:
        space.update(ROTARY)
    if args.num_experts:
        space.update(EXPERT_ARGS)
    if args.multi_latent_attention:
        space.update(LATENT_ARGS, norm_epsilon=(1e-6,))
    changed = {name: value for name, value in thrown(space, dice).items() if hasattr(args, name)}
    if "norm_epsilon" in changed:
        changed["layernorm_epsilon"] = changed["norm_epsilon"]  # which releases before 0.16 call it
    return changed


def test_transformers_computes_what_changed_args_say(megatron, tmp_path):  # noqa: F811
    compared = 0
    for seed in range(COUNT):
        dice, directory = random.Random(seed), tmp_path / str(seed)
        spec, _ = random_model(dice, directory / "hub")
        try:
            file, content = to_core(spec, directory)
            changed = changed_args(spec, content["args"], dice)
            vars(content["args"]).update(changed)
            want = core_logits(spec, content)
        except (Failed, ValueError, RuntimeError, AssertionError):  # Megatron-Core cannot do it either
            continue
        torch.save(content, file)
        if dice.random() < 0.5:
            (directory / "core/crossdock.json").unlink()
        try:
            convert("mcore", directory / "core", spec.family, directory / "back")
        except Failed:
            continue
        assert_close(hub_logits(directory / "back"), want, seed, changed, spec)
        compared += 1
    assert compared > COUNT / 4
