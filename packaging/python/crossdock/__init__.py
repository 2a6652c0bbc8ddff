# SPDX-License-Identifier: Apache-2.0
"""Converts checkpoints of large language models between formats and parallel layouts.

Each function runs the program that this package holds. Options have the program's names:
``crossdock convert --help`` and ``crossdock plugins`` tell them. ``True`` gives a flag, ``None`` and ``False`` leave an
option out, a list joins its items with commas.

    import crossdock

    crossdock.convert("Llama-3.1-8B", "megatron", saver="mcore", target_tensor_parallel_size=8)
    crossdock.inspect("megatron")["header"]["hidden_size"]
    assert crossdock.verify("Llama-3.1-8B", "megatron")
"""

from ._commands import Progress, Report, Verification, convert, inspect, verify, version
from ._run import CrossdockError, OptionValue, PathOrText, program

__all__ = [
    "CrossdockError",
    "OptionValue",
    "PathOrText",
    "Progress",
    "Report",
    "Verification",
    "convert",
    "inspect",
    "program",
    "verify",
    "version",
]
