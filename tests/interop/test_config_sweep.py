# SPDX-License-Identifier: Apache-2.0
"""Every shape of config.json that public models have, through targets that can express it and back: through every second
one, in turns, so that each has its share of all shapes; through all with CROSSDOCK_ALL_WAYS=1.

transformers computes the same from the source folder and from what comes back, bit for bit, and config.json changes
only where EXPLAINED says why, and to the value that it says."""
import hashlib
import json
import os
import re
import subprocess
from dataclasses import dataclass

import pytest
import torch
import transformers
from config_shapes import SHAPES, Shape
from conftest import PROGRAM, Failed
from models import assert_same_tensors, outputs
from safetensors.torch import load_file

ABSENT = object()


# ------------------------------------------------------------------------------------------------ what is refused

@dataclass
class Refused:
    """Targets that cannot express some shapes, and the words that say so."""

    shapes: str  # a regular expression for repositories, or a family
    targets: tuple
    words: str


MEGATRON = ("mcore", "llm", "lm")
REFUSED = [
    # Only transformers computes it
    Refused("BioMedLM|alias-gpt2", MEGATRON, "scale_attn_by_inverse_layer_idx|reorder_and_upcast_attn"),
    Refused("e5-mistral|SFR-Embedding|Linq-Embed", ("original", *MEGATRON), "no head"),
    Refused("ms-marco|bert-base-NER|finetuned-squad", ("hub", *MEGATRON),
            "ForSequenceClassification|ForTokenClassification|ForQuestionAnswering|classifier|qa_outputs"),
    # Meta's and mistralai's files have no word for it
    Refused("LLaMA-2-7B-32K|vicuna-7b-v1.5-16k|longchat|llama-2-dynamic|Giraffe|deepseek-coder-(1.3b|33b)", ("original",),
            "rope_scaling"),
    Refused("Yarn-", ("original",), "rope_scaling"),
    Refused("llama-3-biases", ("original",), "biases"),
    Refused("llama-with-nemos-head-size|Minitron", ("original",), "heads whose size"),
    # Megatron's programs do not compute it
    Refused("gemma", ("llm", "lm"), "zero-centred norm"),
    Refused("falcon-rw-|falcon_1b", MEGATRON, "ALiBi"),
    Refused("tiiuae/falcon-(7|40|180|11)|variant/falcon|Falcon2", ("mcore", "lm"), "parallel attention"),
    Refused("gpt2-relu", ("llm",), "activation"),
    Refused("bert, but not megatron's", MEGATRON, "a norm behind its embeddings"),
]


# Megatron computes something else, which a warning says on the way there; only with crossdock.json does it come back.
WARNED = [
    Refused("Yarn-", MEGATRON, "no option for rope_scaling of type 'yarn'; it is kept in crossdock.json"),
    Refused("llama-2-dynamic", MEGATRON, "no option for rope_scaling of type 'dynamic'; it is kept in crossdock.json"),
    Refused("lama-3.[123]|Llama-3.1|DeepSeek-R1-Distill|Hermes-3|Tulu-3", ("llm",), "no option for rope_scaling of type 'llama3'"),
    Refused("gpt2-relu", ("mcore", "lm"), "no option for an MLP with relu; it is kept in crossdock.json"),
]


def find(table, shape, target):
    def meant(one):
        if one.shapes == "bert, but not megatron's":
            return shape.config["model_type"] == "bert"
        return re.search(one.shapes, shape.repository) or one.shapes == shape.family
    return next((one for one in table if target in one.targets and meant(one)), None)


def rounding(shape):
    """gelu_new and gelu_pytorch_tanh are one function that rounds differently; Megatron has one word for both."""
    return 1e-5 if shape.config.get("hidden_act") == "gelu_new" else 0


# -------------------------------------------------------------------------------------- what changes in config.json

@dataclass
class Change:
    """Why a field of config.json may change, and from what to what: values, ABSENT, or functions of the source's."""

    why: str
    old: object
    new: object

    def covers(self, shape, old, new):
        def matches(wanted, value):
            if callable(wanted):
                wanted = wanted(shape.config)
            if wanted is ABSENT or value is ABSENT:
                return wanted is value
            return same(wanted, value)
        return matches(self.old, old) and matches(self.new, new)


def same(one, other):
    """As JSON: 10000 is 10000.0, but 0 is not false."""
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def first(*keys):
    return lambda config: next((config[key] for key in keys if config.get(key) is not None), ABSENT)


def itself(key):
    return lambda config: config.get(key, ABSENT)


def rope(config):
    """What rope_parameters of transformers 5 say, as rope_scaling said it before."""
    scaling = {key: value for key, value in config.get("rope_parameters", {}).items() if key != "rope_theta"}
    return scaling if scaling.get("rope_type", "default") != "default" else None


def rope_by_its_new_name(config):
    scaling = dict(config.get("rope_scaling") or {})
    kind = scaling.pop("type", None)
    return {**scaling, "rope_type": kind} if kind not in (None, "linear", "dynamic") else ABSENT


def head_size(config):
    return config["hidden_size"] // config["num_attention_heads"]


def tied(config):
    return config["model_type"] != "llama"


def falcon_is_new(config):
    return config.get("new_decoder_architecture", config["model_type"] == "RefinedWeb")


def falcon_groups(config):
    if falcon_is_new(config):
        return first("num_kv_heads", "n_head_kv", "num_attention_heads", "n_head")(config)
    return 1 if config.get("multi_query", True) else first("num_attention_heads", "n_head")(config)


DEFAULT = "what its absence means, written out, since the default differs from family to family"
OLDER = "an older spelling of a field that is there by its present name"
EXPLAINED = {
    "architectures": [
        Change("the class whose tensors these are", ABSENT, lambda config: ["BertModel"]),
        Change("the class whose tensors these are", ABSENT, lambda config: ["BertForMaskedLM"]),
        Change("the class was renamed before its first release", ["LLaMAForCausalLM"], ["LlamaForCausalLM"]),
        Change("transformers has the class itself", ["RWForCausalLM"], ["FalconForCausalLM"])],
    "auto_map": [Change("names remote code, which does not come along; transformers has the class itself",
                        itself("auto_map"), ABSENT)],
    "model_type": [Change("transformers' name of it", "RefinedWeb", "falcon"),
                   Change("transformers' name of it", "RefinedWebModel", "falcon")],
    # Sizes
    "head_dim": [Change(DEFAULT, ABSENT, head_size), Change("null means the same", None, head_size)],
    "num_key_value_heads": [Change(DEFAULT, ABSENT, itself("num_attention_heads"))],
    "max_position_embeddings": [Change(DEFAULT, ABSENT, 2048)],
    "n_inner": [Change(DEFAULT, ABSENT, lambda config: 4 * config["n_embd"]),
                Change("null means the same", None, lambda config: 4 * config["n_embd"])],
    "ffn_hidden_size": [Change(DEFAULT, ABSENT, lambda config: 4 * config["hidden_size"])],
    "num_kv_heads": [Change(DEFAULT, ABSENT, falcon_groups),
                     Change("what transformers takes whatever it says, unless the decoder is new",
                            itself("num_kv_heads"), falcon_groups)],
    "num_attention_heads": [Change("its present name", ABSENT, itself("n_head"))],
    "num_hidden_layers": [Change("its present name", ABSENT, itself("n_layer"))],
    "n_head": [Change(OLDER, itself("n_head"), lambda config: ABSENT if config["model_type"] != "gpt2" else None)],
    "n_layer": [Change(OLDER, itself("n_layer"), lambda config: ABSENT if config["model_type"] != "gpt2" else None)],
    "n_head_kv": [Change(OLDER, itself("n_head_kv"), ABSENT)],
    # Positions
    "rope_theta": [Change(DEFAULT, ABSENT, lambda config: config.get("rope_parameters", {}).get("rope_theta", 10000.0))],
    "rope_scaling": [Change(DEFAULT, ABSENT, rope),
                     Change("its present name, which came before yarn did", itself("rope_scaling"), rope_by_its_new_name)],
    "rope_parameters": [Change("all releases read rope_theta and rope_scaling, and only the latest this",
                               itself("rope_parameters"), ABSENT)],
    "position_embedding_type": [Change("nothing else is read; transformers 5 has no such field", "absolute", ABSENT)],
    # Blocks
    "attention_bias": [Change(DEFAULT, ABSENT, False)],
    "mlp_bias": [Change(DEFAULT, ABSENT, False)],
    "hidden_act": [Change("Gemma's first files said gelu and meant this", "gelu", "gelu_pytorch_tanh")],
    "hidden_activation": [Change(DEFAULT, ABSENT, "gelu_pytorch_tanh"),
                          Change("null means the same", None, "gelu_pytorch_tanh")],
    "activation": [Change(DEFAULT, ABSENT, "gelu")],
    "layer_norm_eps": [Change(DEFAULT, ABSENT, 1e-12)],
    "tie_word_embeddings": [Change(DEFAULT, ABSENT, tied)],
    "multi_query": [Change(DEFAULT, ABSENT, True)],
    "parallel_attn": [Change(DEFAULT, ABSENT, True)],
    "new_decoder_architecture": [Change("told by model_type before", ABSENT, falcon_is_new)],
    "num_ln_in_parallel_attn": [Change(DEFAULT, ABSENT, lambda config: 2 if falcon_is_new(config) else None)],
    "scale_attn_weights": [Change(DEFAULT, ABSENT, True)],
    "scale_attn_by_inverse_layer_idx": [Change(DEFAULT, ABSENT, False)],
    "reorder_and_upcast_attn": [Change(DEFAULT, ABSENT, False)],
    "use_cache": [Change(DEFAULT, ABSENT, True)],
    # Types
    "torch_dtype": [Change("what the tensors have", ABSENT, lambda config: config.get("dtype", "float32"))],
    "dtype": [Change("all releases read torch_dtype, and only the latest this", itself("dtype"), ABSENT)],
}


def unexplained(shape, config):
    """All fields that changed without a reason, or to another value than the reason gives: field → before and after."""
    found = {}
    for key in shape.config.keys() | config.keys():
        old, new = shape.config.get(key, ABSENT), config.get(key, ABSENT)
        if same(old, new) or any(change.covers(shape, old, new) for change in EXPLAINED.get(key, ())):
            continue
        found[key] = ("absent" if old is ABSENT else old, "absent" if new is ABSENT else new)
    return found


# ------------------------------------------------------------------------------------------------------ the sweep

class Source:
    """A Hugging Face folder of random weights in the dtype that its config.json states, and what comes back of it."""

    def __init__(self, shape: Shape, directory):
        self.shape, self.directory = shape, directory
        self.same_files = set()
        self.come_back = False  # with --config
        directory.mkdir()
        self.put(shape.reference or shape.config)
        self.save()
        self.outputs = self.compute(directory)
        self.tensors = load_file(directory / "model.safetensors")
        self.put(shape.config)

    def put(self, config):
        (self.directory / "config.json").write_text(json.dumps(config, indent=2))

    def save(self):
        text = (self.directory / "config.json").read_text()
        model_class = getattr(transformers, self.shape.model_class)
        torch.manual_seed(0)
        model = model_class._from_config(model_class.config_class.from_pretrained(self.directory),
                                         attn_implementation="eager", dtype=torch.float32)
        with torch.no_grad():  # norms and biases too: a default of 0 or 1 would hide a mix-up
            for name, parameter in model.named_parameters():
                is_norm = parameter.dim() == 1 and name.endswith("weight") and self.shape.family != "gemma"
                parameter.normal_(1.0 if is_norm else 0.0, 0.2 if parameter.dim() == 1 else 0.1)
        stated = self.shape.config.get("torch_dtype", self.shape.config.get("dtype", "float32"))
        model.to(getattr(torch, stated)).save_pretrained(self.directory)
        (self.directory / "config.json").write_text(text)  # in place of what transformers made of it

    def compute(self, directory):
        """All outputs in float32, by a model that finds each of its tensors and no other."""
        model, info = getattr(transformers, self.shape.model_class).from_pretrained(
            directory, output_loading_info=True, dtype=torch.float32, attn_implementation="eager")
        assert not any(info.values()), info
        return outputs(model.eval())

    def problems(self, back, config_too):
        config, weights = back / "config.json", back / "model.safetensors"
        files = hashlib.sha256(config.read_bytes() + weights.read_bytes()).digest()
        if files in self.same_files:  # the same files mean the same
            return
        self.same_files.add(files)
        if config_too and (changes := unexplained(self.shape, json.loads(config.read_text()))):
            yield f"config.json changed: {changes}"
        try:
            assert_same_tensors(self.tensors, load_file(weights))
            for one, other in zip(self.outputs, self.compute(back), strict=True):
                assert other.isfinite().all()
                difference = (one - other).abs().max().item()
                assert difference <= (0 if config_too else rounding(self.shape)), f"differ by up to {difference}"
        except (AssertionError, ValueError, KeyError, RuntimeError) as error:
            yield f"{type(error).__name__}: {str(error)[:600]}"


def ways(shape):
    """Name, plugin and options of each target."""
    config = shape.config
    groups = config.get("num_key_value_heads", config.get("num_kv_heads"))
    if shape.family == "falcon" and not config.get("new_decoder_architecture") and config.get("multi_query"):
        groups = 1
    parallel = {"target_tensor_parallel_size": 1 if groups == 1 else 2}  # one key/value head cannot be cut
    yield "hub", shape.family, {}
    if shape.family in ("llama", "mistral"):
        yield "original", shape.family, {"layout": "original"}
    yield "mcore", "mcore", parallel
    yield "llm", "megatron", {"dialect": "llm", **parallel}
    yield "lm", "megatron", {"dialect": "lm", **parallel}


def convert(loader, source, saver, target, **options):
    """What it says on the way."""
    words = [PROGRAM, "convert", "--quiet", "--loader", loader, "--load_dir", source, "--saver", saver, "--save_dir", target]
    for name, value in options.items():
        words += [f"--{name}", value]
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        raise Failed(done.stderr.strip() or f"exit {done.returncode} and nothing on stderr")
    return done.stderr


def go(source, name, plugin, options, folder):
    """There and back; then without crossdock.json, as the target's own tools leave their checkpoints: alone, and with
    the folder that the model came from."""
    family, there = source.shape.family, folder / name
    said = convert(family, source.directory, plugin, there, **options)
    if name == "hub":
        yield from source.problems(there, config_too=True)
        return
    convert(plugin, there, family, folder / f"{name}-back")
    yield from source.problems(folder / f"{name}-back", config_too=True)
    if warning := find(WARNED, source.shape, name):
        if not re.search(warning.words, said):
            yield f"no warning of: {warning.words}"
        return
    (there / "crossdock.json").unlink()
    if plugin == family:
        convert(plugin, there, family, folder / f"{name}-bare")
    else:
        convert(plugin, there, family, folder / f"{name}-bare", true_vocab_size=source.shape.config["vocab_size"])
        if not source.come_back:  # what the config.json says of the model is one story for all of Megatron's formats
            source.come_back = True
            convert(plugin, there, family, folder / f"{name}-config", config=source.directory)
            for problem in source.problems(folder / f"{name}-config", config_too=True):
                yield f"with --config: {problem}"
    for problem in source.problems(folder / f"{name}-bare", config_too=False):
        yield f"without crossdock.json: {problem}"


def ways_to_go(number, shape):
    step = 1 if os.environ.get("CROSSDOCK_ALL_WAYS") else 2
    return list(ways(shape))[number % step::step]


def sweep(number, shape, folder):
    source = Source(shape, folder / "source")
    for name, plugin, options in ways_to_go(number, shape):
        refused = find(REFUSED, shape, name)
        try:
            for problem in go(source, name, plugin, options, folder):
                yield f"{name}: {problem}"
            if refused:
                yield f"{name}: is not refused: {refused.words}"
        except Failed as failed:
            if not refused or not re.search(refused.words, str(failed)):
                yield f"{name}: {failed}"


@pytest.mark.parametrize("number, name", enumerate(SHAPES), ids=SHAPES)
def test_there_and_back(number, name, tmp_path):
    problems = list(sweep(number, SHAPES[name], tmp_path))
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("one", [*REFUSED, *WARNED], ids=lambda one: one.shapes)
def test_exceptions_are_of_shapes_that_are_there(one):
    for target in one.targets:
        assert any(find([one], shape, target) and target in [way[0] for way in ways(shape)] for shape in SHAPES.values())
