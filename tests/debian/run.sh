#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds the program with the compiler and the libraries of a newer Debian (GCC 14, xtensor 0.25), in a root directory
# made with debootstrap, and converts every golden folder with it:
#
#   tests/debian/run.sh [SUITE]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
suite=${1:-trixie}
root=build/debian-$suite

tools/install-dependencies.sh debootstrap
packages=$(sed -n 's/^packages=(\(.*\) "$@")$/\1/p' tools/install-dependencies.sh | tr ' ' ','),catch2
if [[ ! -e $root/complete || $(< "$root/complete") != "$packages" ]]; then
    rm -rf "$root"
    debootstrap --variant=minbase --include="$packages" "$suite" "$root" > "$root.log" 2>&1 ||
        { tail -n 30 "$root.log"; exit 1; }
    echo "$packages" > "$root/complete"
fi
rm -rf "$root/crossdock"
mkdir "$root/crossdock"
git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents --target-directory "$root/crossdock"
# What the caller says of his compiler does not hold in there.
in_root() {
    chroot "$root" env --ignore-environment --chdir=/crossdock HOME=/root PATH=/usr/bin:/bin LC_ALL=C.UTF-8 \
        CMAKE_BUILD_PARALLEL_LEVEL="${CMAKE_BUILD_PARALLEL_LEVEL:-2}" "$@"
}
in_root g++ --version | head -n 1
in_root cmake --preset golden
in_root cmake --build --preset golden
in_root ctest --preset golden
