#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What may go wrong while a checkpoint is converted, tried one thing at a time.

    faults.py PROGRAM INJECTOR DATA [--every N] [--kills N] [--only WORD...] [--directory DIR] [--seed N]

Of each run it asks: is the target complete (byte for byte that of an undisturbed run) or as it was; is there one clear
line; is nothing left beside the target; is the source what it was. INJECTOR is inject.c as a shared object, DATA is
tests/data. --every N tries each N-th call only and the last ones, --kills is the number of kills at random moments;
--only picks from calls, lasting, memory, killed, random, races, order, permissions, hostile,
output. Needs nothing but Python.
"""
import argparse
import collections
import ctypes
import errno
import json
import math
import os
import pathlib
import random
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

parser = argparse.ArgumentParser()
parser.add_argument("program")
parser.add_argument("injector")
parser.add_argument("data", type=pathlib.Path)
parser.add_argument("--every", type=int, default=1)
parser.add_argument("--kills", type=int, default=20)
parser.add_argument("--only", nargs="*", default=[])
parser.add_argument("--directory")
parser.add_argument("--seed", type=int, default=1)
ask = parser.parse_args()
injector = os.path.abspath(ask.injector)
root = pathlib.Path(tempfile.mkdtemp(prefix="crossdock-faults-", dir=ask.directory))
program = str(root / "crossdock")  # whatever it is called, and even if it is built anew meanwhile
shutil.copy(ask.program, program)
counts = collections.Counter()
failures = []

HF, CORE = ask.data / "hf/llama2-gqa", ask.data / "megatron-core/llama2-gqa-local-tp2"
CASES = {
    "to Megatron": (HF, ["--saver", "megatron", "--target_tensor_parallel_size", "2"]),
    "to Hugging Face": (CORE, ["--saver", "hf"]),
}


def content(folder):
    """Names and bytes of all that is in a folder; None where there is none."""
    if not folder.is_dir():
        return None
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None for p in sorted(folder.rglob("*"))}


def looks(folder):
    return [(str(p), s.st_ino, s.st_size, s.st_mtime_ns, s.st_mode) for p in sorted(folder.rglob("*")) for s in [p.lstat()]]


def command(source, target, options, *more):
    return [program, "convert", "--load_dir", str(source), "--save_dir", str(target), "--quiet", "--threads", "2",
            *options, *more]


def run(words, faults=None, **options):
    environment = dict(os.environ)
    if faults is not None:
        environment.update({f"FAULT_{name}": str(value) for name, value in faults.items()}, LD_PRELOAD=injector)
    return subprocess.run(words, env=environment, capture_output=True, timeout=120, **options)


def lines(result):
    """What went wrong, without warnings."""
    text = result.stderr.decode(errors="replace")
    return [line for line in text.splitlines() if line and ": warning: " not in line]


def fail(what, result=None):
    failures.append(what + (f": exit {result.returncode}, {result.stderr.decode(errors='replace')!r}" if result else ""))
    print("FAILED", failures[-1], flush=True)


def is_wanted(word):
    return not ask.only or word in ask.only


class Place:
    """A folder for one run: its target, and what was there before."""

    def __init__(self, case, with_old):
        self.source, self.options = CASES[case]
        self.folder = pathlib.Path(tempfile.mkdtemp(dir=root))
        self.target = self.folder / "out"
        self.options = list(self.options)
        self.old = None
        if with_old:
            shutil.copytree(CORE if "to Megatron" in case else HF, self.target)
            self.old = content(self.target)
            self.options.append("--overwrite")

    def command(self, *more):
        return command(self.source, self.target, self.options, *more)

    def check(self, what, result, expected):
        """A run has ended, in whichever way."""
        now = content(self.target)
        says_complete = b"is complete and in its place" in result.stderr
        if result.returncode == 0 or says_complete:
            if now != expected:
                fail(what + ": the target is not complete", result)
        elif now != self.old:
            fail(what + ": the target is not as it was", result)
        if result.returncode not in (0, 1):
            fail(what + ": ended otherwise", result)
        if result.returncode != 0 and (len(lines(result)) != 1 or not lines(result)[0].startswith("crossdock: ")):
            fail(what + ": not one clear line", result)
        rest = sorted(p.name for p in self.folder.iterdir() if p != self.target)
        if rest and b"could not be removed; remove it" not in result.stderr:
            fail(what + f": left {rest}", result)
        self.remove()

    def remove(self):
        shutil.rmtree(self.folder)


def make_model(folder, layers=6, hidden=512, ffn=1408, words=4000):
    """A llama of 44 MB whose weights are dice."""
    folder.mkdir()
    config = json.loads((HF / "config.json").read_text())
    config.update(hidden_size=hidden, intermediate_size=ffn, num_hidden_layers=layers, num_attention_heads=8,
                  num_key_value_heads=4, head_dim=hidden // 8, vocab_size=words, tie_word_embeddings=False)
    (folder / "config.json").write_text(json.dumps(config))
    shapes = {"model.embed_tokens": [words, hidden], "model.norm": [hidden], "lm_head": [words, hidden]}
    for layer in range(layers):
        for name, shape in {"self_attn.q_proj": [hidden, hidden], "self_attn.k_proj": [hidden // 2, hidden],
                            "self_attn.v_proj": [hidden // 2, hidden], "self_attn.o_proj": [hidden, hidden],
                            "mlp.gate_proj": [ffn, hidden], "mlp.up_proj": [ffn, hidden], "mlp.down_proj": [hidden, ffn],
                            "input_layernorm": [hidden], "post_attention_layernorm": [hidden]}.items():
            shapes[f"model.layers.{layer}.{name}"] = shape
    header, end = {}, 0
    for name, shape in shapes.items():
        begin, end = end, end + 2 * math.prod(shape)
        header[name + ".weight"] = {"dtype": "BF16", "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + random.Random(1).randbytes(end))


def undisturbed(case):
    place = Place(case, False)
    result = run(place.command())
    expected = content(place.target)
    if result.returncode != 0:
        sys.exit(f"the conversion {case} fails: {result.stderr.decode()}")
    place.remove()
    return expected


def calls_of(case, with_old, name):
    place = Place(case, with_old)
    count = root / "count"
    run(place.command(), {"CALL": name, "COUNT": count})
    number = int(count.read_text().split()[-1])
    count.unlink()
    place.remove()
    return number


def chosen(total, every, last):
    """The calls to try: each of the last ones, too, when descriptions are written, the target gets its name, and what else
    there is is removed."""
    return sorted({*range(1, total + 1, every), *range(max(1, total - last + 1), total + 1)})


def places_of(case, name):
    """The number of calls, and those of them that come from a new place of the program: with a call stack of its own."""
    place = Place(case, False)
    places, count = root / "places", root / "count"
    run(place.command(), {"CALL": name, "COUNT": count, "PLACES": places})
    numbers, total = sorted(map(int, places.read_text().split())), int(count.read_text().split()[-1])
    places.unlink(), count.unlink()
    place.remove()
    return numbers, total


ERRORS = {
    "read": [errno.EIO, errno.EINTR, "short"],
    "write": [errno.EIO, errno.ENOSPC, errno.EINTR, "short"],
    "fsync": [errno.EIO, errno.ENOSPC, errno.EINTR],
    "rename": [errno.EIO, errno.ENOSPC],
    "mkdir": [errno.EIO, errno.ENOSPC],
    "unlink": [errno.EIO],
    "open": [errno.EIO, errno.ENOSPC, errno.EINTR],
    "mmap": [errno.ENOMEM],
}


def try_calls(lasting):
    for case in CASES:
        expected = undisturbed(case)
        for with_old in (False, True):
            for name, errors in ERRORS.items():
                total = calls_of(case, with_old, name)
                for error in errors:
                    if lasting and error == errno.EINTR:
                        continue  # who is interrupted for ever waits for ever
                    for at in chosen(total, ask.every, 3):
                        place = Place(case, with_old)
                        before = looks(place.source)
                        faults = {"CALL": name, "AT": at, "DO": error}
                        if lasting:
                            faults["LASTING"] = 1
                        what = f"{case}, old {with_old}, {name} {at} of {total}: {error}{' and all later' if lasting else ''}"
                        result = run(place.command(), faults)
                        if looks(place.source) != before:
                            fail(what + ": the source was touched")
                        if error in (errno.EINTR, "short") and result.returncode != 0 and name in ("read", "write"):
                            fail(what + ": an interruption is an error", result)
                        place.check(what, result, expected)
                        counts["lasting faults" if lasting else "single faults"] += 1


def try_memory():
    """One allocation fails, or that and all later ones: the first of each place in the program."""
    for case in CASES:
        expected = undisturbed(case)
        places, total = places_of(case, "malloc")
        last = range(total - 40, total + 1)
        for lasting in (False, True):
            for at in sorted({*places[::ask.every], *last}):
                place = Place(case, False)
                faults = {"CALL": "malloc", "AT": at, "DO": errno.ENOMEM}
                if lasting:
                    faults["LASTING"] = 1
                result = run(place.command(), faults)
                place.check(f"{case}, allocation {at} of {total}{' and all later' if lasting else ''} fails", result, expected)
                counts["times that memory " + ("ends" if lasting else "lacks once")] += 1


def check_rerun(place, what, expected, resume):
    """After a kill: the target is absent, as it was, or complete; another run makes it right."""
    now = content(place.target)
    if now not in (None, place.old, expected):
        fail(what + ": the target is neither absent nor as it was nor complete")
    more = ["--resume"] if resume else []
    if "--overwrite" not in place.options:
        more.append("--overwrite")
    again = run(place.command(*more))
    place.old = None
    place.check(what + ", again", again, expected)
    if again.returncode != 0:
        failures.append(what)
    if b": continued what a run" in again.stderr:
        counts["of these, continued"] += 1
    counts["runs after a kill" + (" with --resume" if resume else "")] += 1


def try_killed():
    for case in CASES:
        expected = undisturbed(case)
        for with_old in (False, True):
            total = calls_of(case, with_old, "any")
            for at in chosen(total, ask.every, 40):
                is_late = at > total - 40
                for resume in (False, True) if is_late else (at % 2 == 0,):
                    place = Place(case, with_old)
                    result = run(place.command(), {"CALL": "any", "AT": at, "DO": "kill"})
                    what = f"{case}, old {with_old}, killed at call {at} of {total}, resume {resume}"
                    if result.returncode != -signal.SIGKILL:
                        fail(what + ": was not", result)
                    check_rerun(place, what, expected, resume)
                    counts["kills at a call"] += 1


def try_random():
    """Kills and requests to stop at random moments of a run that is slowed down."""
    dice = random.Random(ask.seed)
    make_model(root / "large")
    CASES["of 44 MB to Megatron"] = (root / "large", CASES["to Megatron"][1])
    for case in CASES:
        expected = undisturbed(case)
        for number in range(ask.kills):
            with_old = number % 2 == 1
            place = Place(case, with_old)
            which = [signal.SIGKILL, signal.SIGKILL, signal.SIGINT, signal.SIGTERM][number % 4]
            environment = dict(os.environ, LD_PRELOAD=injector, FAULT_CALL="any", FAULT_AT="1", FAULT_LASTING="1", FAULT_DO="slow")
            running = subprocess.Popen(place.command(), env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            time.sleep(dice.uniform(0.02, 0.5))
            running.send_signal(which)
            begun = time.monotonic()
            out, err = running.communicate(timeout=60)
            took = time.monotonic() - begun
            result = subprocess.CompletedProcess([], running.returncode, out, err)
            what = f"{case}, {which.name} at random"
            counts[f"{which.name} at random"] += 1
            if which == signal.SIGKILL:
                check_rerun(place, what, expected, resume=number % 8 < 4)
                continue
            if took > 15:
                fail(what + f": heard after {took:.1f} s", result)
            if running.returncode == 0:
                place.check(what, result, expected)
            elif running.returncode in (128 + which, -which):
                if running.returncode > 0 and lines(result) != [f"crossdock: stopped by {which.name}"]:
                    fail(what + ": not one clear line", result)
                if content(place.target) != place.old:
                    fail(what + ": the target is not as it was", result)
                if sorted(p.name for p in place.folder.iterdir() if p != place.target):
                    fail(what + ": something is left", result)
                place.remove()
            else:
                fail(what + ": ended otherwise", result)


def race(what, case, faults, check, with_old=False, prepare=None):
    """A command of the shell runs at a call of the program."""
    expected = undisturbed(case)
    place = Place(case, with_old)
    copy = place.folder / "source"
    shutil.copytree(place.source, copy)
    place.source = copy
    if prepare:
        prepare(place)
    faults["DO"] = faults["DO"].format(source=copy, target=place.target, folder=place.folder,
                                       staging=place.folder / ".out.crossdock-staging")
    result = run(place.command(), faults)
    counts["races"] += 1
    problem = check(place, result, expected)
    if problem:
        fail(f"{what}: {problem}", result)
    place.remove()


def refused(*words):
    def check(place, result, expected):
        if result.returncode != 1 or len(lines(result)) != 1:
            return "expected one line and exit 1"
        if not all(word in lines(result)[0] for word in words):
            return f"expected {words}"
        if place.target.exists() and content(place.target) != place.old:
            return "a target is there"
        return None
    return check


def complete(place, result, expected):
    return None if result.returncode == 0 and content(place.target) == expected else "expected it complete"


def refused_or_complete(place, result, expected):
    return (complete if result.returncode == 0 else refused())(place, result, expected)


def try_races():
    weights = "find '{source}' -name '*.safetensors' -o -name '*.pt' | while read f; do "
    for case in CASES:
        reads, writes = calls_of(case, False, "read"), calls_of(case, False, "write")
        last = {"CALL": "read", "AT": reads - 3}
        middle = {"CALL": "write", "AT": writes // 2}
        race(f"{case}: source truncated", case, dict(last, DO=weights + "truncate -s 100 $f; done"), refused("shrank"))
        race(f"{case}: source changed in place", case,
             dict(last, DO=weights + "printf x | dd of=$f bs=1 seek=5000 conv=notrunc 2>/dev/null; done"),
             refused("was changed while it was being read"))
        race(f"{case}: source replaced", case, dict(last, DO=weights + "cp $f $f.new; mv $f.new $f; done"),
             refused_or_complete)
        race(f"{case}: source deleted", case, dict(last, DO="rm -r '{source}'"), refused_or_complete)
        race(f"{case}: staging deleted", case, dict(middle, DO="rm -r '{staging}'"), refused())
        race(f"{case}: staging becomes a link", case,
             dict(middle, DO="mkdir '{folder}/elsewhere'; mv '{staging}' '{folder}/moved'; "
                             "ln -s '{folder}/elsewhere' '{staging}'"),
             lambda place, result, expected: "wrote through a link" if list((place.folder / "elsewhere").iterdir())
             else refused()(place, result, expected))
        race(f"{case}: target appears", case, dict(middle, DO="mkdir '{target}'; echo mine > '{target}/mine'"),
             lambda place, result, expected: None if result.returncode == 1 and content(place.target) == {"mine": b"mine\n"}
             else "somebody else's target was touched")
        race(f"{case}: target becomes a link", case,
             dict(middle, DO="mkdir '{folder}/elsewhere'; ln -s '{folder}/elsewhere' '{target}'"),
             lambda place, result, expected: "wrote through a link" if list((place.folder / "elsewhere").iterdir())
             else None if result.returncode == 1 else "expected a refusal")
        race(f"{case}: old target deleted", case, dict(middle, DO="rm -r '{target}'"), complete, with_old=True)
        race(f"{case}: another conversion meanwhile", case,
             dict(middle, DO=f"{program} convert --load_dir '{{source}}' --save_dir '{{target}}' --quiet "
                             f"{' '.join(CASES[case][1])} 2> '{{folder}}/other'; true"),
             lambda place, result, expected: complete(place, result, expected) or
             (None if "another run is writing it" in (place.folder / "other").read_text() else "both ran"))

        def leftovers(make):
            def prepare(place):
                staging = place.folder / ".out.crossdock-staging"
                make(staging, place)
            return prepare

        def link_as_staging(staging, place):
            (place.folder / "elsewhere").mkdir()
            staging.symlink_to(place.folder / "elsewhere")

        def link_as_files(staging, place):
            staging.mkdir()
            (place.folder / "elsewhere").mkdir()
            (place.folder / "elsewhere/precious").write_text("mine")
            (staging / "files").symlink_to(place.folder / "elsewhere")

        def link_as_lock(staging, place):
            staging.mkdir()
            (place.folder / "precious").write_text("mine")
            (staging / "lock").symlink_to(place.folder / "precious")

        def foreign(staging, place):
            staging.mkdir()
            (staging / "files").mkdir()
            (staging / "files/model.safetensors").write_text("half")

        never = {"CALL": "read", "DO": "true"}
        race(f"{case}: staging is a link", case, dict(never), refused("is not a directory"), prepare=leftovers(link_as_staging))
        race(f"{case}: files is a link", case, dict(never),
             lambda place, result, expected: complete(place, result, expected) or
             (None if (place.folder / "elsewhere/precious").read_text() == "mine" else "followed a link"),
             prepare=leftovers(link_as_files))
        race(f"{case}: lock is a link", case, dict(never),
             lambda place, result, expected: refused()(place, result, expected) or
             (None if (place.folder / "precious").read_text() == "mine" else "followed a link"),
             prepare=leftovers(link_as_lock))
        race(f"{case}: leftovers of a run that did not end", case, dict(never), complete, prepare=leftovers(foreign))


def try_order():
    """Power loss: what a target is made of is flushed before it gets its name, and that name after it."""
    for case in CASES:
        for with_old in (False, True):
            place = Place(case, with_old)
            log = place.folder / "log"
            result = run(place.command(), {"CALL": "none", "LOG": log})
            events = [line.split(" ", 1) for line in log.read_text().splitlines()]
            target, files = str(place.target), str(place.folder / ".out.crossdock-staging/files")
            what = f"{case}, old {with_old}: order"
            moves = [i for i, (name, paths) in enumerate(events) if name in ("rename", "exchange") and
                     paths.split("\t") == [files, target]]
            moved = moves[-1] if moves else len(events)
            flushed = {path for name, path in events[:moved] if name == "fsync"}
            needed = {files} | {os.path.join(files, str(p.relative_to(place.target))) for p in place.target.rglob("*")}
            if result.returncode != 0 or not moves:
                fail(what + ": no rename to the target", result)
            if needed - flushed:
                fail(what + f": not flushed before the rename: {sorted(needed - flushed)}")
            if ["fsync", str(place.folder)] not in events[moved:]:
                fail(what + ": the parent is not flushed after the rename")
            removed = [i for i, (name, path) in enumerate(events) if name in ("unlink", "rmdir") and i > moved]
            flush = [i for i, event in enumerate(events) if i > moved and event == ["fsync", str(place.folder)]]
            if removed and flush and removed[0] < flush[0]:
                fail(what + ": old content is removed before the new name is safe")
            counts["orders of calls"] += 1
            place.remove()


def try_signals_in_the_loader():
    """A request to stop is heard while a description or a weight is read."""
    for case in CASES:
        for at in (1, 3, 6):
            place = Place(case, False)
            environment = dict(os.environ, LD_PRELOAD=injector, FAULT_CALL="read", FAULT_AT=str(at), FAULT_DO="wait")
            running = subprocess.Popen(place.command(), env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            time.sleep(0.5)
            running.send_signal(signal.SIGTERM)
            begun = time.monotonic()
            try:
                out, err = running.communicate(timeout=20)  # 1 s where nothing is under way, 10 s otherwise
            except subprocess.TimeoutExpired:
                running.kill()
                fail(f"{case}, SIGTERM while read {at} hangs: is not heard")
                continue
            result = subprocess.CompletedProcess([], running.returncode, out, err)
            if running.returncode not in (128 + signal.SIGTERM, -signal.SIGTERM) or place.target.exists():
                fail(f"{case}, SIGTERM while read {at} hangs", result)
            counts["signals while a read hangs"] += 1
            place.remove()


def without_privileges():
    """In the child: root, too, is refused what the mode of a file forbids."""
    dac_override, dac_read_search, drop = 1, 2, 24
    for capability in (dac_override, dac_read_search) if os.geteuid() == 0 else ():
        if ctypes.CDLL(None, use_errno=True).prctl(drop, capability, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "PR_CAPBSET_DROP")


def try_permission(case, what, with_old, forbid):
    """One thing of a copied source, or of the target's place, may not be read, entered or written."""
    place = Place(case, with_old)
    source = place.folder / "source"
    shutil.copytree(place.source, source)
    place.source = source
    path, mode = forbid(place)
    before = path.stat().st_mode
    path.chmod(mode)
    try:
        results = {word: run(words, preexec_fn=without_privileges)
                   for word, words in (("convert", place.command()), ("dry_run", place.command("--dry_run")))}
    finally:
        path.chmod(before)
    for word, result in results.items():
        if result.returncode != 1 or len(lines(result)) != 1 or "Permission denied" not in lines(result)[0]:
            fail(f"{case}, {what}, {word}: not one line on permissions", result)
        elif str(path) not in lines(result)[0]:
            fail(f"{case}, {what}, {word}: does not name it", result)
        counts["permissions"] += 1
    shutil.rmtree(source)
    place.check(f"{case}, {what}", results["convert"], None)


def try_permissions():
    for case, (origin, _) in CASES.items():
        for inside in sorted(origin.rglob("*")):
            name = inside.relative_to(origin)
            try_permission(case, f"{name} is forbidden", False, lambda place: (place.source / name, 0))
        for mode in (0, 0o400, 0o100):
            try_permission(case, f"source has mode {mode:o}", False, lambda place: (place.source, mode))
        try_permission(case, "the target's parent is read-only", False, lambda place: (place.folder, 0o500))
        try_permission(case, "the old target's parent is read-only", True, lambda place: (place.folder, 0o500))


def try_hostile():
    """Nothing that a terminal obeys comes out, whatever files are called."""
    name = "a\nb\x1b[31mc\x9b31md\u009be\u202ef\u2028g\x7fh"
    folder = root / "hostile"
    folder.mkdir()
    encoded = os.path.join(os.fsencode(folder), name.encode("utf-8", "surrogateescape") + b"\x9b\xff")
    os.mkdir(encoded)
    with open(os.path.join(encoded, b"config.json"), "w") as file:
        file.write('{"model_type": "llama\\u001b[31m\\u009b", "\\u202e": 1}')
    target = os.path.join(os.fsencode(folder), b"out")
    for words in (["inspect", encoded], ["inspect", encoded, "--json"], ["verify", encoded, encoded],
                  ["convert", "--saver", "hf", "--load_dir", encoded, "--save_dir", target],
                  ["convert", "--saver", "hf", "--load_dir", str(HF), "--save_dir", os.path.join(encoded, b"out")],
                  ["convert", "--saver", "hf", "--load_dir", str(HF), "--save_dir", os.path.join(encoded, b"dry"),
                   "--dry_run"]):
        result = run([program, *words])
        text = (result.stdout + result.stderr).decode(errors="surrogateescape")
        bad = {c for c in text if c != "\n" and (ord(c) < 32 or 0x7F <= ord(c) <= 0x9F or 0xDC80 <= ord(c) <= 0xDCFF or
                                                 c in "\u061c\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e"
                                                      "\u2066\u2067\u2068\u2069\ufeff")}
        if bad:
            fail(f"{words[0]} prints {bad!r}", result)
        counts["hostile names"] += 1


def try_output():
    """An output that fails is an error."""
    target = root / "printed"
    commands = {
        "inspect": ["inspect", str(HF)], "inspect --json": ["inspect", str(HF), "--json"], "plugins": ["plugins"],
        "verify": ["verify", str(HF), str(HF)], "--help": ["--help"], "--version": ["--version"],
        "convert --help": ["convert", "--help"],
        "convert": ["convert", "--saver", "hf", "--load_dir", str(HF), "--save_dir", str(target)],
        "convert --dry_run": ["convert", "--saver", "hf", "--load_dir", str(HF), "--save_dir", str(target), "--dry_run"],
        "digest": ["digest", str(HF)],
    }
    for name, words in commands.items():
        for kind in ("full", "closed", "pipe"):
            if kind == "full":
                out = os.open("/dev/full", os.O_WRONLY)
            else:
                reader, out = os.pipe()
                os.close(reader)
            shell = [program, *words] if kind != "closed" else ["sh", "-c", '"$0" "$@" >&-', program, *words]
            result = subprocess.run(shell, stdout=out, stderr=subprocess.PIPE)
            os.close(out)
            if result.returncode in (0, -signal.SIGPIPE) and not (kind == "pipe" and result.returncode < 0):
                fail(f"{name} > {kind}: exit 0", result)
            elif result.returncode > 0 and "standard output" not in result.stderr.decode():
                fail(f"{name} > {kind}: no word of it", result)
            shutil.rmtree(target, ignore_errors=True)
            counts["outputs that fail"] += 1


try:
    if is_wanted("calls"):
        try_calls(lasting=False)
    if is_wanted("lasting"):
        try_calls(lasting=True)
    if is_wanted("memory"):
        try_memory()
    if is_wanted("killed"):
        try_killed()
    if is_wanted("random"):
        try_random()
        try_signals_in_the_loader()
    if is_wanted("races"):
        try_races()
    if is_wanted("order"):
        try_order()
    if is_wanted("permissions"):
        try_permissions()
    if is_wanted("hostile"):
        try_hostile()
    if is_wanted("output"):
        try_output()
finally:
    shutil.rmtree(root, ignore_errors=True)
for name, number in counts.items():
    print(f"{number:7} {name}")
print(f"{len(failures):7} failed")
sys.exit(1 if failures else 0)
