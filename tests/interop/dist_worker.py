# SPDX-License-Identifier: Apache-2.0
"""Several processes that load distributed checkpoints with Megatron-Core and save them again.

main(JOBS.json, COUNT) runs the jobs in that file on so many; MASTER_ADDR and MASTER_PORT say where these meet.
A job is {"directory": an iteration's folder, "ids": a file with tokens, "tensor": N, "pipeline": N, "logits": the file
to write} and may have "save": the folder to write.
"""
import builtins
import contextlib
import importlib.util
import json
import multiprocessing
import multiprocessing.connection
import os
import sys
import types
import warnings
from pathlib import Path

import torch


class Triton(types.ModuleType):
    """Stands for triton, which PyTorch's builds without CUDA leave out: the newest release decorates kernels with it."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *given, **options: given[0] if given and callable(given[0]) and not options else lambda f: f


def stand_in_for_triton():
    """For Megatron-Core's modules alone: PyTorch's shall see that it is not there."""
    triton, real_import = Triton("triton"), builtins.__import__
    triton.language, triton.__version__ = Triton("triton.language"), "0.0"

    def import_module(name, namespace=None, *others, **more):
        is_megatrons = str((namespace or {}).get("__name__")).startswith("megatron.")
        if is_megatrons and name.partition(".")[0] == "triton":
            return triton
        return real_import(name, namespace, *others, **more)

    builtins.__import__ = import_module


if not importlib.util.find_spec("triton"):
    stand_in_for_triton()
from gpt_model import logits, make_gpt
from megatron.core import dist_checkpointing, parallel_state
from megatron.core.dist_checkpointing.validation import StrictHandling
from megatron.core.tensor_parallel import random


def do_without_accelerator():
    """The places that insist on CUDA are told otherwise."""
    stream = types.SimpleNamespace(synchronize=lambda: None, wait_stream=lambda _: None, wait_event=lambda _: None)
    torch.cuda.current_device = lambda: "cpu"
    torch.cuda.current_stream = lambda *_: stream
    torch.cuda.synchronize = lambda *_: None
    torch.cuda.get_rng_state = lambda *_: torch.get_rng_state()
    torch.Tensor.cuda = lambda tensor, *_, **__: tensor
    random.CudaRNGStatesTracker.fork = lambda *_: contextlib.nullcontext()  # of dropout, which is 0


def sharded_state(model):
    groups = {"dp_cp_group": parallel_state.get_data_parallel_group(with_context_parallel=True)}
    return {"model": model.sharded_state_dict(metadata=groups)}


def load(job):
    """The model of this rank, every tensor from the checkpoint: what is missing on either side is an error."""
    args = dist_checkpointing.load_common_state_dict(job["directory"])["args"]
    model = make_gpt(args, tensor_model_parallel_size=job["tensor"], pipeline_model_parallel_size=job["pipeline"],
                     params_dtype=torch.float32, pipeline_dtype=torch.float32)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(torch.nan)
    loaded = dist_checkpointing.load(sharded_state(model), job["directory"], strict=StrictHandling.RAISE_ALL)
    model.load_state_dict(loaded["model"], strict=True)
    return model, args


def whole_logits(model, args, ids):
    """On the first tensor-parallel rank of the last stage; None elsewhere."""
    stages = torch.distributed.get_process_group_ranks(parallel_state.get_pipeline_model_parallel_group())
    stage = parallel_state.get_pipeline_model_parallel_rank()
    if not model.pre_process:
        hidden = torch.empty(ids.shape[1], ids.shape[0], args.hidden_size)
        torch.distributed.recv(hidden, stages[stage - 1])
        model.set_input_tensor(hidden)
    output = logits(model, ids, args.window_size)
    if not model.post_process:
        torch.distributed.send(output.contiguous(), stages[stage + 1])
        return None
    parts = [torch.empty_like(output) for _ in range(parallel_state.get_tensor_model_parallel_world_size())]
    torch.distributed.all_gather(parts, output.contiguous(), group=parallel_state.get_tensor_model_parallel_group())
    return torch.cat(parts, -1) if parallel_state.get_tensor_model_parallel_rank() == 0 else None


def run(job):
    parallel_state.initialize_model_parallel(job["tensor"], job["pipeline"])
    model, args = load(job)
    output = whole_logits(model, args, torch.load(job["ids"]))
    if output is not None and parallel_state.get_data_parallel_rank() == 0:
        torch.save(output, job["logits"])
    if "save" in job:
        common = {"args": args, "checkpoint_version": 3.0, "iteration": 7}
        dist_checkpointing.save({**sharded_state(model), **common}, job["save"])
    parallel_state.destroy_model_parallel()


def work(jobs, rank, count):
    os.environ.update(RANK=str(rank), WORLD_SIZE=str(count))
    torch.distributed.init_process_group("gloo")
    for job in jobs:
        run(job)
    torch.distributed.destroy_process_group()


def main(jobs_file, count):
    """What takes longest, all these imports, is done once: the processes are forked."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    do_without_accelerator()
    jobs = json.loads(Path(jobs_file).read_text())
    fork = multiprocessing.get_context("fork")
    ranks = [fork.Process(target=work, args=(jobs, rank, count)) for rank in range(count)]
    for rank in ranks:
        rank.start()
    while waiting := [rank.sentinel for rank in ranks if rank.exitcode is None]:
        multiprocessing.connection.wait(waiting)
        if any(rank.exitcode for rank in ranks):  # the others may wait for one that has failed
            for rank in ranks:
                rank.kill()
            sys.exit(1)
