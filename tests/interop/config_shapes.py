# SPDX-License-Identifier: Apache-2.0
"""config.json of public models of the families, and how they are made small.

Each shape has the keys and spellings of the file in the repository that it is named after, and nothing is normalised.
What repeats is written once: a base is the file of one repository, and the others say how they differ. Those named
variant/… have a spelling that is found in the wild but in none of the others. Only sizes shrink, see small()."""
from dataclasses import dataclass, field

LEFT_OUT = object()  # a key that the base has and this repository's file has not


@dataclass
class Shape:
    repository: str
    family: str  # the plugin
    config: dict
    model_class: str  # of transformers
    reference: dict = field(default_factory=dict)  # what transformers is told where it cannot read such a file itself

    @property
    def id(self):
        return self.repository


SHAPES = {}


def shape(repository, family, model_class, base, changes=None, reference=None, **more):
    config = {**base, **(changes or {}), **more}
    config = {key: value for key, value in config.items() if value is not LEFT_OUT}
    assert repository not in SHAPES, repository
    told = small({**config, **reference}) if reference else {}
    SHAPES[repository] = Shape(repository, family, small(config), model_class,
                               {key: value for key, value in told.items() if value is not LEFT_OUT})
    return config


# ------------------------------------------------------------------------------------------------- made small

HIDDEN, HEADS, GROUPS, HEAD_SIZE, LAYERS, MLP, POSITIONS, WINDOW = 64, 8, 4, 16, 2, 96, 64, 8
ROTARY_ONLY_IN_LONG_TEXTS = ("dynamic", "longrope")  # do nothing within the context, which shrinks therefore
SPELLINGS = {"hidden_size": ("hidden_size", "n_embd", "n_embed"), "heads": ("num_attention_heads", "n_head"),
             "groups": ("num_key_value_heads", "num_kv_heads", "n_head_kv"), "layers": ("num_hidden_layers", "n_layer"),
             "mlp": ("intermediate_size", "n_inner", "ffn_hidden_size"),
             "positions": ("max_position_embeddings", "n_positions", "n_ctx")}


def get(config, what):
    return next((config[key] for key in SPELLINGS[what] if config.get(key) is not None), None)


def token(value, vocab):
    if isinstance(value, list):
        return [token(one, vocab) for one in value]
    return value if value is None or value < vocab else value % 250


def small(config):
    """Sizes alone. Kept are their relations: as many groups as heads, one, or between; a head size that is the hidden
    size by the heads or another; an MLP of four times the hidden size or another; an odd vocabulary."""
    config = dict(config)
    hidden, heads = get(config, "hidden_size"), get(config, "heads")
    learned = config["model_type"] in ("gpt2", "bert", "megatron-bert")

    def put(what, value):
        for key in SPELLINGS[what]:
            if config.get(key) is not None:
                config[key] = value(config[key]) if callable(value) else value

    if config.get("head_dim") is not None:
        config["head_dim"] = HIDDEN // HEADS if config["head_dim"] == hidden // heads else HEAD_SIZE
    put("groups", lambda groups: HEADS if groups == heads else 1 if groups == 1 else GROUPS)
    put("mlp", lambda mlp: 4 * HIDDEN if mlp == 4 * hidden else MLP)
    put("hidden_size", HIDDEN)
    put("heads", HEADS)
    put("layers", LAYERS)
    rope = config.get("rope_scaling") or config.get("rope_parameters") or {}
    if learned:
        put("positions", POSITIONS)
    elif rope.get("rope_type", rope.get("type")) in ROTARY_ONLY_IN_LONG_TEXTS:
        put("positions", 16)
    if config.get("sliding_window") is not None:
        config["sliding_window"] = WINDOW
    for key in ("max_window_layers", "pooler_fc_size"):
        if key in config:
            config[key] = LAYERS if key == "max_window_layers" else HIDDEN
    config["vocab_size"] = 250 + config["vocab_size"] % 2
    for key in config:
        if key.endswith("_token_id"):
            config[key] = token(config[key], config["vocab_size"])
    return config


# ------------------------------------------------------------------------------------------------------ Llama

def llama(repository, base, changes=None, **more):
    return shape(repository, "llama", "LlamaForCausalLM", base, changes, **more)


SIZE_13B = dict(hidden_size=5120, intermediate_size=13824, num_attention_heads=40, num_hidden_layers=40)
GROUPED_13B = {**SIZE_13B, "num_key_value_heads": 40}
LLAMA_1 = llama("huggyllama/llama-7b", dict(
    architectures=["LlamaForCausalLM"], bos_token_id=1, eos_token_id=2, hidden_act="silu", hidden_size=4096,
    initializer_range=0.02, intermediate_size=11008, max_position_embeddings=2048, max_sequence_length=2048,
    model_type="llama", num_attention_heads=32, num_hidden_layers=32, pad_token_id=0, rms_norm_eps=1e-06,
    tie_word_embeddings=False, torch_dtype="float16", transformers_version="4.28.1", use_cache=True, vocab_size=32000))
llama("huggyllama/llama-13b", LLAMA_1, SIZE_13B)
llama("huggyllama/llama-65b", LLAMA_1, hidden_size=8192, intermediate_size=22016, num_attention_heads=64,
      num_hidden_layers=80, rms_norm_eps=1e-05)
llama("decapoda-research/llama-7b-hf", LLAMA_1, architectures=["LLaMAForCausalLM"], bos_token_id=0, eos_token_id=1,
      max_position_embeddings=LEFT_OUT, pad_token_id=-1, tie_word_embeddings=LEFT_OUT,
      transformers_version="4.27.0.dev0")
OPEN_LLAMA = llama("openlm-research/open_llama_7b", LLAMA_1, max_sequence_length=LEFT_OUT,
                   transformers_version="4.30.0.dev0")
llama("openlm-research/open_llama_3b_v2", OPEN_LLAMA, hidden_size=3200, intermediate_size=8640, num_hidden_layers=26,
      transformers_version="4.31.0.dev0", pretraining_tp=1, num_key_value_heads=32, rope_scaling=None)
llama("lmsys/vicuna-7b-v1.3", LLAMA_1, _name_or_path="vicuna-7b-v1.3", max_sequence_length=LEFT_OUT)
llama("lmsys/vicuna-13b-v1.1", LLAMA_1, SIZE_13B, _name_or_path="/home/ubuntu/model_weights/llama-13b",
      max_sequence_length=LEFT_OUT)
llama("TheBloke/wizard-vicuna-13B-HF", LLAMA_1, SIZE_13B, torch_dtype="float32", vocab_size=32001)
llama("chavinlo/alpaca-native", LLAMA_1, architectures=["LlamaForCausalLM"], torch_dtype="float32", vocab_size=32001,
      bos_token_id=0, eos_token_id=0, max_sequence_length=LEFT_OUT, max_position_embeddings=LEFT_OUT,
      transformers_version="4.28.0.dev0")

LLAMA_2 = llama("meta-llama/Llama-2-7b-hf", dict(
    _name_or_path="meta-llama/Llama-2-7b-hf", architectures=["LlamaForCausalLM"], bos_token_id=1, eos_token_id=2,
    hidden_act="silu", hidden_size=4096, initializer_range=0.02, intermediate_size=11008, max_position_embeddings=4096,
    model_type="llama", num_attention_heads=32, num_hidden_layers=32, num_key_value_heads=32, pretraining_tp=1,
    rms_norm_eps=1e-05, rope_scaling=None, tie_word_embeddings=False, torch_dtype="float16",
    transformers_version="4.31.0.dev0", use_cache=True, vocab_size=32000))
llama("meta-llama/Llama-2-7b-chat-hf", LLAMA_2, transformers_version="4.32.0.dev0")
llama("meta-llama/Llama-2-13b-hf", LLAMA_2, GROUPED_13B)
SIZE_70B = dict(hidden_size=8192, intermediate_size=28672, num_attention_heads=64, num_hidden_layers=80,
                num_key_value_heads=8)
llama("meta-llama/Llama-2-70b-hf", LLAMA_2, SIZE_70B)
llama("NousResearch/Llama-2-7b-hf", LLAMA_2, pad_token_id=0, max_position_embeddings=4096)
llama("togethercomputer/LLaMA-2-7B-32K", LLAMA_2, max_position_embeddings=32768, pad_token_id=0,
      rope_scaling={"factor": 8.0, "type": "linear"}, _name_or_path=LEFT_OUT)
llama("lmsys/vicuna-7b-v1.5", LLAMA_2, _name_or_path="vicuna-7b-v1.5", pad_token_id=0)
llama("lmsys/vicuna-7b-v1.5-16k", LLAMA_2, _name_or_path="vicuna-7b-v1.5-16k", max_sequence_length=16384, pad_token_id=0,
      rope_scaling={"factor": 4.0, "type": "linear"})
llama("lmsys/longchat-7b-v1.5-32k", LLAMA_2, max_position_embeddings=4096, max_sequence_length=32768, pad_token_id=0,
      rope_scaling={"factor": 8.0, "type": "linear"})
llama("variant/llama-2-dynamic", LLAMA_2, rope_scaling={"type": "dynamic", "factor": 2.0}, vocab_size=32001)
llama("NousResearch/Yarn-Llama-2-7b-64k", LLAMA_2,
      auto_map={"AutoConfig": "configuration_llama.LlamaConfig", "AutoModelForCausalLM": "modeling_llama_together_yarn.LlamaForCausalLM"},
      max_position_embeddings=65536, pad_token_id=0,
      rope_scaling={"factor": 16.0, "original_max_position_embeddings": 4096, "type": "yarn", "finetuned": True})
llama("garage-bAInd/Platypus2-7B", LLAMA_2, pad_token_id=0, use_cache=False, transformers_version="4.31.0",
      _name_or_path="NousResearch/Llama-2-7b-hf")
llama("WizardLM/WizardMath-7B-V1.0", LLAMA_2, vocab_size=32001, pad_token_id=0, use_cache=True,
      _name_or_path="/workspaceblobstore/caxu/trained_models/13Bv2_497kcontinueroleplay_dsys_2048_e7_2e_5/checkpoint-75",
      transformers_version="4.31.0")
llama("allenai/tulu-2-7b", LLAMA_2, torch_dtype="bfloat16", vocab_size=32000, max_position_embeddings=8192, rope_theta=10000.0,
      attention_bias=False, attention_dropout=0.0, transformers_version="4.35.0.dev0", use_cache=False)
llama("epfl-llm/meditron-7b", LLAMA_2, torch_dtype="bfloat16", max_position_embeddings=2048, vocab_size=32017,
      _name_or_path="/pure-mlo-scratch/alhernan/megatron-data/checkpoints/llama2-7b/hf", rope_theta=10000.0, use_cache=True,
      transformers_version="4.35.2", attention_bias=False, rms_norm_eps=1e-05)
llama("Xwin-LM/Xwin-LM-7B-V0.1", LLAMA_2, torch_dtype="bfloat16", pad_token_id=0, transformers_version="4.32.1")
llama("elyza/ELYZA-japanese-Llama-2-7b-fast", LLAMA_2, vocab_size=45043, pad_token_id=LEFT_OUT, use_cache=True)
llama("codellama/CodeLlama-7b-hf", LLAMA_2, _name_or_path=LEFT_OUT, max_position_embeddings=16384, rope_theta=1000000,
      torch_dtype="bfloat16", transformers_version="4.33.0.dev0", vocab_size=32016)
CODE_LLAMA = llama("codellama/CodeLlama-34b-hf", LLAMA_2, SIZE_70B, _name_or_path=LEFT_OUT, intermediate_size=22016,
                   num_hidden_layers=48, max_position_embeddings=16384, rope_theta=1000000, torch_dtype="bfloat16",
                   transformers_version="4.33.0.dev0")
llama("codellama/CodeLlama-13b-Python-hf", CODE_LLAMA, GROUPED_13B, vocab_size=32000)
llama("codellama/CodeLlama-70b-hf", CODE_LLAMA, SIZE_70B, rope_theta=10000, attention_bias=False, max_position_embeddings=4096,
      transformers_version="4.38.0.dev0", vocab_size=32016)
llama("Phind/Phind-CodeLlama-34B-v2", CODE_LLAMA, _name_or_path="codellama/CodeLlama-34b-Python-hf", use_cache=False)
llama("WizardLM/WizardCoder-Python-34B-V1.0", CODE_LLAMA, vocab_size=32001, torch_dtype="float16", use_cache=True, pad_token_id=0)

LLAMA_3 = llama("meta-llama/Meta-Llama-3-8B", dict(
    architectures=["LlamaForCausalLM"], attention_bias=False, attention_dropout=0.0, bos_token_id=128000,
    eos_token_id=128001, hidden_act="silu", hidden_size=4096, initializer_range=0.02, intermediate_size=14336,
    max_position_embeddings=8192, model_type="llama", num_attention_heads=32, num_hidden_layers=32,
    num_key_value_heads=8, pretraining_tp=1, rms_norm_eps=1e-05, rope_scaling=None, rope_theta=500000.0,
    tie_word_embeddings=False, torch_dtype="bfloat16", transformers_version="4.40.0.dev0", use_cache=True,
    vocab_size=128256))
llama("meta-llama/Meta-Llama-3-8B-Instruct", LLAMA_3, eos_token_id=128009)
llama("meta-llama/Meta-Llama-3-70B", LLAMA_3, SIZE_70B)
llama("gradientai/Llama-3-8B-Instruct-262k", LLAMA_3, max_position_embeddings=262144, rope_theta=283461213.0,
      _name_or_path="/home/ubuntu/jeffrey/output/intermediate_2", transformers_version="4.41.0.dev0")
llama("NousResearch/Hermes-2-Pro-Llama-3-8B", LLAMA_3, eos_token_id=128003, vocab_size=128288, use_cache=False,
      _name_or_path="NousResearch/Meta-Llama-3-8B", transformers_version="4.42.3")
llama("nvidia/Llama3-ChatQA-1.5-8B", LLAMA_3, torch_dtype="float16", transformers_version="4.40.1", head_dim=LEFT_OUT)
ROPE_3_1 = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192,
            "rope_type": "llama3"}
LLAMA_3_1 = llama("meta-llama/Llama-3.1-8B", LLAMA_3, max_position_embeddings=131072, mlp_bias=False,
                  rope_scaling=ROPE_3_1, transformers_version="4.43.0.dev0")
llama("meta-llama/Llama-3.1-8B-Instruct", LLAMA_3_1, eos_token_id=[128001, 128008, 128009],
      transformers_version="4.42.3")
llama("meta-llama/Llama-3.1-70B", LLAMA_3_1, SIZE_70B)
llama("meta-llama/Llama-3.1-405B", LLAMA_3_1, hidden_size=16384, intermediate_size=53248, num_attention_heads=128,
      num_hidden_layers=126, num_key_value_heads=8)
LLAMA_3_2 = llama("meta-llama/Llama-3.2-1B", LLAMA_3_1, head_dim=64, hidden_size=2048, intermediate_size=8192,
                  num_hidden_layers=16, rope_scaling={**ROPE_3_1, "factor": 32.0}, tie_word_embeddings=True,
                  transformers_version="4.45.0.dev0")
llama("meta-llama/Llama-3.2-1B-Instruct", LLAMA_3_2, eos_token_id=[128001, 128008, 128009])
llama("meta-llama/Llama-3.2-3B", LLAMA_3_2, head_dim=128, hidden_size=3072, num_attention_heads=24, num_hidden_layers=28)
llama("unsloth/Llama-3.2-3B-Instruct", LLAMA_3_2, _name_or_path="meta-llama/Llama-3.2-3B-Instruct", head_dim=128,
      hidden_size=3072, num_attention_heads=24, num_hidden_layers=28, pad_token_id=128004, eos_token_id=128009,
      transformers_version="4.51.0.dev0", unsloth_fixed=True)
llama("meta-llama/Llama-3.3-70B-Instruct", LLAMA_3_1, SIZE_70B, head_dim=128, eos_token_id=[128001, 128008, 128009],
      transformers_version="4.47.0.dev0")
llama("deepseek-ai/DeepSeek-R1-Distill-Llama-8B", LLAMA_3_1, pretraining_tp=1, transformers_version="4.43.0.dev0",
      eos_token_id=128001, bos_token_id=128000)
llama("nvidia/Llama-3.1-Nemotron-70B-Instruct-HF", LLAMA_3_1, SIZE_70B, eos_token_id=[128001, 128008, 128009], pretraining_tp=1,
      transformers_version="4.44.0", _name_or_path="meta-llama/Llama-3.1-70B-Instruct")
llama("allenai/Llama-3.1-Tulu-3-8B", LLAMA_3_1, vocab_size=128264, use_cache=True, eos_token_id=128001, head_dim=LEFT_OUT,
      _name_or_path="/model", transformers_version="4.43.4")
llama("NousResearch/Hermes-3-Llama-3.1-8B", LLAMA_3_1, eos_token_id=128040, use_cache=False, transformers_version="4.43.3",
      _name_or_path="NousResearch/Meta-Llama-3.1-8B")
llama("variant/llama-3.1-saved-by-5.0", LLAMA_3_1, dtype="bfloat16", torch_dtype=LEFT_OUT, head_dim=128, rope_scaling=LEFT_OUT,
      rope_theta=LEFT_OUT, rope_parameters={**ROPE_3_1, "rope_theta": 500000.0}, transformers_version="5.0.0",
      pad_token_id=None)

TINY_LLAMA = llama("TinyLlama/TinyLlama-1.1B-Chat-v1.0", LLAMA_2, _name_or_path=LEFT_OUT, attention_bias=False, hidden_size=2048,
                   intermediate_size=5632, max_position_embeddings=2048, num_hidden_layers=22, num_key_value_heads=4,
                   rope_theta=10000.0, torch_dtype="bfloat16", transformers_version="4.35.0")
llama("TinyLlama/TinyLlama-1.1B-intermediate-step-1431k-3T", TINY_LLAMA, torch_dtype="float32", attention_bias=LEFT_OUT,
      rope_theta=LEFT_OUT, transformers_version="4.31.0.dev0")
llama("princeton-nlp/Sheared-LLaMA-1.3B", LLAMA_2, hidden_size=2048, intermediate_size=5504, num_attention_heads=16,
      num_hidden_layers=24, num_key_value_heads=16, pad_token_id=0, torch_dtype="float32", _name_or_path=LEFT_OUT,
      transformers_version="4.31.0.dev0")
llama("JackFram/llama-68m", LLAMA_1, hidden_size=768, intermediate_size=3072, num_attention_heads=12, num_hidden_layers=2,
      pad_token_id=1, bos_token_id=0, eos_token_id=2, torch_dtype="float32", max_sequence_length=LEFT_OUT,
      tie_word_embeddings=False, transformers_version="4.29.2")
llama("jondurbin/airoboros-l2-7b", LLAMA_2, pad_token_id=0, transformers_version="4.31.0", use_cache=True)

YI = llama("01-ai/Yi-6B", dict(
    architectures=["LlamaForCausalLM"], attention_bias=False, bos_token_id=1, eos_token_id=2, hidden_act="silu",
    hidden_size=4096, initializer_range=0.02, intermediate_size=11008, max_position_embeddings=4096, model_type="llama",
    num_attention_heads=32, num_hidden_layers=32, num_key_value_heads=4, pad_token_id=0, pretraining_tp=1,
    rms_norm_eps=1e-05, rope_scaling=None, rope_theta=5000000.0, tie_word_embeddings=False, torch_dtype="bfloat16",
    transformers_version="4.34.0", use_cache=True, vocab_size=64000))
llama("01-ai/Yi-34B-200K", YI, hidden_size=7168, intermediate_size=20480, max_position_embeddings=200000,
      num_attention_heads=56, num_hidden_layers=60, num_key_value_heads=8, rope_theta=10000000.0)
llama("01-ai/Yi-1.5-9B-Chat", YI, num_hidden_layers=48, pad_token_id=0, attention_dropout=0.0, rms_norm_eps=1e-06,
      transformers_version="4.36.2", use_cache=False)
llama("01-ai/Yi-Coder-9B", YI, num_hidden_layers=48, max_position_embeddings=131072, attention_dropout=0.0, mlp_bias=False,
      rope_theta=10000000.0, transformers_version="4.44.0", use_cache=False)

SMOL = llama("HuggingFaceTB/SmolLM-135M", dict(
    _name_or_path="HuggingFaceTB/cosmo2-tokenizer", architectures=["LlamaForCausalLM"], attention_bias=False,
    attention_dropout=0.0, bos_token_id=0, eos_token_id=0, hidden_act="silu", hidden_size=576, initializer_range=0.02,
    intermediate_size=1536, max_position_embeddings=2048, mlp_bias=False, model_type="llama", num_attention_heads=9,
    num_hidden_layers=30, num_key_value_heads=3, pretraining_tp=1, rms_norm_eps=1e-05, rope_scaling=None,
    rope_theta=10000.0, tie_word_embeddings=True, torch_dtype="float32", transformers_version="4.42.3", use_cache=True,
    vocab_size=49152))
llama("HuggingFaceTB/SmolLM2-135M", SMOL, _name_or_path=LEFT_OUT, initializer_range=0.041666666666666664, is_llama_config=True,
      max_position_embeddings=8192, rope_interleaved=False, rope_theta=100000, torch_dtype="bfloat16",
      transformers_version="4.40.1", mlp_bias=LEFT_OUT)
llama("HuggingFaceTB/SmolLM2-360M-Instruct", SMOL, _name_or_path=LEFT_OUT, is_llama_config=True, max_position_embeddings=8192,
      hidden_size=960, intermediate_size=2560, num_attention_heads=15, num_hidden_layers=32, num_key_value_heads=5,
      pad_token_id=2, bos_token_id=1, eos_token_id=2, rope_interleaved=False, rope_theta=100000, torch_dtype="bfloat16",
      **{"transformers.js_config": {"kv_cache_dtype": {"q4f16": "float16", "fp16": "float16"}}})
llama("HuggingFaceTB/SmolLM2-1.7B", SMOL, _name_or_path=LEFT_OUT, hidden_size=2048, intermediate_size=8192, bos_token_id=1,
      eos_token_id=2, max_position_embeddings=8192, num_attention_heads=32, num_hidden_layers=24, num_key_value_heads=32,
      pad_token_id=2, rope_theta=130000, torch_dtype="bfloat16", mlp_bias=False)
llama("upstage/SOLAR-10.7B-v1.0", LLAMA_3, _name_or_path="upstage/SOLAR-10.7B-v1.0", attention_dropout=LEFT_OUT, bos_token_id=1,
      eos_token_id=2, max_position_embeddings=4096, num_hidden_layers=48, rope_theta=10000.0, torch_dtype="float16",
      transformers_version="4.35.2", vocab_size=32000, use_cache=True)
llama("upstage/SOLAR-10.7B-Instruct-v1.0", LLAMA_3, attention_dropout=LEFT_OUT, bos_token_id=1, eos_token_id=2, pad_token_id=2,
      max_position_embeddings=4096, num_hidden_layers=48, rope_theta=10000.0, torch_dtype="float16", vocab_size=32000,
      transformers_version="4.35.0", use_cache=False)
DEEPSEEK = llama("deepseek-ai/deepseek-llm-7b-base", LLAMA_1, bos_token_id=100000, eos_token_id=100001, max_sequence_length=LEFT_OUT,
                 max_position_embeddings=4096, num_hidden_layers=30, num_key_value_heads=32, pad_token_id=LEFT_OUT,
                 pretraining_tp=1, rope_scaling=None, rope_theta=10000.0, torch_dtype="bfloat16",
                 transformers_version="4.33.1", vocab_size=102400)
llama("deepseek-ai/deepseek-llm-67b-chat", DEEPSEEK, SIZE_70B, intermediate_size=22016, num_hidden_layers=95, attention_bias=False)
CODER = llama("deepseek-ai/deepseek-coder-1.3b-base", DEEPSEEK, hidden_size=2048, intermediate_size=5504, bos_token_id=32013,
              eos_token_id=32014, max_position_embeddings=16384, num_attention_heads=16, num_hidden_layers=24,
              num_key_value_heads=16, rope_scaling={"type": "linear", "factor": 4.0}, rope_theta=100000,
              transformers_version="4.34.1", vocab_size=32256)
llama("deepseek-ai/deepseek-coder-33b-instruct", CODER, hidden_size=7168, intermediate_size=19200, num_attention_heads=56,
      num_hidden_layers=62, num_key_value_heads=8, eos_token_id=32021, rope_theta=100000,
      rope_scaling={"factor": 4.0, "type": "linear"}, transformers_version="4.33.1")
llama("deepseek-ai/deepseek-coder-7b-base-v1.5", DEEPSEEK, rope_theta=10000, attention_bias=False, intermediate_size=11008)
FALCON_3 = llama("tiiuae/Falcon3-7B-Base", LLAMA_3, head_dim=256, hidden_size=3072, intermediate_size=23040,
                 max_position_embeddings=32768, mlp_bias=False, num_attention_heads=12, num_hidden_layers=28,
                 num_key_value_heads=4, rms_norm_eps=1e-06, rope_theta=1000042, bos_token_id=11, eos_token_id=11,
                 transformers_version="4.46.1", vocab_size=131072, activation="swiglu")
llama("tiiuae/Falcon3-1B-Instruct", FALCON_3, hidden_size=2048, intermediate_size=8192, num_attention_heads=8,
      num_hidden_layers=18, max_position_embeddings=8192, activation=LEFT_OUT, pretraining_tp=1, eos_token_id=11)
llama("variant/llama-with-nemos-head-size", LLAMA_3, head_dim=128, hidden_size=5120, rope_theta=1000000.0, vocab_size=131072,
      bos_token_id=1, eos_token_id=2, max_position_embeddings=1024000, mlp_bias=False)
llama("utter-project/EuroLLM-1.7B", LLAMA_3, bos_token_id=1, eos_token_id=4, hidden_size=2048, intermediate_size=5632,
      max_position_embeddings=4096, num_attention_heads=16, num_hidden_layers=24, rope_theta=10000.0, vocab_size=128000,
      _name_or_path="utter-project/EuroLLM-1.7B", transformers_version="4.44.0", mlp_bias=False, torch_dtype="float32")
llama("BSC-LT/salamandra-2b", LLAMA_3, bos_token_id=1, eos_token_id=2, hidden_size=2048, intermediate_size=5440, num_attention_heads=16,
      num_hidden_layers=24, num_key_value_heads=16, rope_theta=10000.0, vocab_size=256000, num_layers=24, mlp_bias=False,
      head_dim=128)
llama("cognitivecomputations/dolphin-2.9-llama3-8b", LLAMA_3, vocab_size=128258, eos_token_id=128256, use_cache=False,
      _name_or_path="meta-llama/Meta-Llama-3-8B", transformers_version="4.40.0")
llama("variant/llama-3-biases", LLAMA_3, attention_bias=True, mlp_bias=True, transformers_version="4.44.0")
llama("abacusai/Llama-3-Giraffe-70B", LLAMA_3, SIZE_70B, max_position_embeddings=131072,
      rope_scaling={"factor": 32.0, "type": "linear"}, rope_theta=500000.0)
llama("nvidia/Llama-3.1-Minitron-4B-Width-Base", LLAMA_3_1, head_dim=128, hidden_size=3072, intermediate_size=9216, eos_token_id=128001,
      transformers_version="4.45.0.dev0")
llama("llm-jp/llm-jp-3-1.8b", LLAMA_3, bos_token_id=1, eos_token_id=2, hidden_size=2048, intermediate_size=7168, pad_token_id=4,
      num_attention_heads=16, num_hidden_layers=24, num_key_value_heads=16, max_position_embeddings=4096, mlp_bias=False,
      rope_theta=10000, vocab_size=99584, transformers_version="4.43.3")
llama("variant/llama-2-swish", LLAMA_2, rms_norm_eps=1e-08, initializer_range=0.01, hidden_act="swish")

# ---------------------------------------------------------------------------------------------------- Mistral


def mistral(repository, base, changes=None, model_class="MistralForCausalLM", **more):
    return shape(repository, "mistral", model_class, base, changes, **more)


MISTRAL = mistral("mistralai/Mistral-7B-v0.1", dict(
    architectures=["MistralForCausalLM"], bos_token_id=1, eos_token_id=2, hidden_act="silu", hidden_size=4096,
    initializer_range=0.02, intermediate_size=14336, max_position_embeddings=32768, model_type="mistral",
    num_attention_heads=32, num_hidden_layers=32, num_key_value_heads=8, rms_norm_eps=1e-05, rope_theta=10000.0,
    sliding_window=4096, tie_word_embeddings=False, torch_dtype="bfloat16", transformers_version="4.34.0.dev0",
    use_cache=True, vocab_size=32000))
mistral("mistralai/Mistral-7B-Instruct-v0.1", MISTRAL)
MISTRAL_2 = mistral("mistralai/Mistral-7B-Instruct-v0.2", MISTRAL, attention_dropout=0.0, rope_theta=1000000.0,
                    sliding_window=None, transformers_version="4.36.0")
mistral("mistral-community/Mistral-7B-v0.2", MISTRAL_2, _name_or_path="alpindale/Mistral-7B-v0.2-hf", transformers_version="4.38.2")
mistral("mistralai/Mistral-7B-v0.3", MISTRAL_2, transformers_version="4.42.0.dev0", vocab_size=32768)
mistral("mistralai/Mistral-7B-Instruct-v0.3", MISTRAL_2, transformers_version="4.42.0.dev0", vocab_size=32768)
NEMO = mistral("mistralai/Mistral-Nemo-Base-2407", MISTRAL_2, head_dim=128, hidden_size=5120, max_position_embeddings=128000,
               num_hidden_layers=40, transformers_version="4.43.3", vocab_size=131072)
mistral("mistralai/Mistral-Nemo-Instruct-2407", NEMO, max_position_embeddings=1024000, transformers_version="4.43.0.dev0")
mistral("unsloth/Mistral-Nemo-Base-2407", NEMO, pad_token_id=10, unsloth_fixed=True, unsloth_version="2024.9")
mistral("mistralai/Mistral-Large-Instruct-2407", MISTRAL_2, head_dim=128, hidden_size=12288, intermediate_size=28672,
        max_position_embeddings=131072, num_attention_heads=96, num_hidden_layers=88, transformers_version="4.42.3",
        vocab_size=32768)
mistral("mistralai/Mistral-Small-Instruct-2409", MISTRAL_2, head_dim=128, hidden_size=6144, intermediate_size=16384,
        num_attention_heads=48, num_hidden_layers=56, transformers_version="4.42.3", vocab_size=32768)
mistral("mistralai/Mistral-Small-24B-Base-2501", NEMO, intermediate_size=32768, max_position_embeddings=32768, rope_theta=100000000.0,
        transformers_version="4.49.0.dev0")
mistral("mistralai/Ministral-8B-Instruct-2410", MISTRAL_2, head_dim=128, intermediate_size=12288, num_hidden_layers=36,
        rope_theta=100000000.0, sliding_window=32768, transformers_version="4.46.0.dev0", vocab_size=131072)
mistral("mistralai/Codestral-22B-v0.1", MISTRAL_2, hidden_size=6144, intermediate_size=16384, num_attention_heads=48,
        num_hidden_layers=56, head_dim=LEFT_OUT, transformers_version="4.41.2", vocab_size=32768)
mistral("mistralai/Mathstral-7B-v0.1", MISTRAL_2, transformers_version="4.42.4", vocab_size=32768, head_dim=128)
ZEPHYR = mistral("HuggingFaceH4/zephyr-7b-beta", MISTRAL, _name_or_path="output/zephyr-7b-beta", attention_bias=LEFT_OUT,
                 pad_token_id=2, transformers_version="4.35.0")
mistral("HuggingFaceH4/mistral-7b-sft-beta", ZEPHYR, _name_or_path="mistralai/Mistral-7B-v0.1", use_cache=False,
        pad_token_id=LEFT_OUT, torch_dtype="bfloat16")
mistral("Open-Orca/Mistral-7B-OpenOrca", MISTRAL, eos_token_id=32000, vocab_size=32002, use_cache=False,
        _name_or_path="mistralai/Mistral-7B-v0.1", transformers_version="4.34.0.dev0")
mistral("teknium/OpenHermes-2.5-Mistral-7B", MISTRAL, eos_token_id=32000, vocab_size=32002, use_cache=False,
        _name_or_path="mistralai/Mistral-7B-v0.1", transformers_version="4.34.0.dev0")
mistral("NousResearch/Nous-Hermes-2-Mistral-7B-DPO", MISTRAL_2, eos_token_id=32000, vocab_size=32002, sliding_window=4096,
        rope_theta=10000.0, transformers_version="4.37.2", _name_or_path="teknium/OpenHermes-2.5-Mistral-7B")
mistral("NousResearch/Yarn-Mistral-7b-128k", MISTRAL, attention_bias=LEFT_OUT, max_position_embeddings=32768, max_sequence_length=131072,
        auto_map={"AutoConfig": "configuration_mistral.MistralConfig", "AutoModelForCausalLM": "modeling_mistral_yarn.MistralForCausalLM"},
        rope_scaling={"factor": 16.0, "finetuned": True, "original_max_position_embeddings": 8192, "type": "yarn"},
        sliding_window=131072, use_cache=False, transformers_version="4.35.0.dev0")
mistral("Intel/neural-chat-7b-v3-1", MISTRAL, torch_dtype="float16", transformers_version="4.34.1")
mistral("berkeley-nest/Starling-LM-7B-alpha", MISTRAL, eos_token_id=32000, vocab_size=32002, max_position_embeddings=8192, use_cache=True,
        sep_token_id=LEFT_OUT, transformers_version="4.35.2")
mistral("VAGOsolutions/SauerkrautLM-7b-v1-mistral", MISTRAL, rms_norm_eps=1e-5, pretraining_tp=1, rope_scaling=None)
mistral("variant/mistral-saved-by-5.0", MISTRAL_2, rope_theta=LEFT_OUT, torch_dtype=LEFT_OUT, dtype="bfloat16", head_dim=None,
        rope_parameters={"rope_theta": 1000000.0, "rope_type": "default"}, transformers_version="5.0.0", pad_token_id=None)
E5 = mistral("intfloat/e5-mistral-7b-instruct", MISTRAL, architectures=["MistralModel"], model_class="MistralModel",
             _name_or_path="mistralai/Mistral-7B-v0.1", pad_token_id=2, torch_dtype="float16", use_cache=False,
             transformers_version="4.34.0")
mistral("Salesforce/SFR-Embedding-Mistral", E5, model_class="MistralModel", _name_or_path="SFR-Embedding-Mistral", attention_dropout=0.0,
        transformers_version="4.37.0")
mistral("Linq-AI-Research/Linq-Embed-Mistral", E5, model_class="MistralModel", attention_dropout=0.0, _name_or_path="/data/model",
        transformers_version="4.38.2")

# ------------------------------------------------------------------------------------------------------ Gemma


def gemma(repository, base, changes=None, **more):
    return shape(repository, "gemma", "GemmaForCausalLM", base, changes, **more)


GEMMA = gemma("google/gemma-2b", dict(
    architectures=["GemmaForCausalLM"], attention_bias=False, attention_dropout=0.0, bos_token_id=2, eos_token_id=1,
    head_dim=256, hidden_act="gelu", hidden_activation="gelu_pytorch_tanh", hidden_size=2048, initializer_range=0.02,
    intermediate_size=16384, max_position_embeddings=8192, model_type="gemma", num_attention_heads=8,
    num_hidden_layers=18, num_key_value_heads=1, pad_token_id=0, rms_norm_eps=1e-06, rope_scaling=None,
    rope_theta=10000.0, torch_dtype="bfloat16", transformers_version="4.38.0.dev0", use_cache=True, vocab_size=256000))
SIZE_GEMMA_7B = dict(hidden_size=3072, intermediate_size=24576, num_attention_heads=16, num_hidden_layers=28,
                     num_key_value_heads=16)
gemma("google/gemma-7b", GEMMA, SIZE_GEMMA_7B)
gemma("google/gemma-2b-it", GEMMA, hidden_activation=LEFT_OUT)  # the first revision
gemma("google/gemma-7b-it", GEMMA, SIZE_GEMMA_7B, hidden_activation=LEFT_OUT, hidden_act="gelu")
gemma("google/gemma-1.1-2b-it", GEMMA, hidden_act="gelu_pytorch_tanh", hidden_activation=LEFT_OUT)
gemma("google/gemma-1.1-7b-it", GEMMA, SIZE_GEMMA_7B, hidden_act="gelu_pytorch_tanh", hidden_activation=LEFT_OUT)
gemma("google/codegemma-2b", GEMMA, hidden_act="gelu_pytorch_tanh", hidden_activation="gelu_pytorch_tanh",
      transformers_version="4.39.3")
gemma("google/codegemma-7b-it", GEMMA, SIZE_GEMMA_7B, hidden_act="gelu_pytorch_tanh", hidden_activation="gelu_pytorch_tanh",
      transformers_version="4.39.3")
gemma("unsloth/gemma-2b-it", GEMMA, _name_or_path="unsloth/gemma-2b-it", unsloth_version="2024.9", tie_word_embeddings=True,
      transformers_version="4.44.2")
gemma("HuggingFaceH4/zephyr-7b-gemma-v0.1", GEMMA, SIZE_GEMMA_7B, _name_or_path="HuggingFaceH4/zephyr-7b-gemma-sft-v0.1", vocab_size=256000,
      transformers_version="4.39.0.dev0", use_cache=True, hidden_activation=None)
gemma("variant/gemma-hidden-activation-null", GEMMA, SIZE_GEMMA_7B, hidden_activation=None, hidden_act="gelu_pytorch_tanh",
      tie_word_embeddings=True)
gemma("variant/gemma-saved-by-5.0", GEMMA, rope_theta=LEFT_OUT, rope_scaling=LEFT_OUT, torch_dtype=LEFT_OUT, dtype="bfloat16",
      hidden_act="gelu_pytorch_tanh", hidden_activation=LEFT_OUT, use_bidirectional_attention=None,
      rope_parameters={"rope_theta": 10000.0, "rope_type": "default"}, transformers_version="5.0.0", tie_word_embeddings=True)

# ----------------------------------------------------------------------------------------------------- Falcon


def falcon(repository, base, changes=None, reference=None, **more):
    return shape(repository, "falcon", "FalconForCausalLM", base, changes, reference, **more)


def falcon_map(module, prefix):
    heads = ("SequenceClassification", "TokenClassification", "QuestionAnswering", "CausalLM")
    return {"AutoConfig": f"configuration_{module}.{prefix}Config", "AutoModel": f"modeling_{module}.{prefix}Model",
            **{f"AutoModelFor{head}": f"modeling_{module}.{prefix}For{head}" for head in heads}}


FALCON = falcon("tiiuae/falcon-7b", dict(
    alibi=False, apply_residual_connection_post_layernorm=False, architectures=["FalconForCausalLM"],
    attention_dropout=0.0, auto_map=falcon_map("falcon", "Falcon"), bias=False, bos_token_id=11, eos_token_id=11,
    hidden_dropout=0.0, hidden_size=4544, initializer_range=0.02, layer_norm_epsilon=1e-05, model_type="falcon",
    multi_query=True, new_decoder_architecture=False, num_attention_heads=71, num_hidden_layers=32, parallel_attn=True,
    torch_dtype="bfloat16", transformers_version="4.27.4", use_cache=True, vocab_size=65024))
falcon("tiiuae/falcon-7b-instruct", FALCON)
falcon("variant/falcon-7b-saved-by-4.36", FALCON, auto_map=LEFT_OUT, num_kv_heads=71, max_position_embeddings=2048, rope_scaling=None,
       rope_theta=10000.0, transformers_version="4.36.0")
FALCON_40B = falcon("tiiuae/falcon-40b", FALCON, hidden_size=8192, new_decoder_architecture=True, num_attention_heads=128,
                    num_hidden_layers=60, num_kv_heads=8)
falcon("tiiuae/falcon-40b-instruct", FALCON_40B, transformers_version="4.26.0")
falcon("tiiuae/falcon-180B", FALCON_40B, auto_map=LEFT_OUT, hidden_size=14848, num_attention_heads=232, num_hidden_layers=80,
       transformers_version="4.32.0")
falcon("tiiuae/falcon-180B-chat", FALCON_40B, auto_map=LEFT_OUT, hidden_size=14848, num_attention_heads=232, num_hidden_layers=80,
       transformers_version="4.32.0", _name_or_path="/model", max_position_embeddings=2048, rope_scaling=None, rope_theta=10000.0)
FALCON_RW = falcon("tiiuae/falcon-rw-1b", FALCON, alibi=True, auto_map=falcon_map("falcon", "Falcon"), bias=True, bos_token_id=1,
                   eos_token_id=2, hidden_size=2048, multi_query=False, num_attention_heads=32, num_hidden_layers=24,
                   parallel_attn=False, vocab_size=50304)
falcon("tiiuae/falcon-rw-7b", FALCON_RW, hidden_size=4096, num_attention_heads=64, num_hidden_layers=36, vocab_size=65024,
       bos_token_id=11, eos_token_id=11, transformers_version="4.27.2")
falcon("euclaise/falcon_1b_stage2", FALCON_RW, auto_map=LEFT_OUT, num_kv_heads=32, rope_theta=10000.0, rope_scaling=None,
       max_position_embeddings=2048, transformers_version="4.35.2", vocab_size=50311, _name_or_path="euclaise/falcon_1b_stage1")
FALCON_2 = falcon("tiiuae/falcon-11B", FALCON_40B, activation="gelu", apply_residual_connection_post_layernorm=LEFT_OUT, ff_factor=4,
                  ffn_hidden_size=16384, hidden_size=4096, max_position_embeddings=8192, num_attention_heads=32,
                  num_ln_in_parallel_attn=1, rope_scaling=None, rope_theta=500042.0, tie_word_embeddings=False,
                  transformers_version="4.39.2")
falcon("ssmits/Falcon2-5.5B-multilingual", FALCON_2, num_hidden_layers=29, transformers_version="4.40.2", _name_or_path="tiiuae/falcon-11B",
       auto_map=LEFT_OUT, apply_residual_connection_post_layernorm=False, torch_dtype="bfloat16")
REFINED = falcon("tiiuae/falcon-7b@remote-code", dict(
    alibi=False, apply_residual_connection_post_layernorm=False, architectures=["RWForCausalLM"], attention_dropout=0.0,
    auto_map=falcon_map("RW", "RW"), bias=False, bos_token_id=11, eos_token_id=11, hidden_dropout=0.0, hidden_size=4544,
    initializer_range=0.02, layer_norm_epsilon=1e-05, model_type="RefinedWebModel", multi_query=True, n_head=71,
    n_layer=32, parallel_attn=True, torch_dtype="bfloat16", transformers_version="4.27.4", use_cache=True,
    vocab_size=65024), reference=dict(  # as transformers' convert_custom_code_checkpoint.py renames them
        architectures=["FalconForCausalLM"], model_type="falcon", num_attention_heads=71, num_hidden_layers=32,
        new_decoder_architecture=False, auto_map=LEFT_OUT, n_head=LEFT_OUT, n_layer=LEFT_OUT))
falcon("tiiuae/falcon-40b@remote-code", REFINED, hidden_size=8192, model_type="RefinedWeb", multi_query=LEFT_OUT, n_head=128,
       n_head_kv=8, n_layer=60, parallel_attn=LEFT_OUT, reference=dict(
           architectures=["FalconForCausalLM"], model_type="falcon", num_attention_heads=128, num_hidden_layers=60,
           num_kv_heads=8, new_decoder_architecture=True, auto_map=LEFT_OUT, n_head=LEFT_OUT, n_layer=LEFT_OUT,
           n_head_kv=LEFT_OUT))
falcon("tiiuae/falcon-rw-1b@remote-code", REFINED, alibi=True, bias=True, bos_token_id=1, eos_token_id=2, hidden_size=2048, n_head=32,
       n_layer=24, multi_query=False, parallel_attn=False, vocab_size=50304, reference=dict(
           architectures=["FalconForCausalLM"], model_type="falcon", num_attention_heads=32, num_hidden_layers=24,
           new_decoder_architecture=False, auto_map=LEFT_OUT, n_head=LEFT_OUT, n_layer=LEFT_OUT))

# ------------------------------------------------------------------------------------------------------ GPT-2


def gpt2(repository, base, changes=None, model_class="GPT2LMHeadModel", **more):

    return shape(repository, "gpt2", model_class, base, changes, **more)


GPT2 = gpt2("openai-community/gpt2", dict(
    activation_function="gelu_new", architectures=["GPT2LMHeadModel"], attn_pdrop=0.1, bos_token_id=50256,
    embd_pdrop=0.1, eos_token_id=50256, initializer_range=0.02, layer_norm_epsilon=1e-05, model_type="gpt2", n_ctx=1024,
    n_embd=768, n_head=12, n_layer=12, n_positions=1024, resid_pdrop=0.1, summary_activation=None,
    summary_first_dropout=0.1, summary_proj_to_labels=True, summary_type="cls_index", summary_use_proj=True,
    task_specific_params={"text-generation": {"do_sample": True, "max_length": 50}}, vocab_size=50257))
gpt2("openai-community/gpt2-medium", GPT2, n_embd=1024, n_head=16, n_layer=24, n_special=0, predict_special_tokens=True)
gpt2("openai-community/gpt2-large", GPT2, n_embd=1280, n_head=20, n_layer=36)
gpt2("openai-community/gpt2-xl", GPT2, n_embd=1600, n_head=25, n_layer=48, output_past=True)
gpt2("distilbert/distilgpt2", GPT2, _num_labels=1, id2label={"0": "LABEL_0"}, label2id={"LABEL_0": 0}, n_layer=6)
DIALO = gpt2("microsoft/DialoGPT-medium", GPT2, n_embd=1024, n_head=16, n_layer=24, task_specific_params={"conversational": {"max_length": 1000}})
gpt2("microsoft/DialoGPT-small", GPT2, task_specific_params={"conversational": {"max_length": 1000}})
gpt2("microsoft/DialoGPT-large", DIALO, n_embd=1280, n_head=20, n_layer=36)
SAVED = gpt2("variant/gpt2-saved-by-4.36", GPT2, _name_or_path="gpt2", n_inner=None, reorder_and_upcast_attn=False, scale_attn_by_inverse_layer_idx=False,
             scale_attn_weights=True, torch_dtype="float32", transformers_version="4.36.2", use_cache=True)
gpt2("cerebras/Cerebras-GPT-111M", dict(
    activation_function="gelu", architectures=["GPT2LMHeadModel"], attn_pdrop=0.0, bos_token_id=50256, embd_pdrop=0.0,
    eos_token_id=50256, initializer_range=0.02, layer_norm_epsilon=1e-05, model_type="gpt2", n_embd=768, n_head=12,
    n_inner=3072, n_layer=10, n_positions=2048, reorder_and_upcast_attn=False, resid_pdrop=0.0,
    scale_attn_by_inverse_layer_idx=False, scale_attn_weights=True, summary_activation=None, summary_first_dropout=0.1,
    summary_proj_to_labels=True, summary_type="cls_index", summary_use_proj=True, torch_dtype="float32",
    transformers_version="4.23.1", use_cache=True, vocab_size=50257))
gpt2("stanford-crfm/BioMedLM", SAVED, gradient_checkpointing=False, scale_attn_by_inverse_layer_idx=True, vocab_size=28896,
     bos_token_id=28895, eos_token_id=28895, pad_token_id=28895, n_embd=2560, n_head=20, n_layer=32, use_cache=False,
     transformers_version="4.6.0.dev0", _name_or_path="stanford-crfm/BioMedLM")
gpt2("stanford-crfm/alias-gpt2-small-x21", SAVED, reorder_and_upcast_attn=True, scale_attn_by_inverse_layer_idx=True, use_cache=False,
     transformers_version="4.11.3")
gpt2("rinna/japanese-gpt2-medium", GPT2, bos_token_id=1, eos_token_id=2, gradient_checkpointing=False, n_embd=1024, n_head=16, n_layer=24,
     n_inner=4096, pad_token_id=3, scale_attn_weights=True, transformers_version="4.6.1", use_cache=True, vocab_size=32000)
gpt2("ai-forever/rugpt3large_based_on_gpt2", GPT2, bos_token_id=5, eos_token_id=5, n_ctx=2048, n_positions=2048, n_embd=1536, n_head=16,
     n_layer=24, gradient_checkpointing=False, vocab_size=50257, output_past=True, pad_token_id=5, unk_token_id=5)
gpt2("skt/kogpt2-base-v2", GPT2, _name_or_path="/home/team/model", author="Heewon Jeon(madjakarta@gmail.com)", bos_token_id=0, created_date="2021-04-28",
     eos_token_id=1, gradient_checkpointing=False, license="CC-BY-NC-SA 4.0", n_inner=None, pad_token_id=3, transformers_version="4.4.0",
     use_cache=True, vocab_size=51200, activation_function="gelu_new")
gpt2("dbmdz/german-gpt2", GPT2, gradient_checkpointing=False, n_inner=None, vocab_size=50265, transformers_version="4.3.0", use_cache=True)
gpt2("variant/gpt2-relu", SAVED, activation_function="relu", attn_pdrop=0)
gpt2("variant/gpt2-saved-by-5.0", SAVED, torch_dtype=LEFT_OUT, dtype="float32", n_ctx=LEFT_OUT, add_cross_attention=False, pad_token_id=None,
     tie_word_embeddings=True, transformers_version="5.0.0", _name_or_path=LEFT_OUT)
gpt2("uer/gpt2-chinese-cluecorpussmall", GPT2, vocab_size=21128, bos_token_id=LEFT_OUT, eos_token_id=LEFT_OUT, gradient_checkpointing=False,
     tokenizer_class="BertTokenizer", output_past=True, task_specific_params={"text-generation": {"do_sample": True, "max_length": 320}})
gpt2("variant/gpt2-gelu-and-eps", SAVED, activation_function="gelu", layer_norm_epsilon=1e-12, embd_pdrop=0, resid_pdrop=0)

# ------------------------------------------------------------------------------------------------------- BERT


def bert(repository, base, changes=None, head="MaskedLM", **more):
    name = "BertModel" if head is None else f"BertFor{head}"
    return shape(repository, "bert", name, base, {"architectures": [name], **(changes or {})}, **more)


BERT = bert("google-bert/bert-base-uncased", dict(
    architectures=["BertForMaskedLM"], attention_probs_dropout_prob=0.1, gradient_checkpointing=False,
    hidden_act="gelu", hidden_dropout_prob=0.1, hidden_size=768, initializer_range=0.02, intermediate_size=3072,
    layer_norm_eps=1e-12, max_position_embeddings=512, model_type="bert", num_attention_heads=12, num_hidden_layers=12,
    pad_token_id=0, position_embedding_type="absolute", transformers_version="4.6.0.dev0", type_vocab_size=2,
    use_cache=True, vocab_size=30522))
SIZE_LARGE = dict(hidden_size=1024, intermediate_size=4096, num_attention_heads=16, num_hidden_layers=24)
POOLER = dict(directionality="bidi", pooler_fc_size=768, pooler_num_attention_heads=12, pooler_num_fc_layers=3,
              pooler_size_per_head=128, pooler_type="first_token_transform")
CASED = bert("google-bert/bert-base-cased", BERT, vocab_size=28996)
bert("google-bert/bert-large-uncased", BERT, SIZE_LARGE)
bert("google-bert/bert-large-cased", CASED, {**SIZE_LARGE, **POOLER}, gradient_checkpointing=LEFT_OUT, position_embedding_type=LEFT_OUT,
     use_cache=LEFT_OUT, transformers_version=LEFT_OUT)
MULTI = bert("google-bert/bert-base-multilingual-cased", BERT, POOLER, vocab_size=119547, gradient_checkpointing=LEFT_OUT)
bert("google-bert/bert-base-multilingual-uncased", MULTI, vocab_size=105879)
bert("google-bert/bert-base-chinese", MULTI, vocab_size=21128, position_embedding_type="absolute")
bert("google-bert/bert-base-german-cased", CASED, vocab_size=30000, position_embedding_type=LEFT_OUT, use_cache=LEFT_OUT)
bert("google-bert/bert-large-uncased-whole-word-masking", BERT, SIZE_LARGE)
bert("variant/bert-base-uncased-pretraining", BERT, head="PreTraining")
bert("google/bert_uncased_L-2_H-128_A-2", BERT, head="PreTraining", hidden_size=128, intermediate_size=512, num_attention_heads=2,
     num_hidden_layers=2, gradient_checkpointing=LEFT_OUT, position_embedding_type=LEFT_OUT, transformers_version=LEFT_OUT,
     use_cache=LEFT_OUT)
BGE = bert("BAAI/bge-base-en-v1.5", BERT, head=None, _name_or_path="/root/.cache/torch/sentence_transformers/BAAI_bge-base-en/",
           classifier_dropout=None, id2label={"0": "LABEL_0"}, label2id={"LABEL_0": 0}, torch_dtype="float32",
           transformers_version="4.30.0")
bert("BAAI/bge-large-en-v1.5", BGE, SIZE_LARGE, head=None)
bert("BAAI/bge-small-en-v1.5", BGE, head=None, hidden_size=384, intermediate_size=1536, torch_dtype="float32")
bert("BAAI/bge-large-zh-v1.5", BGE, {**SIZE_LARGE, **POOLER}, head=None, output_past=True, vocab_size=21128, bos_token_id=0,
     eos_token_id=2)
bert("intfloat/e5-base-v2", BERT, head=None, _name_or_path="intfloat/e5-base-v2", classifier_dropout=None, torch_dtype="float32",
     transformers_version="4.29.0.dev0")
bert("intfloat/e5-large-v2", BERT, SIZE_LARGE, head=None, classifier_dropout=None, torch_dtype="float32")
bert("thenlper/gte-base", BERT, head=None, classifier_dropout=None, torch_dtype="float16", transformers_version="4.28.1")
bert("sentence-transformers/all-MiniLM-L6-v2", BERT, head=None, _name_or_path="nreimers/MiniLM-L6-H384-uncased", hidden_size=384,
     intermediate_size=1536, num_hidden_layers=6, transformers_version="4.8.2")
bert("sentence-transformers/all-MiniLM-L12-v1", BERT, head=None, hidden_size=384, intermediate_size=1536,
     _name_or_path="microsoft/MiniLM-L12-H384-uncased", transformers_version="4.8.2")
bert("sentence-transformers/LaBSE", MULTI, head=None, vocab_size=501153, transformers_version="4.8.2", gradient_checkpointing=False)
bert("mixedbread-ai/mxbai-embed-large-v1", BERT, SIZE_LARGE, head=None, classifier_dropout=None, torch_dtype="float16", use_cache=False,
     transformers_version="4.37.0")
bert("Snowflake/snowflake-arctic-embed-m", BERT, head=None, classifier_dropout=None, torch_dtype="float32", transformers_version="4.36.1")
bert("allenai/scibert_scivocab_uncased", dict(
    attention_probs_dropout_prob=0.1, hidden_act="gelu", hidden_dropout_prob=0.1, hidden_size=768,
    initializer_range=0.02, intermediate_size=3072, max_position_embeddings=512, model_type="bert",
    num_attention_heads=12, num_hidden_layers=12, type_vocab_size=2, vocab_size=31090), architectures=LEFT_OUT)
bert("emilyalsentzer/Bio_ClinicalBERT", dict(
    attention_probs_dropout_prob=0.1, hidden_act="gelu", hidden_dropout_prob=0.1, hidden_size=768,
    initializer_range=0.02, intermediate_size=3072, layer_norm_eps=1e-12, max_position_embeddings=512,
    model_type="bert", num_attention_heads=12, num_hidden_layers=12, type_vocab_size=2, vocab_size=28996),
     architectures=LEFT_OUT)
bert("dmis-lab/biobert-v1.1", CASED, head=None, gradient_checkpointing=LEFT_OUT, position_embedding_type=LEFT_OUT,
     use_cache=LEFT_OUT, transformers_version=LEFT_OUT)
bert("microsoft/BiomedNLP-BiomedBERT-base-uncased-abstract", BERT, head="MaskedLM", gradient_checkpointing=LEFT_OUT, use_cache=LEFT_OUT)
bert("hfl/chinese-roberta-wwm-ext", MULTI, bos_token_id=0, eos_token_id=2, output_past=True, vocab_size=21128)
bert("tohoku-nlp/bert-base-japanese-v3", BERT, head="PreTraining", classifier_dropout=None, torch_dtype="float32", vocab_size=32768,
     transformers_version="4.28.1", gradient_checkpointing=LEFT_OUT, tokenizer_class="BertJapaneseTokenizer")
bert("cl-tohoku/bert-base-japanese-whole-word-masking", BERT, vocab_size=32000, tokenizer_class="BertJapaneseTokenizer",
     gradient_checkpointing=LEFT_OUT)
bert("nlpaueb/legal-bert-base-uncased", BERT, head="PreTraining", bos_token_id=0, eos_token_ids=0, output_past=True, num_labels=2,
     output_attentions=False, output_hidden_states=False, is_decoder=False, torchscript=False, use_bfloat16=False,
     pruned_heads={}, vocab_size=30522)
bert("dbmdz/bert-base-turkish-cased", BERT, vocab_size=32000, gradient_checkpointing=LEFT_OUT)
bert("prajjwal1/bert-tiny", dict(
    hidden_size=128, hidden_act="gelu", initializer_range=0.02, vocab_size=30522, hidden_dropout_prob=0.1,
    num_attention_heads=2, type_vocab_size=2, max_position_embeddings=512, num_hidden_layers=2, intermediate_size=512,
    attention_probs_dropout_prob=0.1, model_type="bert"), head=None, architectures=LEFT_OUT)
bert("cross-encoder/ms-marco-MiniLM-L-6-v2", BERT, head="SequenceClassification", id2label={"0": "LABEL_0"}, label2id={"LABEL_0": 0},
     hidden_size=384, intermediate_size=1536, num_hidden_layers=6)
bert("dslim/bert-base-NER", CASED, head="TokenClassification", id2label={"0": "O", "1": "B-PER"}, label2id={"O": 0, "B-PER": 1}, _num_labels=9,
     output_past=True)
bert("google-bert/bert-large-uncased-whole-word-masking-finetuned-squad", BERT, SIZE_LARGE, head="QuestionAnswering")


def megatron_bert(repository, head, base, **more):
    name = "MegatronBertModel" if head is None else f"MegatronBertFor{head}"
    return shape(repository, "bert", name, base, {"architectures": [name]}, **more)


MEGATRON = megatron_bert("nvidia/megatron-bert-uncased-345m", "PreTraining", dict(
    attention_probs_dropout_prob=0.1, gradient_checkpointing=False, hidden_act="gelu_new", hidden_dropout_prob=0.1,
    hidden_size=1024, initializer_range=0.02, intermediate_size=4096, layer_norm_eps=1e-12, max_position_embeddings=512,
    model_type="megatron-bert", num_attention_heads=16, num_hidden_layers=24, pad_token_id=0,
    position_embedding_type="absolute", tokenizer_type="BertWordPieceLowerCase", type_vocab_size=2, use_cache=True,
    vocab_size=30592))
megatron_bert("nvidia/megatron-bert-cased-345m", "MaskedLM", MEGATRON, vocab_size=29056, tokenizer_type="BertWordPieceCase", hidden_act="gelu")
megatron_bert("IDEA-CCNL/Erlangshen-MegatronBert-1.3B", "MaskedLM", MEGATRON, hidden_size=2048, intermediate_size=8192, num_attention_heads=32,
              vocab_size=21248, hidden_act="gelu", transformers_version="4.14.1", torch_dtype="float32", tokenizer_type=LEFT_OUT)
megatron_bert("KBLab/megatron-bert-base-swedish-cased-600k", "MaskedLM", MEGATRON, classifier_dropout=None, tokenizer_type=LEFT_OUT,
              hidden_act="gelu", hidden_size=768, intermediate_size=3072, num_attention_heads=12, num_hidden_layers=12, torch_dtype="float32",
              transformers_version="4.17.0", vocab_size=64128)
