#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The README's C++ is examples/01_convert.cpp, which is compiled and run.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
diff <(sed -n '/^```cpp$/,/^```$/{//!p}' README.md) <(sed '/^\/\//d' examples/01_convert.cpp)
