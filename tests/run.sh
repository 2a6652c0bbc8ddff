#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs what is missing, builds Crossdock and runs all its tests.
#
#   tests/run.sh [--preset NAME] [--interop]
#
#   --preset NAME   release (the default), dev, tsan or clang (with CXX set): see CMakePresets.json
#   --interop       also test against PyTorch, Transformers and safetensors, in a virtual environment of their own
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

preset=release
environment=
packages=(catch2 unzip python3-jsonschema)
interop_python=
while (($#)); do
    case $1 in
    --preset) preset=${2:?--preset needs a name}; shift ;;
    --interop) packages+=(python3-venv); interop_python=$PWD/build/interop-venv/bin/python ;;
    *) sed -n '3,8s/^# \?//p' "$0" >&2; exit 2 ;;
    esac
    shift
done

tools/install-dependencies.sh "${packages[@]}"

if [[ -n $interop_python ]]; then
    # Debian's own Python: python3-venv belongs to it, and not to another that may come first in PATH.
    [[ -x $interop_python ]] || /usr/bin/python3 -m venv build/interop-venv
    # It is loaded while the compilers run.
    {
        "$interop_python" -m pip install --quiet --requirement tests/interop/requirements.txt
        # It asks for a newer Python than Debian 12 has, and does without.
        "$interop_python" -m pip install --quiet --upgrade --no-deps --ignore-requires-python \
            --target build/interop-venv/newest-megatron-core --requirement tests/interop/requirements-newest.txt
    } &
    environment=$!
fi

cmake --preset "$preset" -DCROSSDOCK_INTEROP_PYTHON="$interop_python"
cmake --build --preset "$preset"
[[ -z $environment ]] || wait "$environment"
ctest --preset "$preset"
