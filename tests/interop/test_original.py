# SPDX-License-Identifier: Apache-2.0
"""Files in Meta's and mistralai's own layouts give the same model when read by other eyes than ours."""
import json

import original_model
import pytest
import torch
from conftest import convert
from models import LLAMA_3_1, LLAMA_SIZES, MODELS, Model, assert_same_outputs, assert_same_tensors, load, write
from safetensors.torch import load_file, save_file

# The order of the sums differs between the two implementations, so float32 logits (here of size 1 to 10) differ in
# their last bits; one wrong tensor moves them by more than 0.5.
TOLERANCE = 1e-4

TIED = Model("llama", "LlamaForCausalLM", {**LLAMA_SIZES, "rope_parameters": LLAMA_3_1, "tie_word_embeddings": True})
LLAMA_3_2 = Model("llama", "LlamaForCausalLM", {**LLAMA_SIZES, "rope_parameters": {**LLAMA_3_1, "factor": 32.0}, "tie_word_embeddings": True})
MHA = Model("llama", "LlamaForCausalLM", {**LLAMA_SIZES, "num_key_value_heads": 8, "vocab_size": 256})
META = {"llama2": (MODELS["llama-gqa"], "llama2", 1), "llama2-mp2": (MODELS["llama-gqa"], "llama2", 2),
        "llama2-mha-mp8": (MHA, "llama2", 8), "codellama-mp2": (MODELS["llama-theta"], "codellama", 2),
        "llama3": (MODELS["llama-3.1"], "llama3", 1), "llama3-mp2": (MODELS["llama-3.1"], "llama3", 2), "llama3-tied": (TIED, "llama3", 1)}
MISTRAL = ("mistral-window", "mistral-no-window", "mistral-head-dim")
NAMES = {"self_attn.q_proj": "attention.wq", "self_attn.k_proj": "attention.wk", "self_attn.v_proj": "attention.wv",
         "self_attn.o_proj": "attention.wo", "mlp.gate_proj": "feed_forward.w1", "mlp.up_proj": "feed_forward.w3",
         "mlp.down_proj": "feed_forward.w2", "input_layernorm": "attention_norm", "post_attention_layernorm": "ffn_norm",
         "model.norm": "norm", "model.embed_tokens": "tok_embeddings", "lm_head": "output", "model.layers": "layers"}


def halves_to_pairs(weight, heads):
    """The inverse of permute() in transformers' convert_llama_weights_to_hf.py."""
    return weight.view(heads, 2, -1, weight.shape[1]).transpose(1, 2).reshape(weight.shape)


def expected_tensors(model):
    config, expected = model.config, {}
    for name, tensor in model.state_dict().items():
        if "q_proj" in name or "k_proj" in name:
            tensor = halves_to_pairs(tensor, config.num_attention_heads if "q_proj" in name else config.num_key_value_heads)
        for ours, theirs in NAMES.items():
            name = name.replace(ours, theirs)
        expected[name] = tensor
    return expected


def assert_same_model(model, directory):
    params, tensors = original_model.read(directory)
    assert_same_tensors(expected_tensors(model), tensors)
    ids = torch.randint(0, 250, (2, 24), generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        difference = (original_model.logits(params, tensors, ids) - model(ids).logits).abs().max().item()
    print(f"largest difference of logits: {difference:.1e}")
    assert difference < TOLERANCE
    return params


@pytest.mark.parametrize("spec, model_type, parts", META.values(), ids=META)
def test_meta_files(spec, model_type, parts, tmp_path):
    model = spec.build()
    write(model, tmp_path / "source")
    convert("llama", tmp_path / "source", "llama", tmp_path / "meta", layout="original", model_parallel_size=parts,
            model_type=model_type)
    assert len(list((tmp_path / "meta").glob("*.pth"))) == parts
    params = assert_same_model(model, tmp_path / "meta")
    assert original_model.meta_ffn(params) == model.config.intermediate_size
    known = {"dim", "multiple_of", "n_heads", "n_layers", "norm_eps", "vocab_size", "n_kv_heads", "ffn_dim_multiplier"}
    if model_type != "llama2":
        known.add("rope_theta")
    if model_type == "llama3":
        known.add("use_scaled_rope")
    if spec is TIED:
        known.add("rope_scaling_factor")  # else 32 would be meant; llama-models skips what it does not know
    assert params.keys() <= known  # ModelArgs(**params) refuses any other

    convert("llama", tmp_path / "meta", "llama", tmp_path / "back")
    back = load("LlamaForCausalLM", tmp_path / "back")
    tied = {"lm_head.weight"} if spec is TIED else set()
    assert_same_tensors({k: v for k, v in model.state_dict().items() if k not in tied},
                        {k: v for k, v in back.state_dict().items() if k not in tied})
    assert_same_outputs(model, back)


@pytest.mark.parametrize("parts", [1, 2])
def test_llama_3_2_without_crossdock_json(parts, tmp_path):
    """As Meta publishes it: a head that equals the embeddings, use_scaled_rope, and no word of the factor 32."""
    model = LLAMA_3_2.build()
    write(model, tmp_path / "source")
    convert("llama", tmp_path / "source", "llama", tmp_path / "meta", layout="original", model_parallel_size=parts)
    params = original_model.read(tmp_path / "meta")[0]
    assert params["use_scaled_rope"] is True and "rope_scaling_factor" not in params
    (tmp_path / "meta/crossdock.json").unlink()
    convert("llama", tmp_path / "meta", "llama", tmp_path / "back")
    back = load("LlamaForCausalLM", tmp_path / "back")
    assert back.config.tie_word_embeddings
    assert_same_outputs(model, back)


def test_mistral_shards(tmp_path):
    """As mistralai publishes its larger models; config.json is there, its weights are not."""
    model = MODELS["mistral-window"].build()
    write(model, tmp_path / "source")
    convert("mistral", tmp_path / "source", "mistral", tmp_path / "native", layout="original")
    tensors = load_file(tmp_path / "native/consolidated.safetensors")
    (tmp_path / "native/consolidated.safetensors").unlink()
    (tmp_path / "native/crossdock.json").unlink()
    files = [f"consolidated-0000{part}-of-00002.safetensors" for part in (1, 2)]
    for part, file in enumerate(files):
        save_file({name: tensors[name] for name in sorted(tensors)[part::2]}, tmp_path / "native" / file)
    index = {"metadata": {}, "weight_map": {name: files[at % 2] for at, name in enumerate(sorted(tensors))}}
    (tmp_path / "native/consolidated.safetensors.index.json").write_text(json.dumps(index))
    model.config.save_pretrained(tmp_path / "native")
    convert("mistral", tmp_path / "native", "mistral", tmp_path / "back")
    assert_same_outputs(model, load("MistralForCausalLM", tmp_path / "back"))


@pytest.mark.parametrize("name", MISTRAL)
def test_mistral_files(name, tmp_path):
    model = MODELS[name].build()
    write(model, tmp_path / "source")
    convert("mistral", tmp_path / "source", "mistral", tmp_path / "native", layout="original")
    assert (tmp_path / "native/consolidated.safetensors").exists()
    assert_same_model(model, tmp_path / "native")
    convert("mistral", tmp_path / "native", "mistral", tmp_path / "back")
    back = load("MistralForCausalLM", tmp_path / "back")
    assert_same_tensors(model.state_dict(), back.state_dict())
    assert_same_outputs(model, back)


@pytest.mark.parametrize("family, name", [("llama", "llama-gqa"), ("mistral", "mistral-window")])
def test_original_files_without_crossdock_json(family, name, tmp_path):
    """As Meta and mistralai publish them."""
    model = MODELS[name].build()
    write(model, tmp_path / "source")
    convert(family, tmp_path / "source", family, tmp_path / "original", layout="original")
    (tmp_path / "original/crossdock.json").unlink()
    convert(family, tmp_path / "original", "mcore", tmp_path / "mcore", target_tensor_parallel_size=2)
    convert("mcore", tmp_path / "mcore", family, tmp_path / "back")
    assert_same_tensors(model.state_dict(), load_file(tmp_path / "back/model.safetensors"))
    assert_same_outputs(model, load(MODELS[name].architecture, tmp_path / "back"))
