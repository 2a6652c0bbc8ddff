# SPDX-License-Identifier: Apache-2.0
"""Writes the distributed checkpoints of this folder with PyTorch itself (2.13.0, Python 3.11) and, where only several
ranks or another PyTorch would leave such a one, item by item with PyTorch's own classes. Run it here: python make.py.
expected.txt then lists the tensors of all of them, and of those beside this folder that Megatron-Core wrote, as
torch.distributed.checkpoint reads them: folder|name|dtype|shape|crc32."""

import io
import itertools
import pathlib
import pickle
import shutil
import warnings
import zlib

import torch
import torch.distributed.checkpoint as dcp
from torch.distributed._shard.sharded_tensor.metadata import TensorProperties as OldTensorProperties
from torch.distributed.checkpoint.filesystem import FileSystemReader, _StorageInfo
from torch.distributed.checkpoint.metadata import (
    BytesStorageMetadata,
    ChunkStorageMetadata,
    Metadata,
    MetadataIndex,
    TensorProperties,
    TensorStorageMetadata,
)

HERE = pathlib.Path(__file__).parent
MEGATRON = sorted((HERE.parent / "megatron-dist").glob("*/iter_*"))


def numbered(*shape, dtype=torch.float32):
    return torch.arange(torch.Size(shape).numel()).to(dtype).reshape(shape)


def saved(value):
    out = io.BytesIO()
    torch.save(value, out)
    return out.getvalue()


class Folder:
    """A checkpoint of which each item is written by hand, into `files` files in turn."""

    def __init__(self, name, files=2, properties=TensorProperties):
        self.path = HERE / name
        shutil.rmtree(self.path, ignore_errors=True)
        self.path.mkdir()
        self.files = [bytearray() for _ in range(files)]
        self.properties = properties
        self.items, self.places = {}, {}

    def place(self, index, payload):
        number = len(self.places) % len(self.files)
        file = self.files[number]
        self.places[index] = _StorageInfo(f"__0_{number}.distcp", len(file), len(payload))
        file += payload

    def add(self, name, tensor, boxes, store=lambda piece: piece.clone()):
        """`boxes`: offsets and sizes of the chunks."""
        chunks = []
        for hint, (offsets, sizes) in enumerate(boxes):
            piece = tensor[tuple(slice(o, o + s) for o, s in zip(offsets, sizes))]
            chunks.append(ChunkStorageMetadata(torch.Size(offsets), torch.Size(sizes)))
            self.place(MetadataIndex(name, offsets, hint), saved(store(piece)))
        properties = self.properties(dtype=tensor.dtype)
        self.items[name] = TensorStorageMetadata(properties, tensor.size(), chunks)

    def finish(self, **attributes):
        for number, content in enumerate(self.files):
            (self.path / f"__0_{number}.distcp").write_bytes(content)
        metadata = Metadata(self.items, None, self.places)
        for name, value in attributes.items():
            setattr(metadata, name, value)
        (self.path / ".metadata").write_bytes(pickle.dumps(metadata))


def grid(shape, *cuts):
    """The boxes between the cuts along each axis."""
    edges = [[0, *cut, extent] for cut, extent in zip(cuts, shape)]
    spans = [list(zip(edge, edge[1:])) for edge in edges]
    return [([a for a, _ in box], [b - a for a, b in box]) for box in itertools.product(*spans)]


def save_with_torch():
    shutil.rmtree(HERE / "torch", ignore_errors=True)
    state = {
        "f64": numbered(3, 2, dtype=torch.float64),
        "bf16": numbered(2, 3, dtype=torch.bfloat16),
        "i64": numbered(4, dtype=torch.int64),
        "boolean": torch.tensor([True, False, True]),
        "f8_e4m3": numbered(2, 4, dtype=torch.float8_e4m3fn),
        "complex": torch.zeros(2, dtype=torch.complex64),
        "scalar": torch.tensor(1.5),
        "empty": torch.zeros(0, 4),
        "transposed": numbered(3, 5).t(),
        "columns": numbered(4, 6)[:, 1:3],
        "nested": {"list": [numbered(2), "text"], "step": 7},
    }
    dcp.save(state, checkpoint_id=HERE / "torch", no_dist=True)


def save_grids():
    folder = Folder("grids", files=3)
    whole = numbered(4, 6, 5)
    folder.add("uneven", whole, grid(whole.shape, [1, 2, 3], [1, 4], [2]))
    folder.add("strided", whole, grid(whole.shape, [2], [3], []), store=lambda piece: piece)
    # No straight cut divides a pinwheel.
    flat = numbered(5, 5)
    pinwheel = [([0, 0], [2, 3]), ([0, 3], [3, 2]), ([3, 2], [2, 3]), ([2, 0], [3, 2]), ([2, 2], [1, 1])]
    folder.add("pinwheel", flat, pinwheel)
    # As fully_shard leaves a tensor of 3 rows on 4 ranks.
    folder.add("few_rows", numbered(3, 2), [([0, 0], [1, 2]), ([1, 0], [1, 2]), ([2, 0], [1, 2]), ([3, 0], [0, 2])])
    folder.finish()


def save_squeezed():
    """Chunks stored without the layers' axis, which PyTorch's reader does not take and Megatron-Core's does."""
    folder = Folder("squeezed")
    whole = numbered(4, 6, 5)
    folder.add("uneven", whole, grid(whole.shape, [1, 2, 3], [], []), store=lambda piece: piece[0].clone())
    folder.finish()


def save_old():
    """As PyTorch up to 2.2: TensorProperties of another module, and no version."""
    folder = Folder("old", properties=OldTensorProperties)
    folder.add("weight", numbered(4, 3, dtype=torch.bfloat16), grid((4, 3), [2], []))
    name = "state/shard_0_1"
    folder.items[name] = BytesStorageMetadata()
    folder.place(MetadataIndex(name), saved([None]))
    folder.finish(later={"an attribute": {"of later versions": frozenset([1.5, b"bytes"])}})


def expected():
    for path in [HERE / "grids", HERE / "old", HERE / "torch", *MEGATRON]:
        reader = FileSystemReader(path)
        items = {k: v for k, v in reader.read_metadata().state_dict_metadata.items() if hasattr(v, "size")}
        state = {name: torch.empty(item.size, dtype=item.properties.dtype) for name, item in items.items()}
        dcp.load(state, storage_reader=reader, no_dist=True)
        for name, item in items.items():
            dtype, shape = str(item.properties.dtype).removeprefix("torch."), list(item.size)
            content = state[name].contiguous().flatten().view(torch.uint8).numpy().tobytes() if all(shape) else b""
            yield f"{path.relative_to(HERE.parent)}|{name}|{dtype}|{shape}|{zlib.crc32(content):08x}"


warnings.filterwarnings("ignore")
save_with_torch()
save_grids()
save_squeezed()
save_old()
(HERE / "expected.txt").write_text("\n".join(expected()) + "\n")
