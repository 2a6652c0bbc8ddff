# SPDX-License-Identifier: Apache-2.0
"""The command ``crossdock``, also as ``python -m crossdock``: the program takes this process over."""

import os
import sys

from ._run import program


def main() -> None:
    os.execv(program(), ["crossdock", *sys.argv[1:]])


if __name__ == "__main__":
    main()
