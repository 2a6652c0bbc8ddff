# SPDX-License-Identifier: Apache-2.0
"""Small models of each family with random weights, and how transformers writes and reads them."""
import json
from dataclasses import dataclass

import torch
import transformers
from safetensors.torch import save_file

LLM = ("megatron", {"dialect": "llm"})
LM = ("megatron", {"dialect": "lm"})
TE = ("mcore", {"transformer_impl": "transformer_engine", "ckpt_format": "torch"})
LOCAL = ("mcore", {"transformer_impl": "local", "ckpt_format": "torch"})
ALL = (LLM, LM, TE, LOCAL)
CORE = (TE, LOCAL)
DIST = ("mcore", {"ckpt_format": "torch_dist"})


def with_experts(saver, **options):
    """Half of the experts on each of two ranks."""
    return saver[0], {**saver[1], "target_expert_parallel_size": "2", **options}


# The three ways in which Megatron-Core names experts; and ranks that share experts' tensors in two ways.
EXPERTS = (with_experts(TE), with_experts(LOCAL, target_expert_tensor_parallel_size="1"),
           with_experts(LOCAL, expert_layout="grouped"), DIST)


@dataclass
class Model:
    """One geometry of a family, and the Megatron formats that can express it."""

    family: str  # the plugin
    architecture: str
    config: dict
    megatron: tuple = ()
    tensor_parallel: int = 2

    def build(self, seed=0):
        """The model in float32. Norms and biases are random too: a default of 0 or 1 would hide a mix-up."""
        torch.manual_seed(seed)
        model_class = getattr(transformers, self.architecture)
        model = model_class._from_config(model_class.config_class(**self.config), attn_implementation="eager",
                                         dtype=torch.float32)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                is_norm = parameter.dim() == 1 and name.endswith("weight")
                parameter.normal_(1.0 if is_norm and self.family != "gemma" else 0.0, 0.2 if parameter.dim() == 1 else 0.1)
            for name, buffer in model.named_buffers():
                if name.endswith("e_score_correction_bias"):
                    buffer.normal_(0.0, 0.1)
        return model.eval()


LLAMA_SIZES = dict(hidden_size=64, num_hidden_layers=4, num_attention_heads=8, num_key_value_heads=4,
                   intermediate_size=96, vocab_size=250, max_position_embeddings=64)


LLAMA_3_1 = dict(rope_type="llama3", rope_theta=500000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                 original_max_position_embeddings=8192)


def llama(megatron=ALL, **config):
    return Model("llama", "LlamaForCausalLM", {**LLAMA_SIZES, **config}, megatron)


def scaled(**rope):
    return llama(rope_parameters={"rope_theta": 10000.0, **rope})


def mistral(**config):
    return Model("mistral", "MistralForCausalLM", {**LLAMA_SIZES, **config}, ALL)


def gemma(tensor_parallel=2, **config):
    sizes = {**LLAMA_SIZES, "head_dim": 16, "max_position_embeddings": 64, **config}
    return Model("gemma", "GemmaForCausalLM", sizes, CORE, tensor_parallel)


def gemma2(architecture, **config):
    """The second and third have windows in some layers, and names for Transformer Engine's layers alone."""
    sizes = {**LLAMA_SIZES, "head_dim": 16, "query_pre_attn_scalar": 24, "sliding_window": 8, **config}
    return Model("gemma", architecture, sizes, (TE, DIST))


def falcon(megatron, tensor_parallel=1, **config):
    sizes = dict(hidden_size=64, num_hidden_layers=4, num_attention_heads=8, vocab_size=250, max_position_embeddings=64)
    return Model("falcon", "FalconForCausalLM", {**sizes, **config}, megatron, tensor_parallel)


def qwen(architecture, megatron=CORE, **config):
    return Model("qwen", architecture, {**LLAMA_SIZES, **config}, megatron)


def bert(architecture, **config):
    sizes = dict(hidden_size=64, num_hidden_layers=4, num_attention_heads=8, intermediate_size=96, vocab_size=250,
                 max_position_embeddings=64)
    megatron = (LM, *CORE) if architecture.startswith("MegatronBert") else ()
    return Model("bert", architecture, {**sizes, **config}, megatron)


MODELS = {
    # Llama: geometry
    "llama-gqa": llama(rms_norm_eps=1e-5),
    "llama-mha": llama(num_key_value_heads=8),
    "llama-tied": llama(tie_word_embeddings=True),
    "llama-biases": llama(attention_bias=True, mlp_bias=True),
    "llama-head-dim": llama(head_dim=16),
    "llama-theta": llama(rope_parameters={"rope_type": "default", "rope_theta": 500000.0}),
    # Llama: every form of rope scaling, mostly of 16 positions, so that the 24 tokens of the tests lie beyond them
    "llama-linear": scaled(rope_type="linear", factor=4.0),
    "llama-dynamic": scaled(rope_type="dynamic", factor=4.0, original_max_position_embeddings=16),
    "llama-llama3": scaled(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                           original_max_position_embeddings=16),
    "llama-3.1": llama(rope_parameters=LLAMA_3_1),
    "llama-yarn": scaled(rope_type="yarn", factor=4.0, original_max_position_embeddings=16, beta_fast=16.0,
                         beta_slow=2.0),
    "llama-longrope": scaled(rope_type="longrope", factor=4.0, original_max_position_embeddings=16,
                             short_factor=[1.0, 1.1, 1.2, 1.3], long_factor=[1.0, 2.0, 3.0, 4.0]),
    # Mistral
    "mistral-window": mistral(sliding_window=8),
    "mistral-no-window": mistral(sliding_window=None, rope_parameters={"rope_type": "default", "rope_theta": 1e6}),
    "mistral-head-dim": mistral(sliding_window=None, head_dim=16),
    # Gemma
    "gemma-mha": gemma(num_key_value_heads=8),
    "gemma-mqa": gemma(num_key_value_heads=1, tensor_parallel=1),
    "gemma2": gemma2("Gemma2ForCausalLM", attn_logit_softcapping=5.0, final_logit_softcapping=3.0),
    "gemma3": gemma2("Gemma3ForCausalLM", num_hidden_layers=6, sliding_window_pattern=3, rope_parameters={
        "full_attention": dict(rope_type="linear", rope_theta=1e6, factor=8.0),
        "sliding_attention": dict(rope_type="default", rope_theta=1e4)}),
    # Falcon
    "falcon-7b": falcon((LLM,), multi_query=True, parallel_attn=True, new_decoder_architecture=False, bias=False),
    "falcon-40b": falcon((LLM,), 2, num_kv_heads=2, new_decoder_architecture=True, bias=False),
    "falcon-11b": falcon((LLM,), 2, num_kv_heads=2, new_decoder_architecture=True, num_ln_in_parallel_attn=1,
                         bias=False, tie_word_embeddings=False),
    "falcon-rw": falcon((), multi_query=False, parallel_attn=False, new_decoder_architecture=False, bias=True, alibi=True),
    "falcon-sequential": falcon((LLM, LM, *CORE), 2, multi_query=False, parallel_attn=False,
                                new_decoder_architecture=False, bias=True, alibi=False),
    # Qwen
    "qwen2": qwen("Qwen2ForCausalLM", rms_norm_eps=1e-5),
    "qwen3": qwen("Qwen3ForCausalLM", (*CORE, DIST), head_dim=16, num_key_value_heads=2, tie_word_embeddings=True),
    "qwen2-moe": qwen("Qwen2MoeForCausalLM", EXPERTS, num_experts=8, num_experts_per_tok=2, moe_intermediate_size=32,
                      shared_expert_intermediate_size=48, norm_topk_prob=False, mlp_only_layers=[1]),
    "qwen3-moe": qwen("Qwen3MoeForCausalLM", EXPERTS, head_dim=16, num_experts=8, num_experts_per_tok=3,
                      moe_intermediate_size=32, norm_topk_prob=True),
    "mixtral": Model("mistral", "MixtralForCausalLM", {**LLAMA_SIZES, "num_local_experts": 4, "num_experts_per_tok": 2},
                     EXPERTS),
    # DeepSeek-V3 and GLM-4.5
    "deepseek-v3": Model(
        "deepseek", "DeepseekV3ForCausalLM",
        dict(hidden_size=64, num_hidden_layers=4, num_attention_heads=4, num_key_value_heads=4, intermediate_size=96,
             vocab_size=250, max_position_embeddings=64, q_lora_rank=24, kv_lora_rank=16, qk_nope_head_dim=16,
             qk_rope_head_dim=8, v_head_dim=16, n_routed_experts=8, num_experts_per_tok=4, n_group=4, topk_group=2,
             moe_intermediate_size=32, n_shared_experts=1, first_k_dense_replace=1, routed_scaling_factor=2.5,
             num_nextn_predict_layers=0, rope_parameters=dict(rope_type="yarn", rope_theta=1e4, factor=4.0, mscale=1.0,
             mscale_all_dim=1.0, beta_fast=32.0, beta_slow=1.0, original_max_position_embeddings=16)), EXPERTS),
    "glm4-moe": Model(
        "glm", "Glm4MoeForCausalLM",
        {**LLAMA_SIZES, "head_dim": 16, "n_routed_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 32,
         "n_shared_experts": 1, "first_k_dense_replace": 1, "n_group": 1, "topk_group": 1, "use_qk_norm": True,
         "attention_bias": True, "routed_scaling_factor": 1.5, "num_nextn_predict_layers": 0,
         "rope_parameters": dict(rope_type="default", rope_theta=1e6, partial_rotary_factor=0.5)}, EXPERTS),
    # GPT-2
    "gpt2": Model("gpt2", "GPT2LMHeadModel", dict(n_embd=64, n_layer=4, n_head=8, n_positions=64, vocab_size=250),
                  (LM, *CORE)),
    # BERT: as published, with norms behind; and as Megatron has it, with norms in front
    "bert-pretraining": bert("BertForPreTraining"),
    "bert-masked-lm": bert("BertForMaskedLM"),
    "bert-model": bert("BertModel"),
    "megatron-bert": bert("MegatronBertForPreTraining"),
}

FORMATS = ("safetensors", "safetensors-sharded", "bin", "bin-sharded")


def write(model, directory, file_format="safetensors"):
    """What save_pretrained writes, or wrote when it still wrote torch files."""
    if file_format == "safetensors":
        model.save_pretrained(directory)
    elif file_format == "safetensors-sharded":
        model.save_pretrained(directory, max_shard_size="100KB")
    else:
        model.config.architectures = [type(model).__name__]
        model.config.save_pretrained(directory)
        write_bin(model.state_dict(), directory, 1 if file_format == "bin" else 3)
    return directory


def write_bin(state, directory, shards):
    """Tied tensors are in it under both names, as they always were in torch files."""
    if shards == 1:
        torch.save(state, directory / "pytorch_model.bin")
        return
    names = [f"pytorch_model-{i + 1:05d}-of-{shards:05d}.bin" for i in range(shards)]
    weight_map = {tensor: names[i % shards] for i, tensor in enumerate(state)}
    for name in names:
        torch.save({t: v for t, v in state.items() if weight_map[t] == name}, directory / name)
    total = sum(v.numel() * v.element_size() for v in state.values())
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    (directory / "pytorch_model.bin.index.json").write_text(json.dumps(index))


def load(architecture, directory):
    """from_pretrained, which must find each tensor it looks for and nothing else."""
    model, info = getattr(transformers, architecture).from_pretrained(
        directory, output_loading_info=True, dtype=torch.float32, attn_implementation="eager")
    problems = {kind: found for kind, found in info.items() if found}
    assert not problems, problems
    return model.eval()


def outputs(model):
    """All that the model computes for some tokens; 24 of them, more than any window or unscaled context here."""
    ids = torch.randint(0, model.config.vocab_size, (2, 24), generator=torch.Generator().manual_seed(1))
    extra = {}
    if "bert" in model.config.model_type:
        extra["token_type_ids"] = (torch.arange(24) > 12).long().expand(2, 24)
    else:
        extra["use_cache"] = False
    with torch.no_grad():
        return model(ids, **extra).to_tuple()


def assert_same_outputs(a, b):
    """Bit for bit, except that -0.0 equals 0.0."""
    first, second = outputs(a), outputs(b)
    assert len(first) == len(second)
    for x, y in zip(first, second):
        assert x.isfinite().all()
        assert torch.equal(x, y), f"differ by up to {(x - y).abs().max()}"


def assert_same_tensors(a, b):
    """Same names, dtypes, shapes, bits."""
    assert a.keys() == b.keys(), a.keys() ^ b.keys()
    for name in a:
        x, y = a[name].contiguous(), b[name].contiguous()
        assert (x.dtype, x.shape) == (y.dtype, y.shape), name
        assert torch.equal(x.view(torch.uint8), y.view(torch.uint8)), name


def write_safetensors(tensors, directory):
    save_file({name: t.contiguous() for name, t in tensors.items()}, directory / "model.safetensors", {"format": "pt"})
