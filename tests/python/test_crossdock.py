# SPDX-License-Identifier: Apache-2.0
"""The installed Python package, from outside: python -m unittest discover tests/python"""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import crossdock

DATA = Path(__file__).parents[1] / "data"
LLAMA = DATA / "hf" / "llama2-gqa"


class Package(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def test_converts_and_reports(self):
        heard = []
        target = self.folder / "megatron"
        report = crossdock.convert(
            LLAMA, target, saver="mcore", target_tensor_parallel_size=2, progress=heard.append
        )
        self.assertEqual(report.tensors, 31)
        self.assertGreater(report.bytes, 300_000)
        self.assertTrue(any("--rotary-base" in line for line in report.warnings))
        self.assertTrue(heard)
        self.assertLessEqual(heard[-1].fraction, 1.0)
        self.assertEqual(crossdock.inspect(target)["tensor_parallel_size"], 2)
        self.assertTrue(crossdock.verify(LLAMA, target))

    def test_differences_are_no_errors(self):
        found = crossdock.verify(LLAMA, DATA / "hf" / "llama2-mha")
        self.assertFalse(found)
        self.assertTrue(found.details["differences"])

    def test_errors_are_the_programs_own_words(self):
        with self.assertRaisesRegex(crossdock.CrossdockError, "is not a directory") as caught:
            crossdock.inspect(self.folder / "nothing")
        self.assertNotIn("crossdock: ", str(caught.exception))
        with self.assertRaisesRegex(crossdock.CrossdockError, "did you mean --target_tensor_parallel_size"):
            crossdock.convert(LLAMA, self.folder / "target", saver="mcore", target_tensor_parallel_siz=2)
        (self.folder / "mine").mkdir()
        (self.folder / "mine" / "file").touch()
        with self.assertRaisesRegex(crossdock.CrossdockError, "exists already"):
            crossdock.convert(LLAMA, self.folder / "mine", saver="mcore", progress=lambda progress: None)

    def test_an_exception_in_progress_stops_it(self):
        def fail(progress):
            raise KeyError("enough")

        target = self.folder / "target"
        with self.assertRaises(KeyError):
            crossdock.convert(LLAMA, target, saver="hf", progress=fail)
        # So small a model may be complete before the program hears of it.
        self.assertIn(list(self.folder.iterdir()), ([], [target]))
        if target.exists():
            self.assertTrue(crossdock.verify(LLAMA, target))

    def test_options_that_are_not_given(self):
        crossdock.convert(LLAMA, self.folder / "target", saver="hf", loader=None, no_checking=False, dtype="f16")
        self.assertEqual(list(crossdock.inspect(self.folder / "target")["dtypes"]), ["f16"])

    def test_command(self):
        for command in ([Path(sys.executable).parent / "crossdock"], [sys.executable, "-m", "crossdock"]):
            told = subprocess.run([*command, "--version"], capture_output=True, text=True, check=True).stdout
            self.assertEqual(told, f"crossdock {crossdock.version()}\n")


if __name__ == "__main__":
    unittest.main()
