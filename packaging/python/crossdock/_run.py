# SPDX-License-Identifier: Apache-2.0
"""Runs the program and tells what became of it."""

import os
import subprocess
import tempfile
from pathlib import Path
from typing import Callable, Iterable, List, Mapping, Sequence, Union

OptionValue = Union[None, bool, int, float, str, "os.PathLike[str]", Sequence[Union[int, str]]]
PathOrText = Union[str, "os.PathLike[str]"]

class CrossdockError(RuntimeError):
    """The program failed; the text is its own, ``exit_code`` what it ended with (negative: minus a signal's number)."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def program() -> str:
    """Where the program lies."""
    return str(Path(__file__).parent / "bin" / "crossdock")


def words_of(options: Mapping[str, OptionValue]) -> List[str]:
    """The options as the program takes them."""
    words: List[str] = []
    for name, value in options.items():
        if value is None or value is False:
            continue
        words.append("--" + name)
        if value is True:
            continue
        if isinstance(value, (list, tuple)):
            value = ",".join(str(item) for item in value)
        words.append(os.fspath(value) if isinstance(value, os.PathLike) else str(value))
    return words


def run(words: Iterable[str], hear: Callable[[str], None], differs: bool = False) -> int:
    """Runs the program, passes each line of its standard output to ``hear`` and returns the exit code: 0, or 1 too
    where ``differs`` says that this means a difference. Anything else raises CrossdockError. The program is stopped
    where ``hear`` raises, and has then left no target behind."""
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as complaints:
        with subprocess.Popen(
            [program(), *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=complaints,
            encoding="utf-8",
            errors="replace",
        ) as process:
            assert process.stdout is not None
            try:
                for line in process.stdout:
                    hear(line)
            except BaseException:
                process.terminate()
                raise
        if process.returncode == 0 or (differs and process.returncode == 1):
            return process.returncode
        complaints.seek(0)
        lines = [_text_of(line) for line in complaints]
    errors = [line for line in lines if not line.startswith("warning: ")]
    message = "\n".join(errors) or f"the program ended with {process.returncode}"
    raise CrossdockError(message, process.returncode)


def _text_of(line: str) -> str:
    line = line.strip()
    return line[len("crossdock: ") :] if line.startswith("crossdock: ") else line
