# SPDX-License-Identifier: Apache-2.0
"""Writes the files of this folder with PyTorch itself (2.13.0, numpy 2.4.6, Python 3.11) and, where PyTorch no longer
writes such a file, with pickle and zipfile. Run it here: python make.py. expected.txt then lists the tensors of all
files and of the golden checkpoints beside this folder as torch.load reads them: file|name|dtype|shape|crc32."""

import argparse
import collections
import dataclasses
import enum
import io
import os
import pathlib
import pickle
import struct
import sys
import tarfile
import types
import zipfile
import zlib

import numpy
import torch

HERE = pathlib.Path(__file__).parent
GOLDEN = [
    "hf/llama3.2-tied-bin-legacy/pytorch_model.bin",
    "meta/llama3-gqa-mp2/consolidated.00.pth",
    "megatron-llm/llama2-gqa-pp4/release/mp_rank_00_001/model_optim_rng.pt",
    "megatron-llm/mistral-gqa-tp2pp2/release/mp_rank_01_000/model_optim_rng.pt",
    "megatron-core/mistral-gqa-local-tp2pp2/iter_0000001/mp_rank_01_001/model_optim_rng.pt",
    "megatron-lm/gpt/iter_0000010/mp_rank_00/model_optim_rng.pt",
]


def module(name, **members):
    """Makes classes importable under `name` while they are saved; readers never see their code."""
    made = types.ModuleType(name)
    sys.modules[name] = made
    for key, value in members.items():
        value.__module__ = name
        setattr(made, key, value)


class Thing:
    def __init__(self, **attributes):
        self.__dict__.update(attributes)


class Slotted:
    __slots__ = ("left", "right")

    def __init__(self):
        self.left, self.right = 1, "two"


class Names(list):
    pass


class Settings(dict):
    pass


class Mode(enum.Enum):
    fast = 1
    exact = 2


class Outer:
    class Inner:
        pass


class Hostile:
    def __reduce__(self):
        return os.system, ("touch /tmp/crossdock-was-here",)


def count(*shape, dtype=torch.float32):
    return torch.arange(torch.Size(shape).numel(), dtype=torch.float32).reshape(shape).to(dtype)


def rezip(source, target, change=lambda name, data: data, deflate=lambda name: False):
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for info in old.infolist():
            data = change(info.filename, old.read(info))
            if data is not None:
                method = zipfile.ZIP_DEFLATED if deflate(info.filename) else zipfile.ZIP_STORED
                new.writestr(zipfile.ZipInfo(info.filename), data, method)


def zip_of_pickle(name, data):
    with zipfile.ZipFile(name, "w") as new:
        new.writestr(zipfile.ZipInfo("archive/data.pkl"), data)
        new.writestr(zipfile.ZipInfo("archive/version"), "3\n")


def views():
    w = count(4, 3)
    cube = count(2, 3, 4)
    torch.save(
        {
            "whole": w,
            "transposed": w.t(),
            "block": w[1:3, 1:],
            "column": w[:, 2],
            "row": w[3],
            "every_other": w.reshape(-1)[::2],
            "expanded": w[0].expand(2, 3),
            "scalar": w[2, 1],
            "cube": cube.permute(2, 0, 1),
            "none": w[2:2],
        },
        "views.pt",
    )


def dtypes():
    names = "float64 float32 float16 bfloat16 int64 int32 int16 int8 uint8 bool float8_e4m3fn float8_e5m2".split()
    torch.save({name: count(2, 3, dtype=getattr(torch, name)) for name in names}, "dtypes.pt")


def containers():
    torch.save(
        {
            "args": argparse.Namespace(hidden_size=64, lr=1e-5, name="tiny", bf16=True, nothing=None, sizes=[1, 2, 3]),
            "simple": types.SimpleNamespace(depth=2),
            "ordered": collections.OrderedDict([("b", 1), ("a", 2)]),
            "default": collections.defaultdict(list, {"x": [1]}),
            "counter": collections.Counter("aab"),
            "tuple": (1, (2, 3), ()),
            "many": tuple(range(5)),
            "set": {7},
            "frozen": frozenset([8]),
            "bytes": b"\x00\xff\x80raw",
            "no_bytes": b"",
            "array": bytearray(b"ab"),
            "integers": [0, 255, 256, 65535, 65536, -1, -(2**31), 2**31, 2**62, -(2**63), 2**63, -(2**63) - 1, 2**100],
            "floats": [0.5, -0.0, float("inf"), 1e300],
            "text": "Zoë – 模型 \U0001f600",
            "size": torch.Size([2, 3]),
            "dtype": torch.bfloat16,
            "device": torch.device("cpu"),
            "path": pathlib.PurePosixPath("a/b"),
            "numpy_scalar": numpy.float64(1.5),
            "numpy_array": numpy.arange(3, dtype=numpy.uint32),
            "complex": complex(1, 2),
            1: "one",
            (1, 2): "pair",
            "weights": [count(2), {"deep": count(3)}],
        },
        "containers.pt",
    )


def unknown():
    module("private_code", Thing=Thing, Slotted=Slotted, Names=Names, Settings=Settings, Mode=Mode, Outer=Outer)
    Outer.Inner.__module__ = "private_code"
    Outer.Inner.__qualname__ = "Outer.Inner"
    torch.save(
        {
            "thing": Thing(answer=42, inner=Thing(weight=count(2))),
            "slotted": Slotted(),
            "names": Names(["a", "b"]),
            "settings": Settings(key="value", weight=count(3)),
            "mode": Mode.exact,
            "inner": Outer.Inner(),
            "builtin": OSError(2, "text"),
            "weight": count(4),
        },
        "unknown.pt",
    )


def module_state():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    with torch.no_grad():
        for number, parameter in enumerate(model.parameters()):
            parameter.copy_(count(*parameter.shape) + 100 * number)
    marked = torch.nn.Parameter(count(2), requires_grad=False)
    marked.tensor_model_parallel = True
    torch.save(
        {
            "state": model.state_dict(),
            "parameter": torch.nn.Parameter(count(2, 2)),
            "marked": marked,
            "empty": torch.zeros(0),
            "empty_rows": torch.zeros(0, 4),
            "scalar": torch.tensor(3.0),
        },
        "module.pt",
    )


def protocols():
    content = {"a": count(2, 3), "b": {"c": b"bytes", "n": -1, "f": 0.25, "t": (True, None)}, "s": {1}}
    for protocol in (1, 2, 3, 4, 5):
        torch.save(content, f"protocol{protocol}.pt", pickle_protocol=protocol)
    module("private_code", Thing=Thing)
    plain = {"n": -1, "l": [2**70, -(2**70), True], "f": 0.25, "t": (False, None), "s": "Zoë \U0001f600", "o": Thing(depth=2)}
    zip_of_pickle("protocol0.pt", pickle.dumps(plain, 0))


def shared():
    w = count(2, 2)
    inner = {"w": w}
    torch.save({"first": w, "second": w, "view": w.view(4), "one": inner, "two": inner}, "shared.pt")


def cycles():
    ring = [1]
    ring.append(ring)
    module("private_code", Thing=Thing)
    parent, child = Thing(), Thing()
    parent.child, child.parent = child, parent
    torch.save({"ring": ring, "parent": parent, "weight": count(2)}, "cycles.pt")


def big_endian():
    def swapped(dtype, width):
        raw = count(2, 3, dtype=dtype).view(torch.uint8).numpy().reshape(-1, width)[:, ::-1].copy()
        return torch.from_numpy(raw).view(dtype).reshape(2, 3)

    wide = {"f32": swapped(torch.float32, 4), "bf16": swapped(torch.bfloat16, 2), "i64": swapped(torch.int64, 8)}
    wide["transposed"] = wide["f32"].t()
    wide["u8"] = count(2, 3, dtype=torch.uint8)
    torch.save(wide, "little.pt")
    rezip("little.pt", "big_endian.pt", lambda name, data: b"big" if name.endswith("byteorder") else data)
    os.remove("little.pt")


def legacy():
    w = count(4, 3)
    content = {
        "whole": w,
        "transposed": w.t(),
        "row": w[3],
        "half": count(3, dtype=torch.float16),
        "parameter": torch.nn.Parameter(count(2, 2)),
        "empty": torch.zeros(0, 2),
        "args": argparse.Namespace(depth=2),
    }
    torch.save(content, "legacy.pt", _use_new_zipfile_serialization=False)
    for protocol in (1, 3, 4, 5):
        name = f"legacy_protocol{protocol}.pt"
        torch.save(content, name, pickle_protocol=protocol, _use_new_zipfile_serialization=False)


class Slots:
    __slots__ = ("hidden_size", "rotary_base")

    def __init__(self, values):
        for name in self.__slots__:
            setattr(self, name, values[name])


class Count(int):
    pass


class Norm(str, enum.Enum):
    rms = "RMSNorm"


def arguments():
    """What training scripts put in place of an argparse.Namespace of plain numbers."""
    plain = {"hidden_size": 32, "rotary_base": 500000}
    data = dataclasses.make_dataclass("Data", [(name, object) for name in plain])
    frozen = dataclasses.make_dataclass("Frozen", [(name, object) for name in plain], frozen=True, slots=True)
    point = collections.namedtuple("Point", plain)
    module("private_code", Mode=Mode, Slots=Slots, Count=Count, Norm=Norm, Data=data, Frozen=frozen, Point=point,
           Thing=Thing)
    values = dict(
        int64=numpy.int64(32), int32=numpy.int32(-4), uint8=numpy.uint8(255), float64=numpy.float64(5e5),
        float32=numpy.float32(1e-3), float16=numpy.float16(0.5), true=numpy.bool_(True), text=numpy.str_("rope"),
        raw_text=numpy.bytes_(b"rope"), big_endian=numpy.array([1, 2], ">i4"), array=numpy.array(7),
        vector=numpy.arange(3), tensor=torch.tensor(32), bf16=torch.tensor(0.5, dtype=torch.bfloat16),
        row=torch.tensor([1.5, 2.5]), no=torch.tensor(False), count=Count(5), norm=Norm.rms,
        path=pathlib.PurePosixPath("/a/b"), device=torch.device("cuda", 1), size=torch.Size([2, 3]),
        dtype=torch.bfloat16, nested={"a": [1, (2,)]}, none=None)
    strange = dict(
        matrix=numpy.eye(2), infinite=float("inf"), no_number=numpy.float64("nan"), large=2**70, raw=b"raw",
        thing=Thing(x=1), list=[1, Thing(x=1)], state=numpy.random.RandomState(3), error=ValueError("1"),
        complex=complex(1, 2), long_tensor=torch.zeros(100), span=range(3))
    content = dict(
        dict=plain, ordered=collections.OrderedDict(plain), simple=types.SimpleNamespace(**plain), data=data(**plain),
        slots=Slots(plain), frozen=frozen(**plain), point=point(**plain), values=argparse.Namespace(**values),
        strange=argparse.Namespace(**strange), number=3)
    for protocol in (2, 5):
        torch.save(content, f"arguments_protocol{protocol}.pt", pickle_protocol=protocol)


class Call:
    def __init__(self, function, *args):
        self.function, self.args = function, args

    def __reduce__(self):
        return self.function, self.args


class Stored:
    def __init__(self, *id):
        self.id = id


def pickled(value):
    """With Stored as persistent ids, and protocol 2 as PyTorch uses it."""

    class Pickler(pickle.Pickler):
        def persistent_id(self, item):
            return item.id if isinstance(item, Stored) else None

    out = io.BytesIO()
    Pickler(out, 2).dump(value)
    return out.getvalue()


def legacy_views():
    """PyTorch 0.1: a storage may be a piece of another, and tensors have _rebuild_tensor."""

    def tensor(view, offset, size, stride):
        return Call(torch._utils._rebuild_tensor, Stored("storage", torch.FloatStorage, "70", "cpu", 6, view), offset, size, stride)

    data = {"whole": tensor(None, 0, (2, 3), (3, 1)), "piece": tensor(("71", 2, 3), 1, (2,), (1,))}
    with open("legacy_views.pt", "wb") as out:
        for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, data, ["70"]):
            out.write(pickled(part))
        out.write(struct.pack("<q6f", 6, *range(6)))


def special():
    module("private_code", Mode=Mode)
    zip_of_pickle("enum_member.pt", pickled({"mode": Call(getattr, Mode, "exact")}))
    zip_of_pickle("os_system.pt", pickled({"trap": Hostile(), "after": 1}))
    torch.save({"z": torch.zeros(2, dtype=torch.complex64)}, "complex.pt")
    torch.save({"s": torch.eye(2).to_sparse()}, "sparse.pt")
    torch.save({"c": torch.zeros(2, dtype=torch.complex64).conj()}, "conjugate.pt")
    torch.jit.save(torch.jit.script(torch.nn.Identity()), "torchscript.pt")
    with tarfile.open("tar.pt", "w") as tar:
        tar.addfile(tarfile.TarInfo("storages"), io.BytesIO(b""))
    torch.save({"a": count(2, 3), "text": "x" * 1000}, "stored.pt")
    rezip("stored.pt", "deflated_pickle.pt", deflate=lambda name: name.endswith("data.pkl"))
    rezip("stored.pt", "deflated.pt", deflate=lambda name: True)
    os.remove("stored.pt")
    torch.save({"a": count(2)}, "tiny.pt")


class Stub:
    def __init__(self, *args, **keywords):
        pass

    def __setstate__(self, state):
        pass


class AnyMember(type):
    def __getattr__(cls, name):
        if name.startswith("__"):
            raise AttributeError(name)


class Unpickler(pickle.Unpickler):
    def find_class(self, module, name):
        if module in ("os", "posix"):
            return lambda *args: None
        try:
            return super().find_class(module, name)
        except Exception:
            return AnyMember(name, (Stub,), {})


def tensors(value, name):
    if isinstance(value, torch.Tensor):
        raw = value.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes() if value.numel() else b""
        yield f"{name}|{str(value.dtype)[6:]}|[{', '.join(map(str, value.shape))}]|{zlib.crc32(raw):08x}"
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from tensors(item, f"{name}.{key}" if name else str(key))
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from tensors(item, f"{name}.{index}" if name else str(index))


def expected():
    reader = types.SimpleNamespace(Unpickler=Unpickler, load=lambda file, **_: Unpickler(file).load(), __name__="reader")
    reader.UnpicklingError = pickle.UnpicklingError
    refused = {"torchscript.pt", "tar.pt", "complex.pt", "sparse.pt", "conjugate.pt", "deflated.pt", "cycles.pt",
               "unknown.pt", "arguments_protocol2.pt", "arguments_protocol5.pt"}
    names = sorted(f"torch/{path.name}" for path in HERE.glob("*.pt") if path.name not in refused)
    with open("expected.txt", "w") as out:
        for name in names + GOLDEN:
            content = torch.load(HERE.parent / name, map_location="cpu", weights_only=False, pickle_module=reader)
            out.writelines(f"{name}|{line}\n" for line in tensors(content, ""))


if __name__ == "__main__":
    os.chdir(HERE)
    for old in HERE.glob("*.pt"):
        old.unlink()
    for make in (views, dtypes, containers, unknown, module_state, protocols, shared, cycles, big_endian, legacy,
                 arguments, legacy_views, special):
        make()
    expected()
