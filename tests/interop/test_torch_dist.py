# SPDX-License-Identifier: Apache-2.0
"""PyTorch and Megatron-Core load the distributed checkpoints that we write, and we those that Megatron-Core saves."""
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import convert
from models import MODELS, assert_same_outputs, assert_same_tensors, load, write
from torch.distributed import checkpoint

# The two differ in the order of their sums; one wrong tensor moves these logits (of size 1 to 10) by more than 0.5.
TOLERANCE = 1e-4
NAMES = ["llama-gqa", "llama-tied", "gpt2"]
GRIDS = [(1, 1), (2, 1), (1, 2), (2, 2)]  # tensor, pipeline; what they leave over of the processes is data-parallel
OTHERS = {"qwen3": [(4, 1)], "qwen3-moe": [(2, 2)]}  # the first has two key/value heads for four ranks

# The newest release stands beside the environment's own, which is the last that Python 3.11 may have.
NEWEST = Path(os.environ.get("CROSSDOCK_NEWEST_MEGATRON_CORE", Path(sys.prefix) / "newest-megatron-core"))
RELEASES = {"0.16": (None, {**dict.fromkeys(NAMES, GRIDS), **OTHERS}), "newest": (NEWEST, dict.fromkeys(NAMES, GRIDS[:3]))}


def iteration(directory):
    [folder] = [path for path in Path(directory).iterdir() if path.is_dir()]
    return folder


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Of each model: itself, and the folder with "hub" and "dist"."""
    models = {}
    for name in (*NAMES, *OTHERS):
        directory = tmp_path_factory.mktemp(name)
        models[name] = MODELS[name].build(), directory
        write(models[name][0], directory / "hub")
        convert("hf", directory / "hub", "mcore", directory / "dist", ckpt_format="torch_dist")
    return models


def run_processes(count, jobs_file, release):
    """Megatron-Core at work; its own path comes first."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    path = os.pathsep.join(str(p) for p in (release, Path(__file__).parent, os.environ.get("PYTHONPATH")) if p)
    environment = {**os.environ, "PYTHONPATH": path, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
                   "OMP_NUM_THREADS": "1", "CUDA_DEVICE_MAX_CONNECTIONS": "1"}
    # No script: the processes that Megatron-Core starts would run it again.
    command = [sys.executable, "-c", f"import dist_worker; dist_worker.main({str(jobs_file)!r}, {count})"]
    log = jobs_file.with_suffix(".log")
    with log.open("w") as output:
        workers = subprocess.Popen(command, env=environment, stdout=output, stderr=output, start_new_session=True)
    try:
        assert workers.wait(timeout=600) == 0, log.read_text()[-3000:]
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(workers.pid, signal.SIGKILL)  # with all that it has started


@pytest.fixture(scope="module", params=RELEASES)
def megatron(request, written, tmp_path_factory):
    """The grids of each model, and the folder in which a release has left the logits at these, and what it saved at the
    last."""
    release, grids = RELEASES[request.param]
    assert release is None or release.is_dir(), f"{release} is not there: tests/run.sh --interop makes it"
    directory = tmp_path_factory.mktemp(f"megatron-{request.param}")
    torch.save(torch.randint(0, 250, (2, 24), generator=torch.Generator().manual_seed(3)), directory / "ids.pt")
    jobs = []
    for name in grids:
        for tensor, pipeline in grids[name]:
            jobs.append({"directory": str(iteration(written[name][1] / "dist")), "ids": str(directory / "ids.pt"),
                         "tensor": tensor, "pipeline": pipeline, "logits": str(directory / f"{name}-{tensor}-{pipeline}.pt")})
        if name in OTHERS:
            continue
        saved = directory / name / "iter_0000007"
        saved.mkdir(parents=True)
        (directory / name / "latest_checkpointed_iteration.txt").write_text("7")
        jobs[-1]["save"] = str(saved)
    (directory / "jobs.json").write_text(json.dumps(jobs))
    most = max(tensor * pipeline for of_model in grids.values() for tensor, pipeline in of_model)
    run_processes(most, directory / "jobs.json", release)
    return grids, directory


def test_megatron_core_loads_it_at_every_grid_and_computes_the_same_logits(megatron, written):
    grids, directory = megatron
    ids, largest = torch.load(directory / "ids.pt"), 0
    for name in grids:
        with torch.no_grad():
            want = written[name][0](ids).logits
        for tensor, pipeline in grids[name]:
            got = torch.load(directory / f"{name}-{tensor}-{pipeline}.pt")[..., :250]
            difference = (got - want).abs().max().item()
            assert difference < TOLERANCE, (name, tensor, pipeline)
            largest = max(largest, difference)
    print(f"largest difference of logits: {largest:.1e}")


@pytest.mark.parametrize("name", NAMES)
def test_what_megatron_core_saves_comes_back(name, megatron, written, tmp_path):
    original = written[name][0]
    convert("mcore", megatron[1] / name, "hf", tmp_path / "back", true_vocab_size=250)
    back = load(MODELS[name].architecture, tmp_path / "back")
    assert_same_tensors(original.state_dict(), back.state_dict())
    assert_same_outputs(original, back)


@pytest.mark.parametrize("name", NAMES)
def test_pytorch_reads_what_the_torch_format_holds(name, written, tmp_path):
    """Also where the chunks are those of a grid and lie in several files."""
    directory = written[name][1]
    convert("hf", directory / "hub", "mcore", tmp_path / "torch", ckpt_format="torch",
            transformer_impl="transformer_engine")
    [file] = (tmp_path / "torch").rglob("*.pt")
    want = {key: value for key, value in torch.load(file, weights_only=False)["model"].items() if value is not None}
    convert("hf", directory / "hub", "mcore", tmp_path / "grid", ckpt_format="torch_dist", num_files=3,
            target_tensor_parallel_size=2, target_pipeline_parallel_size=2)
    for folder in (iteration(directory / "dist"), iteration(tmp_path / "grid")):
        reader = checkpoint.FileSystemReader(folder)
        state = {key: torch.empty(item.size, dtype=item.properties.dtype) if hasattr(item, "size") else None
                 for key, item in reader.read_metadata().state_dict_metadata.items()}
        checkpoint.load(state, storage_reader=reader, no_dist=True)
        tensors = {key: value for key, value in state.items() if isinstance(value, torch.Tensor)}
        got = {}
        for key, value in tensors.items():
            if key.startswith("decoder.layers."):
                for layer, part in enumerate(value):
                    got[key.replace("layers.", f"layers.{layer}.", 1)] = part
            else:
                got[key] = value
        assert_same_tensors({k: v for k, v in want.items() if isinstance(v, torch.Tensor)}, got)
