# SPDX-License-Identifier: Apache-2.0
"""The program's commands as functions."""

import json
from dataclasses import dataclass, field, fields
from typing import Any, Callable, Dict, List, Optional, Type, TypeVar

from ._run import OptionValue, PathOrText, run, words_of


@dataclass(frozen=True)
class Progress:
    """How far a run is."""

    message: str  #: what was taken last: "transformer layer 3"
    bytes: int
    total_bytes: int

    @property
    def fraction(self) -> float:
        return min(self.bytes / self.total_bytes, 1.0) if self.total_bytes else 0.0


@dataclass(frozen=True)
class Report:
    """What a conversion did."""

    tensors: int
    bytes: int
    seconds: float
    verified: int = 0  #: tensors that ``verify=True`` read back, all of them the source's
    warnings: List[str] = field(default_factory=list)


@dataclass(frozen=True)
class Verification:
    """What a comparison found; true where the two are equal. ``details`` is all that the program tells."""

    equal: bool
    details: Dict[str, Any] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return self.equal


def convert(
    load_dir: PathOrText,
    save_dir: PathOrText,
    *,
    saver: str,
    loader: Optional[str] = None,
    progress: Optional[Callable[[Progress], None]] = None,
    **options: OptionValue,
) -> Report:
    """Converts the checkpoint in ``load_dir``, which is not touched, to ``save_dir``, which is complete or not there at
    all. ``progress`` is called several times a second; what it raises stops the conversion. Raises CrossdockError."""
    given = dict(load_dir=load_dir, save_dir=save_dir, saver=saver, loader=loader, json=True, **options)
    report: Dict[str, Any] = {}

    def hear(line: str) -> None:
        event = json.loads(line)
        if "report" in event:
            report.update(event["report"])
        elif "progress" in event and progress is not None:
            progress(_taken(Progress, event["progress"]))

    run(["convert", *words_of(given)], hear)
    return _taken(Report, report)


def inspect(directory: PathOrText, **options: OptionValue) -> Dict[str, Any]:
    """What a checkpoint is, from its headers alone: format, sizes, tensors, and what is stored where. Raises
    CrossdockError."""
    lines: List[str] = []
    run(["inspect", str(directory), *words_of(dict(json=True, **options))], lines.append)
    found: Dict[str, Any] = json.loads("".join(lines))
    return found


def verify(a: PathOrText, b: PathOrText, **options: OptionValue) -> Verification:
    """Compares two checkpoints bit for bit, whatever their formats and parallel sizes. Raises CrossdockError where they
    cannot be compared."""
    lines: List[str] = []
    code = run(["verify", str(a), str(b), *words_of(dict(json=True, **options))], lines.append, differs=True)
    return Verification(code == 0, json.loads("".join(lines)))


def version() -> str:
    """The program's version: "0.1.0"."""
    lines: List[str] = []
    run(["--version"], lines.append)
    return "".join(lines).split()[-1]


_Kind = TypeVar("_Kind", Progress, Report)


def _taken(kind: Type[_Kind], told: Dict[str, Any]) -> _Kind:
    """What is known of a document, which may have further fields (docs/json.md)."""
    return kind(**{known.name: told[known.name] for known in fields(kind) if known.name in told})
