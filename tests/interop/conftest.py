# SPDX-License-Identifier: Apache-2.0
"""What the interop tests share: the program under test, and small models with random weights."""
import os
import subprocess
from pathlib import Path

import pytest
import torch
import transformers

PROGRAM = os.environ.get("CROSSDOCK_CLI", str(Path(__file__).parents[2] / "build/release/crossdock"))


class Failed(Exception):
    """What the program said when it refused."""


def convert(loader, load_dir, saver, save_dir, **options):
    """Runs `crossdock convert`; each option becomes --name value."""
    command = [PROGRAM, "convert", "--loader", loader, "--load_dir", load_dir, "--saver", saver, "--save_dir", save_dir]
    for name, value in options.items():
        command += [f"--{name}", value]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        raise Failed(done.stderr.strip() or f"exit {done.returncode} and nothing on stderr")
    return Path(save_dir)


def pytest_configure(config):
    config.addinivalue_line("filterwarnings", "ignore")  # they are about the other programs' own business
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(1)  # sums keep their order, so equal weights give equal logits
    # A missing program would fail every test with the same words; say it once.
    if not Path(PROGRAM).is_file():
        raise pytest.UsageError(f"{PROGRAM} is not there: build first, or set CROSSDOCK_CLI")
