# SPDX-License-Identifier: Apache-2.0
"""config.json in the spellings that people really have: what transformers computes from a file, it computes from what
Crossdock makes of it, straight and by way of Megatron-Core; and what no target can say is refused by name."""
import json

import pytest
import torch
import transformers
from conftest import Failed, convert
from models import assert_same_outputs, bert, falcon, gemma, llama, mistral, outputs, write_safetensors, Model
from safetensors.torch import load_file

LLAMA3 = dict(factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=16)
YARN = dict(factor=4.0, original_max_position_embeddings=16, beta_fast=16.0, beta_slow=2.0, mscale=0.7)
LONGROPE = dict(short_factor=[1.0, 1.1, 1.2, 1.3], long_factor=[1.0, 2.0, 3.0, 4.0])


def gpt2(**config):
    return Model("gpt2", "GPT2LMHeadModel", dict(n_embd=64, n_layer=2, n_head=4, n_positions=64, vocab_size=250, **config))


def new_falcon(**config):
    return falcon((), num_kv_heads=2, new_decoder_architecture=True, **config)


def rope(theta=None, scaling=None, parameters=None, **other):
    """An edit that leaves only the rope keys that are given."""
    return dict(rope_theta=theta, rope_scaling=scaling, rope_parameters=parameters, **other)


SPELLED = {
    # rotary positions
    "old keys": (llama(), rope(5e5, {"rope_type": "llama3", **LLAMA3})),
    "new keys": (llama(), rope(parameters={"rope_type": "llama3", "rope_theta": 5e5, **LLAMA3})),
    "both, saying the same": (llama(), rope(5e5, {"rope_type": "llama3", **LLAMA3},
                                            {"rope_type": "llama3", "rope_theta": 5e5, **LLAMA3})),
    "theta inside of rope_scaling": (llama(), rope(5e5, {"rope_type": "linear", "factor": 2.0, "rope_theta": 300.0})),
    "theta in rope_parameters and outside": (llama(), rope(5e5, None, {"rope_type": "default", "rope_theta": 300.0})),
    "scaling and parameters that differ": (llama(), rope(5e5, {"type": "linear", "factor": 2.0},
                                                         {"rope_type": "llama3", "rope_theta": 300.0, **LLAMA3})),
    "type": (llama(), rope(1e4, {"type": "linear", "factor": 4.0})),
    "type and rope_type that differ": (llama(), rope(1e4, {"type": "linear", "rope_type": "dynamic", "factor": 4.0},
                                                     max_position_embeddings=16)),
    "dynamic": (llama(), rope(1e4, {"type": "dynamic", "factor": 4.0}, max_position_embeddings=16)),
    "no rope keys at all": (llama(), {}),
    "null": (llama(), rope()),
    "empty scaling": (llama(), rope(7e3, {})),
    "scaling without a type": (llama(), rope(7e3, {"factor": 4.0})),
    "theta as an integer": (llama(), rope(500000)),
    "yarn": (llama(), rope(1e4, {"type": "yarn", **YARN})),
    "yarn without a length": (llama(), rope(1e4, {"rope_type": "yarn", "factor": 4.0}, max_position_embeddings=16)),
    "yarn, factor null": (llama(), rope(1e4, {**YARN, "rope_type": "yarn", "factor": None})),
    "longrope": (llama(), rope(1e4, {"rope_type": "longrope", **LONGROPE, "factor": 4.0,
                                     "original_max_position_embeddings": 16})),
    "longrope with the length outside": (llama(), rope(1e4, {"rope_type": "longrope", **LONGROPE},
                                                       original_max_position_embeddings=16)),
    "llama3 with two lengths": (llama(), rope(1e4, {"rope_type": "llama3", **LLAMA3},
                                              original_max_position_embeddings=8)),
    "proportional": (llama(), rope(parameters={"rope_type": "proportional", "rope_theta": 1e4,
                                               "partial_rotary_factor": 0.5})),
    "partial, which Llama does not read": (llama(), {"partial_rotary_factor": 0.5}),
    "gemma's, linear": (gemma(num_key_value_heads=2), rope(1e4, {"type": "linear", "factor": 2.0})),
    "mistral's, yarn": (mistral(sliding_window=None), rope(1e6, {"type": "yarn", **YARN})),
    "falcon's, dynamic": (new_falcon(), rope(1e4, {"type": "dynamic", "factor": 4.0}, max_position_embeddings=16)),
    # heads, sizes, activations
    "key/value heads null": (llama(num_key_value_heads=8), {"num_key_value_heads": None}),
    "key/value heads absent": (llama(num_key_value_heads=8), {"num_key_value_heads": ...}),
    "head_dim null": (llama(), {"head_dim": None}),
    "head_dim absent": (mistral(), {"head_dim": ...}),
    "tie absent": (llama(), {"tie_word_embeddings": ...}),
    "tie absent, gemma": (gemma(num_key_value_heads=2), {"tie_word_embeddings": ...}),
    "biases absent": (llama(), {"attention_bias": ..., "mlp_bias": ...}),
    "swish": (llama(), {"hidden_act": "swish"}),
    "pretraining_tp": (llama(), {"pretraining_tp": 2}),
    "keys of others": (llama(), {"logit_scale": 0.5, "sliding_window": 8, "layer_types": ["full_attention"] * 4}),
    "dtype and torch_dtype": (llama(), {"dtype": "float32", "torch_dtype": "float16"}),
    "window absent": (mistral(sliding_window=4096), {"sliding_window": ...}),
    "window null": (mistral(sliding_window=None), {"sliding_window": None}),
    "use_sliding_window, which Mistral does not read": (mistral(sliding_window=8), {"use_sliding_window": False}),
    "gemma's hidden_activation is not read": (gemma(num_key_value_heads=2, hidden_act="silu"),
                                              {"hidden_activation": "gelu_pytorch_tanh"}),
    "gemma's hidden_act absent": (gemma(num_key_value_heads=2), {"hidden_act": ...}),
    # GPT-2
    "n_ctx beside n_positions": (gpt2(), {"n_ctx": 32}),
    "general names": (gpt2(), {"n_embd": ..., "hidden_size": 64, "n_layer": ..., "num_hidden_layers": 2, "n_head": ...,
                               "num_attention_heads": 4, "n_positions": ..., "max_position_embeddings": 64}),
    "general names count": (gpt2(), {"n_head": 8, "num_attention_heads": 4, "n_inner": None}),
    # Falcon
    "7B's num_kv_heads, which does not count": (falcon((), multi_query=True), {"num_kv_heads": 8}),
    "40B's multi_query, which does not count": (new_falcon(), {"multi_query": True, "parallel_attn": True}),
    "n_embed": (new_falcon(), {"n_embed": 64, "hidden_size": 96}),
    "switches that are null": (falcon((), multi_query=True), {"bias": None, "alibi": None,
                                                               "new_decoder_architecture": None}),
    "ffn_hidden_size null": (falcon((), multi_query=True), {"ffn_hidden_size": None}),
    "alibi": (falcon((), multi_query=False, parallel_attn=False, bias=True, alibi=True), {}),
    # BERT
    "bert, tie absent": (bert("BertForPreTraining"), {"tie_word_embeddings": ...}),
    "bert, absolute positions": (bert("BertForMaskedLM"), {"position_embedding_type": "absolute"}),
}
CORE = ("llama", "mistral", "gemma", "gpt2")
# Releases before 5 read these otherwise, or not at all; there is a notice where the two compute different things.
SINCE_5 = {"new keys", "theta inside of rope_scaling", "theta in rope_parameters and outside",
           "type and rope_type that differ", "empty scaling", "scaling without a type", "yarn, factor null",
           "llama3 with two lengths", "proportional", "partial, which Llama does not read", "mistral's, yarn"}
RELEASE = int(transformers.__version__.split(".")[0])


def edited(model, directory, edit):
    """What save_pretrained writes, with keys of config.json replaced; ... takes one out."""
    model.save_pretrained(directory)
    edit_config(directory, edit)
    return directory


def edit_config(directory, edit):
    path = directory / "config.json"
    config = json.loads(path.read_text())
    if "rope_theta" in edit or "rope_scaling" in edit:
        config.pop("rope_parameters", None)
    config.update({key: value for key, value in edit.items() if not (value is None and key.startswith("rope_"))})
    path.write_text(json.dumps({key: value for key, value in config.items() if value is not ...}))


def load(architecture, directory):
    """Without the check of models.load: these files are meant to be strange."""
    return getattr(transformers, architecture).from_pretrained(directory, dtype=torch.float32,
                                                               attn_implementation="eager").eval()


def through_megatron(family, source, directory, **options):
    convert(family, source, "mcore", directory / "mcore", **options)
    return convert("mcore", directory / "mcore", family, directory / "back")


@pytest.mark.parametrize("name", SPELLED)
def test_what_transformers_computes_stays(name, tmp_path):
    if name in SINCE_5 and RELEASE < 5:
        pytest.skip("read otherwise by releases before 5")
    model, edit = SPELLED[name]
    source = edited(model.build(), tmp_path / "source", edit)
    expected = load(model.architecture, source)
    assert_same_outputs(expected, load(model.architecture, convert(model.family, source, model.family, tmp_path / "hf")))
    if model.family not in CORE:
        return
    back = through_megatron(model.family, source, tmp_path)
    assert_same_outputs(expected, load(model.architecture, back))


REFUSED = {
    "rope_scaling of an unknown kind": (llama(), {"rope_scaling": {"type": "mrope", "mrope_section": [1, 1, 2]}}, "mrope"),
    "rope_type null": (llama(), {"rope_scaling": {"rope_type": None, "factor": 2.0}}, "'rope_type'"),
    "linear without a factor": (llama(), {"rope_scaling": {"type": "linear"}}, "'factor'"),
    "a factor that is a text": (llama(), {"rope_scaling": {"type": "linear", "factor": "2"}}, "'factor'"),
    "rope_theta null": (llama(), {"rope_theta": None, "rope_parameters": ...}, "'rope_theta'"),
    "positions of a layer's own": (llama(), {"rope_parameters": {"full_attention": {"rope_type": "default"}}},
                                   "full_attention"),
    "partial positions that do not fit": (llama(), {"partial_rotary_factor": 0.5,
                                                    "rope_scaling": {"type": "linear", "factor": 2.0}},
                                          "partial_rotary_factor"),
    "epsilon null": (llama(), {"rms_norm_eps": None}, "'rms_norm_eps': is null"),
    "a switch that is a number": (llama(), {"attention_bias": 1}, "'attention_bias': is 1, expected true or false"),
    "a size that is a text": (llama(), {"hidden_size": "64"}, "'hidden_size'"),
    "no key/value heads": (llama(), {"num_key_value_heads": 0}, "'num_key_value_heads': is 0"),
    "an unknown activation": (llama(), {"hidden_act": "mish"}, "'mish'"),
    "a window of 0": (mistral(), {"sliding_window": 0}, "'sliding_window': is 0"),
    "quantization": (llama(), {"quantization_config": {"quant_method": "gptq", "bits": 4}},
                     "config.json: 'quantization_config' asks for quantized weights (gptq)"),
    "quantization of Meta's kind": (llama(), {"quantization_args": {"group_size": 32}}, "'quantization_args'"),
    "another head": (llama(), {"architectures": ["LlamaForSequenceClassification"]}, "LlamaForSequenceClassification"),
    "biases that nothing asks for": (llama(attention_bias=True), {"attention_bias": False}, "queries, keys and values"),
    "falcon's norms": (new_falcon(), {"num_ln_in_parallel_attn": 1}, "num_ln_in_parallel_attn"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_is_refused_by_its_name(name, tmp_path):
    model, edit, told = REFUSED[name]
    model.build().save_pretrained(tmp_path / "source")
    path = tmp_path / "source/config.json"
    config = {key: value for key, value in {**json.loads(path.read_text()), **edit}.items() if value is not ...}
    path.write_text(json.dumps(config))
    with pytest.raises(Failed, match="config.json") as refusal:
        convert(model.family, tmp_path / "source", "mcore", tmp_path / "out")
    assert told in str(refusal.value)
    assert not (tmp_path / "out").exists()


SWITCHES = {
    "scale_attn_by_inverse_layer_idx": (gpt2(scale_attn_by_inverse_layer_idx=True)),
    "scale_attn_weights": (gpt2(scale_attn_weights=False)),
    "reorder_and_upcast_attn": (gpt2(reorder_and_upcast_attn=True)),
    "use_bidirectional_attention": (gemma(num_key_value_heads=2, use_bidirectional_attention=True)),
}


@pytest.mark.parametrize("name", SWITCHES)
def test_a_switch_of_one_family_stays_in_it_and_goes_nowhere_else(name, tmp_path):
    model = SWITCHES[name]
    built = model.build()
    built.save_pretrained(tmp_path / "source")
    copy = convert(model.family, tmp_path / "source", model.family, tmp_path / "hf")
    assert_same_outputs(load(model.architecture, tmp_path / "source"), load(model.architecture, copy))
    with pytest.raises(Failed, match=name):
        convert(model.family, tmp_path / "source", "mcore", tmp_path / "out")


def rename(directory, change):
    """The tensors of a directory under other names; those that become None are left out."""
    tensors = load_file(directory / "model.safetensors")
    write_safetensors({change(name): tensor for name, tensor in tensors.items() if change(name)}, directory)


@pytest.mark.parametrize("wrapper", ["module.", "_orig_mod.", "base_model.model.", "module._orig_mod."])
def test_names_below_a_wrapper_are_read(wrapper, tmp_path):
    model = llama()
    source = edited(model.build(), tmp_path / "source", {})
    expected = load(model.architecture, source)
    rename(source, lambda name: wrapper + name)
    assert_same_outputs(expected, load(model.architecture, through_megatron("llama", source, tmp_path)))


def test_names_with_compiled_modules_inside_are_read(tmp_path):
    source = edited(llama().build(), tmp_path / "source", {})
    expected = load("LlamaForCausalLM", source)
    rename(source, lambda name: name.replace("mlp.", "mlp._orig_mod.").replace("layers.1.", "layers.1._fsdp_wrapped_module."))
    assert_same_outputs(expected, load("LlamaForCausalLM", through_megatron("llama", source, tmp_path)))


@pytest.mark.parametrize("model", [llama(), mistral(), gemma(num_key_value_heads=2, tie_word_embeddings=False)],
                         ids=lambda model: model.family)
@pytest.mark.parametrize("base", ["", "model."])
def test_a_model_without_a_head_stays_one(model, base, tmp_path):
    built = model.build()
    edited(built, tmp_path / "source", {"architectures": [model.architecture.replace("ForCausalLM", "Model")]})
    rename(tmp_path / "source", lambda name: None if name.startswith("lm_head") else base + name.removeprefix("model."))
    out = convert(model.family, tmp_path / "source", model.family, tmp_path / "out")
    architecture = model.architecture.replace("ForCausalLM", "Model")
    assert json.loads((out / "config.json").read_text())["architectures"] == [architecture]
    assert_same_outputs(load(architecture, tmp_path / "source"), load(architecture, out))
    with pytest.raises(Failed, match="no head"):
        convert(model.family, tmp_path / "source", "mcore", tmp_path / "mcore")


def test_a_tied_model_without_a_head_is_whole(tmp_path):
    source = edited(gpt2().build(), tmp_path / "source", {"architectures": ["GPT2Model"]})
    expected = load("GPT2LMHeadModel", source)
    rename(source, lambda name: name.removeprefix("transformer."))
    assert_same_outputs(expected, load("GPT2LMHeadModel", through_megatron("gpt2", source, tmp_path)))


def write_head(model, directory, head, change):
    tensors = load_file(directory / "model.safetensors")
    word = next(name for name in tensors if name.endswith((".embed_tokens.weight", ".wte.weight", "word_embeddings.weight")))
    tensors[head] = change(tensors[word])
    write_safetensors(tensors, directory)


HEADS = [(llama(tie_word_embeddings=True), "lm_head.weight"), (gemma(num_key_value_heads=2), "lm_head.weight"),
         (gpt2(), "lm_head.weight"), (new_falcon(), "lm_head.weight"),
         (bert("BertForMaskedLM"), "cls.predictions.decoder.weight"),
         (bert("BertForMaskedLM"), "cls.predictions.decoder.bias")]


@pytest.mark.skipif(RELEASE < 5, reason="releases before 5 tie the two")
@pytest.mark.parametrize("model, head", HEADS, ids=[f"{model.family}-{head}" for model, head in HEADS])
def test_a_head_that_differs_from_the_embeddings_stays(model, head, tmp_path):
    source = edited(model.build(), tmp_path / "source", {})
    if head.endswith("bias"):
        write_head(model, source, head, lambda words: words[:, 0].contiguous())
    else:
        write_head(model, source, head, lambda words: words * 0.5)
    expected = load(model.architecture, source)
    out = convert(model.family, source, model.family, tmp_path / "out")
    assert_same_outputs(expected, load(model.architecture, out))
    if model.family in CORE:
        assert_same_outputs(expected, load(model.architecture, through_megatron(model.family, source, tmp_path)))


def test_a_copied_head_leaves_the_model_tied(tmp_path):
    source = edited(llama(tie_word_embeddings=True).build(), tmp_path / "source", {})
    write_head(None, source, "lm_head.weight", lambda words: words.clone())
    out = convert("llama", source, "llama", tmp_path / "out")
    assert json.loads((out / "config.json").read_text())["tie_word_embeddings"] is True
    assert "lm_head.weight" not in load_file(out / "model.safetensors")


@pytest.mark.parametrize("model, head", [(llama(), "score.weight"), (bert("BertModel"), "classifier.weight"),
                                         (bert("BertModel"), "qa_outputs.weight")], ids=lambda value: str(value)[:8])
def test_another_head_is_refused_by_its_tensor(model, head, tmp_path):
    source = edited(model.build(), tmp_path / "source", {})
    tensors = load_file(source / "model.safetensors")
    write_safetensors({**tensors, head: torch.zeros(2, 64)}, source)
    with pytest.raises(Failed, match=head):
        convert(model.family, source, model.family, tmp_path / "out")


@pytest.mark.parametrize("dtype", [torch.int8, torch.float8_e4m3fn])
def test_weights_that_are_no_floats_are_refused(dtype, tmp_path):
    source = edited(llama().build(), tmp_path / "source", {})
    tensors = load_file(source / "model.safetensors")
    write_safetensors({name: t.to(dtype) if "mlp" in name else t for name, t in tensors.items()}, source)
    with pytest.raises(Failed, match="expected f32, bf16, f16 or f64"):
        convert("llama", source, "mcore", tmp_path / "out")


@pytest.mark.parametrize("model", [llama(), mistral(), gpt2(), new_falcon(), bert("BertModel")], ids=lambda m: m.family)
def test_the_family_is_told_from_the_class_where_there_is_no_model_type(model, tmp_path):
    source = edited(model.build(), tmp_path / "source", {})
    expected = load(model.architecture, source)
    edit_config(source, {"model_type": ..., "architectures": [model.architecture]})
    out = convert(model.family, source, model.family, tmp_path / "out")
    assert_same_outputs(expected, load(model.architecture, out))


def test_releases_before_rope_type_read_linear_scaling(tmp_path):
    for scaling in ({"type": "linear", "factor": 4.0}, {"type": "dynamic", "factor": 4.0}):
        source = edited(llama().build(), tmp_path / scaling["type"], rope(1e4, scaling))
        out = convert("llama", source, "llama", tmp_path / (scaling["type"] + "-out"))
        config = json.loads((out / "config.json").read_text())
        assert (config["rope_scaling"], config["rope_theta"]) == (scaling, 1e4)


def test_gpt2_keeps_n_ctx(tmp_path):
    source = edited(gpt2().build(), tmp_path / "source", {"n_ctx": 64})
    back = through_megatron("gpt2", source, tmp_path)
    assert json.loads((back / "config.json").read_text())["n_ctx"] == 64
