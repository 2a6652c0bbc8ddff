#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs clang-tidy, as .clang-tidy configures it, over all of include/ and cli/. One file includes them all, so that what
# they share is parsed once and not a hundred times.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

tools/install-dependencies.sh clang-tidy-14 libopenmpi-dev pkg-config
read -ra mpi <<< "$(pkg-config --cflags-only-I ompi)"
mkdir -p build/clang-tidy
all=build/clang-tidy/all.cpp
git ls-files --cached --others --exclude-standard -- 'include/*.hpp' 'cli/*.hpp' 'cli/*.cpp' |
    sed 's|.*|#include "../../&"  // NOLINT(bugprone-suspicious-include)|' > "$all"
clang-tidy-14 --quiet --warnings-as-errors='*' "$all" -- -std=c++20 -Iinclude -Icli/include -Icli "${mpi[@]/#-I/-isystem}"
