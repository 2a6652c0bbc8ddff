# SPDX-License-Identifier: Apache-2.0
"""What every command prints with --json is what docs/crossdock.schema.json says, and nothing else.

    CROSSDOCK_CLI=PROGRAM python3 -m unittest discover tests/json
"""

import copy
import json
import os
import re
import signal
import subprocess
import tempfile
import unittest
from pathlib import Path

import jsonschema

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data"
LLAMA = DATA / "hf" / "llama2-gqa"
MEGATRON = DATA / "megatron-core" / "llama2-gqa-te-tp1"
DISTRIBUTED = DATA / "megatron-dist" / "llama3.2-tied-mcore0.19-tp2"
SCHEMA = json.loads((ROOT / "docs" / "crossdock.schema.json").read_text())


def closed(schema):
    """The schema, with nothing allowed that it does not name: what is printed must be documented."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: closed(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        found.setdefault("additionalProperties", False)
    return found


def validator(name):
    chosen = closed(copy.deepcopy(SCHEMA))
    del chosen["anyOf"]
    chosen["$ref"] = f"#/$defs/{name}"
    return jsonschema.Draft202012Validator(chosen)


def run(*words):
    return subprocess.run([os.environ["CROSSDOCK_CLI"], *map(str, words)], capture_output=True, text=True)


class Documents(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def check(self, name, *words, code=0):
        """The one document that the words give."""
        result = run(*words, "--json")
        self.assertEqual(result.returncode, code, result.stderr)
        document = json.loads(result.stdout)
        validator(name).validate(document)
        jsonschema.Draft202012Validator(SCHEMA).validate(document)
        return document

    def test_the_schema_is_one(self):
        jsonschema.Draft202012Validator.check_schema(SCHEMA)
        with self.assertRaises(jsonschema.ValidationError):
            validator("error").validate({"schema": 1, "error": {"message": "", "exit_code": 1}, "more": 1})

    def test_convert(self):
        words = ("convert", LLAMA, self.folder / "target", "--saver", "mcore", "--verify", "--json")
        *events, last = run(*words).stdout.splitlines()
        self.assertTrue(events)
        for event in events:
            validator("progress").validate(json.loads(event))
        report = json.loads(last)
        validator("report").validate(report)
        self.assertEqual(report["report"]["verified"], 31)
        self.assertTrue(report["report"]["warnings"])
        again = run("convert", LLAMA, self.folder / "again", "--saver", "hf", "--json", "--quiet")
        validator("report").validate(json.loads(again.stdout))

    def test_dry_run(self):
        plan = self.check("plan", "convert", LLAMA, self.folder / "target", "--saver", "mcore", "--dry_run")
        self.assertTrue(plan["files"] and plan["source_tensors"])

    def test_verify(self):
        self.assertTrue(self.check("comparison", "verify", LLAMA, LLAMA)["equal"])
        found = self.check("comparison", "verify", LLAMA, DATA / "hf" / "llama2-mha", code=1)
        self.assertEqual(sum(found["counts"].values()), len(found["differences"]))

    def test_digest(self):
        digests = self.check("digests", "digest", LLAMA)
        kept = self.folder / "digests.json"
        kept.write_text(json.dumps(digests))
        self.assertTrue(self.check("comparison", "digest", LLAMA, "--check", kept)["equal"])

    def test_inspect(self):
        for directory in (LLAMA, MEGATRON, DISTRIBUTED, DATA / "megatron-llm" / "llama2-gqa-tp2pp2", DATA / "meta" / "llama2-gqa-mp2"):
            for more in ((), ("--summary",), ("--stats", "--parts")):
                found = self.check("checkpoint", "inspect", directory, *more)
                for tensor in found["tensors"]:
                    self.assertEqual("statistics" in tensor, "--stats" in more)
                    self.assertEqual("parts" in tensor, "--parts" in more)
        self.check("file", "inspect", LLAMA / "model.safetensors")
        self.check("file", "inspect", LLAMA / "model.safetensors", "--stats", "--tensors", "norm")

    def test_errors(self):
        nothing = self.folder / "nothing"
        for code, words in (
            (1, ("convert", nothing, self.folder / "target", "--saver", "hf")),
            (2, ("convert", LLAMA, self.folder / "target", "--saver", "h")),
            (2, ("convert", "--no_such_option")),
            (2, ("verify", LLAMA, nothing)),
            (2, ("digest", nothing)),
            (1, ("inspect", nothing)),
            (1, ("inspect", LLAMA / "config.json")),
            (2, ("inspect", LLAMA, "--stats", "--summary")),
            (2, ("no_such_command",)),
        ):
            with self.subTest(words):
                error = self.check("error", *words, code=code)["error"]
                self.assertEqual(error["exit_code"], code)
                self.assertIn(error["message"], run(*words).stderr)

    def test_a_signal(self):
        def begin_with_a_signal():
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
            os.kill(os.getpid(), signal.SIGTERM)

        words = "convert", str(LLAMA), "--saver", "hf", "--json"
        for attempt in range(50):  # the model is small: it may be done before the signal is heard
            result = subprocess.run(
                [os.environ["CROSSDOCK_CLI"], *words, "--save_dir", str(self.folder / str(attempt))],
                capture_output=True, text=True, preexec_fn=begin_with_a_signal,
            )  # fmt: skip
            if result.returncode != 0:
                break
        self.assertEqual(result.returncode, 128 + signal.SIGTERM)
        error = json.loads(result.stdout.splitlines()[-1])
        validator("error").validate(error)
        self.assertEqual(error["error"], {"message": "stopped by SIGTERM", "exit_code": 128 + signal.SIGTERM})

    def test_the_examples_of_the_page(self):
        blocks = re.findall(r"^```json\n(.*?)^```", (ROOT / "docs" / "json.md").read_text(), re.M | re.S)
        self.assertGreater(len(blocks), 6)
        for block in blocks:
            try:
                documents = [json.loads(block)]
            except json.JSONDecodeError:
                documents = [json.loads(line) for line in block.splitlines()]
            for document in documents:
                closed_schema = jsonschema.Draft202012Validator(closed(SCHEMA))
                self.assertEqual([error.message for error in closed_schema.iter_errors(document)], [])


if __name__ == "__main__":
    unittest.main()
