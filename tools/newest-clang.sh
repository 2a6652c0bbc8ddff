#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs the newest Clang that this Debian has, and prints the name of its compiler: clang++-22.
set -euo pipefail

if command -v apt-cache > /dev/null; then
    version=$(apt-cache pkgnames clang- | sed -n 's/^clang-\([0-9]\+\)$/\1/p' | sort -n | tail -n 1)
    "$(dirname "${BASH_SOURCE[0]}")"/install-dependencies.sh "clang-$version" >&2
else
    version=$(compgen -c clang++- | sed -n 's/^clang++-\([0-9]\+\)$/\1/p' | sort -n | tail -n 1)
fi
echo "clang++-${version:?no clang-N is known here}"
