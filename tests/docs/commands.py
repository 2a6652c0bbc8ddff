#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the commands of the pages: each page from top to bottom, in a folder of its own, on small checkpoints that stand
for those of the page.

    tests/docs/commands.py PROGRAM [PAGE…]      # all pages unless given

A block of commands begins with ```sh, one of Python with ```python, and each is one of these:

    ```sh                              run here
    ```sh tests/X.sh#NAME              lines of a script that the tests run; tests/docs/check.sh compares the two
    <!-- not run: REASON -->           before the block: not run, and why

Commands in a block of another kind would be run by nobody: an error that names them."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data"

STAND_INS = {
    "Llama-3.1-8B": "hf/llama2-gqa",
    "Llama-3.2-1B": "hf/llama3.2-tied",
    "Llama-2-7b": "meta/llama2-gqa-mp2",
    "llama-7b": "hf/llama2-gqa",
    "Mixtral-8x7B": "hf/mixtral",
    "checkpoints": "megatron-dist/llama2-gqa-mcore0.16-tp2pp2vpp2",
}
STAND_INS_ON = {  # where a page means another by the same name, or has one of its own
    "docs/families.md": {
        "Mistral-7B-v0.1": "hf/mistral-window8",
        "gemma-2-9b": "hf/gemma2",
        "gemma-3-1b-it": "hf/gemma3",
        "Qwen3-8B": "hf/qwen3",
        "Qwen3-30B-A3B": "hf/qwen3-moe",
        "DeepSeek-V3": "fp8/deepseek-v3",
        "GLM-4.5-Air": "hf/glm4.5",
        "falcon-40b": "hf/falcon-40b",
        "gpt2": "hf/gpt2",
        "megatron-bert-345m": "megatron-lm/bert",
    },
    "docs/from-checkpoint-util.md": {"in": "megatron-llm/llama2-gqa"},
    "docs/train-and-come-back.md": {"checkpoints": "megatron-dist/llama3.2-tied-mcore0.19-tp2"},
}
BESIDE_WEIGHTS = ("tokenizer.json", "LICENSE")  # what published models have and the tests' small ones lack

NOT_RUN = re.compile(r"<!-- not run: \S.* -->")
INDENTED = " " * 4
COMMAND = re.compile(
    r"(\$ )?(\S+/)?(crossdock [a-z]|(apt|apt-get|bash|ctest|cmake|conan|cp|cpack|docker|doxygen|gcc|git|g\+\+|clang\+\+|lfs"
    r"|mkdir|mpirun|pip|python3?|sbatch|srun|torchrun|vcpkg) \S|\S+\.(sh|py)( |$))|#!/"
)


class Block:
    def __init__(self, page, number, language, excerpt, excused):
        self.where = f"{page}:{number}"
        self.language, self.excerpt, self.excused = language, excerpt, excused
        self.lines = []

    def is_here(self):
        return self.language in ("sh", "python") and not self.excerpt and not self.excused

    def hidden_command(self):
        if self.language in ("sh", "python", "cpp", "cmake"):
            return None
        return next((line for line in self.lines if COMMAND.match(line.strip())), None)


def blocks_of(page):
    """The blocks of a page: fenced ones, and indented ones as those of the language ''."""
    found, fenced, before = [], None, ""
    for number, line in enumerate((ROOT / page).read_text().splitlines(), 1):
        fence = re.match(r"```(\S*) ?(.*)", line)
        if fence and fenced is None:
            fenced = Block(page, number, fence[1], fence[2], NOT_RUN.fullmatch(before.strip()))
            found.append(fenced)
        elif fence:
            fenced, before = None, ""
        elif fenced is not None:
            fenced.lines.append(line)
        elif line.startswith(INDENTED):
            if not before.startswith(INDENTED):
                found.append(Block(page, number, "", "", False))
            found[-1].lines.append(line)
        if fenced is None and not fence:
            before = line if line.strip() or not before.startswith(INDENTED) else before
    return found


def make_folder(page, folder, program):
    """What a reader of the page has: its checkpoints, the program and the Python module."""
    for name, small in {**STAND_INS, **STAND_INS_ON.get(page, {})}.items():
        shutil.copytree(DATA / small, folder / name)
        for file in BESIDE_WEIGHTS:
            (folder / name / file).write_text("{}\n")
    tools = folder / ".tools"
    shutil.copytree(ROOT / "packaging" / "python", tools)
    (tools / "crossdock" / "bin").mkdir()
    (tools / "crossdock" / "bin" / "crossdock").symlink_to(program)
    return {
        **os.environ,
        "PATH": f"{tools / 'crossdock' / 'bin'}:{os.environ['PATH']}",
        "PYTHONPATH": str(tools),
        "HOME": str(folder),
    }


def run(block, folder, environment):
    interpreter = [sys.executable, "-"] if block.language == "python" else ["bash", "-euxo", "pipefail", "-s"]
    done = subprocess.run(
        interpreter,
        input="\n".join(block.lines) + "\n",
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    if done.returncode != 0:
        end = "\n".join(done.stdout.splitlines()[-15:])
        return f"{block.where}: failed with {done.returncode}\n{end}\n"
    return None


def try_page(page, program):
    """The failures of a page, and how many blocks were run."""
    blocks = blocks_of(page)
    failures = [
        f"{block.where}: is not marked ```sh, so that nobody runs it: {block.hidden_command().strip()}"
        for block in blocks
        if block.hidden_command()
    ]
    here = [block for block in blocks if block.is_here()]
    if not here:
        return failures, 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environment = make_folder(page, folder, program)
        failures += filter(None, [run(block, folder, environment) for block in here])
    return failures, len(here)


def main(program, *pages):
    every_page = [path.relative_to(ROOT).as_posix() for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]]
    count = 0
    failures = []
    for page in sorted(pages or every_page):
        failed, tried = try_page(page, Path(program).resolve())
        failures += failed
        count += tried
    print("\n".join(failures))
    print(f"{count} blocks of commands, {len(failures)} failures")
    if not pages and count < 20:
        sys.exit("the pages have more blocks than that: are they found?")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
