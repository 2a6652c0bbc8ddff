#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# precompile.sh COMPILER OUTPUT INCLUDE FILE…: reads what the files include of the library once for them all. OUTPUT is
# a header, and its precompiled form lies beside it.
set -euo pipefail
compiler=$1 output=$2 include=$3
shift 3
grep -h '^#include "crossdock/' "$@" | sort --unique > "$output"
"$compiler" -std=c++20 -I"$include" -x c++-header "$output" -o "$output.gch"
