# SPDX-License-Identifier: Apache-2.0
"""transformers loads what we write, whatever way it went, and computes what it computed before, bit for bit."""
import pytest
import torch
from conftest import convert
from models import ALL, FORMATS, LLM, MODELS, assert_same_outputs, assert_same_tensors, load, write
from safetensors.torch import load_file

# What says how a checkpoint was written rather than what the model is.
BOOKKEEPING = {"architectures", "dtype", "torch_dtype", "transformers_version", "_name_or_path"}


def settings(model):
    """What config.json says of the model. Where it leaves things open, ours says what they mean."""
    config = {key: value for key, value in model.config.to_dict().items() if key not in BOOKKEEPING}
    if rope := config.get("rope_parameters"):  # "type" is what releases before 4.43 call rope_type, and stays for them
        config["rope_parameters"] = {key: value for key, value in rope.items() if key != "type"}
    if config["model_type"] == "gpt2":
        config["n_inner"] = config["n_inner"] or 4 * config["n_embd"]
    if config["model_type"] == "gemma":
        config["hidden_activation"] = "gelu_pytorch_tanh"  # the only one there is (modeling_gemma.py)
    if config["model_type"] in ("qwen2", "qwen2_moe", "mixtral"):  # written if it is not what follows from the others
        config["head_dim"] = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    if config["model_type"] == "falcon" and config["multi_query"] and not config["new_decoder_architecture"]:
        config["num_kv_heads"] = 1  # whatever is written there (modeling_falcon.py)
    return config


def assert_same_model(original, architecture, directory):
    back = load(architecture, directory)
    assert_same_tensors(original.state_dict(), back.state_dict())
    assert_same_outputs(original, back)
    assert settings(original) == settings(back)


def through_megatron():
    for name, model in MODELS.items():
        for saver, options in model.megatron:
            yield pytest.param(name, saver, options, id="-".join([name, saver, *options.values()]))


@pytest.mark.parametrize("name", MODELS)
def test_hugging_face_to_hugging_face(name, tmp_path):
    spec = MODELS[name]
    original = spec.build()
    write(original, tmp_path / "source")
    convert(spec.family, tmp_path / "source", spec.family, tmp_path / "back")
    assert_same_model(original, spec.architecture, tmp_path / "back")


@pytest.mark.parametrize("name, saver, options", list(through_megatron()))
def test_through_megatron(name, saver, options, tmp_path):
    spec = MODELS[name]
    original = spec.build()
    write(original, tmp_path / "source")
    convert(spec.family, tmp_path / "source", saver, tmp_path / "megatron",
            target_tensor_parallel_size=spec.tensor_parallel, target_pipeline_parallel_size=2, **options)
    convert(saver, tmp_path / "megatron", spec.family, tmp_path / "back")
    assert_same_model(original, spec.architecture, tmp_path / "back")


@pytest.mark.parametrize("name", ["llama-gqa", "llama-tied", "mistral-window", "falcon-40b", "gpt2"])
@pytest.mark.parametrize("file_format", FORMATS)
def test_every_file_format_that_transformers_wrote(file_format, name, tmp_path):
    spec = MODELS[name]
    original = spec.build()
    (tmp_path / "source").mkdir()
    write(original, tmp_path / "source", file_format)
    saver, options = spec.megatron[0]
    convert(spec.family, tmp_path / "source", saver, tmp_path / "megatron",
            target_tensor_parallel_size=spec.tensor_parallel, target_pipeline_parallel_size=2, **options)
    convert(saver, tmp_path / "megatron", spec.family, tmp_path / "back", max_shard_size="100KB")
    assert len(list((tmp_path / "back").glob("*.safetensors"))) > 1
    assert_same_model(original, spec.architecture, tmp_path / "back")


def forgetful():
    for name in ("llama-gqa", "llama-tied", "llama-biases", "llama-head-dim", "llama-theta", "llama-linear",
                 "mistral-window", "falcon-40b", "qwen2", "qwen3", "qwen2-moe", "mixtral", "gpt2"):
        for saver, options in MODELS[name].megatron:
            yield pytest.param(name, saver, options, id="-".join([name, saver, *options.values()]))


@pytest.mark.parametrize("name, saver, options", list(forgetful()))
def test_megatron_files_alone_say_what_the_model_is(name, saver, options, tmp_path):
    """Without crossdock.json, as Megatron itself leaves its checkpoints."""
    spec = MODELS[name]
    original = spec.build()
    write(original, tmp_path / "source")
    convert(spec.family, tmp_path / "source", saver, tmp_path / "megatron",
            target_tensor_parallel_size=spec.tensor_parallel, target_pipeline_parallel_size=2, **options)
    (tmp_path / "megatron/crossdock.json").unlink()
    convert(saver, tmp_path / "megatron", spec.family, tmp_path / "back", true_vocab_size=250)
    assert_same_outputs(original, load(spec.architecture, tmp_path / "back"))


@pytest.mark.parametrize("saver, options", ALL, ids=lambda value: "-".join(value.values()) if isinstance(value, dict) else value)
def test_longest_way(saver, options, tmp_path):
    """Every dialect and parallel size on one road: HF → llm TP2×PP2 → `saver` TP4 → llm PP4 → HF."""
    spec = MODELS["llama-gqa"]
    original = spec.build()
    write(original, tmp_path / "0")
    convert("llama", tmp_path / "0", *LLM[:1], tmp_path / "1", target_tensor_parallel_size=2,
            target_pipeline_parallel_size=2, **LLM[1])
    convert("megatron", tmp_path / "1", saver, tmp_path / "2", target_tensor_parallel_size=4,
            target_pipeline_parallel_size=1, **options)
    convert(saver, tmp_path / "2", "megatron", tmp_path / "3", target_tensor_parallel_size=1,
            target_pipeline_parallel_size=4, **LLM[1])
    convert("megatron", tmp_path / "3", "llama", tmp_path / "4")
    assert_same_model(original, spec.architecture, tmp_path / "4")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=["bf16", "f16"])
@pytest.mark.parametrize("name", ["llama-gqa", "mistral-window", "gemma-mha", "falcon-40b", "gpt2", "megatron-bert"])
def test_half_precision_is_kept(name, dtype, tmp_path):
    spec = MODELS[name]
    original = spec.build().to(dtype)
    write(original, tmp_path / "source")
    saver, options = spec.megatron[0]
    convert(spec.family, tmp_path / "source", saver, tmp_path / "megatron",
            target_tensor_parallel_size=spec.tensor_parallel, **options)
    convert(saver, tmp_path / "megatron", spec.family, tmp_path / "back")
    assert_same_tensors(load_file(tmp_path / "source/model.safetensors"), load_file(tmp_path / "back/model.safetensors"))
    assert_same_outputs(load(spec.architecture, tmp_path / "source"), load(spec.architecture, tmp_path / "back"))
    assert load_config_dtype(tmp_path / "back") == str(dtype).removeprefix("torch.")


def load_config_dtype(directory):
    import transformers

    return str(transformers.AutoConfig.from_pretrained(directory).dtype).removeprefix("torch.")


def test_generation_config_comes_along(tmp_path):
    original = MODELS["llama-gqa"].build()
    original.generation_config.max_new_tokens = 77
    write(original, tmp_path / "source")
    convert("llama", tmp_path / "source", "megatron", tmp_path / "megatron", target_tensor_parallel_size=2)
    convert("megatron", tmp_path / "megatron", "llama", tmp_path / "back")
    assert load("LlamaForCausalLM", tmp_path / "back").generation_config.max_new_tokens == 77
