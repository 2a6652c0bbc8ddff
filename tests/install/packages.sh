#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Makes the Debian packages and a Python wheel of what build/release holds, and uses both as their users would.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
tools/install-dependencies.sh dpkg-dev lintian python3-venv groff-base

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
say() { echo "== $*"; }

say "Debian packages"
cmake --preset release -DCROSSDOCK_BUILD_TESTS=OFF -DCROSSDOCK_BUILD_EXAMPLES=OFF -DCMAKE_INSTALL_PREFIX=/usr
cmake --build --preset release
(cd build/release && cpack -G DEB -B "$work/packages")
lintian --fail-on error "$work"/packages/*.deb
for package in "$work"/packages/*.deb; do dpkg-deb --extract "$package" "$work/root"; done
"$work/root/usr/bin/crossdock" --version
gzip --decompress --stdout "$work/root/usr/share/man/man1/crossdock.1.gz" | groff -man -Tutf8 -z -ww
bash -n "$work/root/usr/share/bash-completion/completions/crossdock"
for file in include/crossdock/crossdock.hpp share/pkgconfig/crossdock.pc share/cmake/crossdock/crossdock-config.cmake \
    share/zsh/vendor-completions/_crossdock share/fish/vendor_completions.d/crossdock.fish; do
    [[ -s $work/root/usr/$file ]] || { echo "no package has $file"; exit 1; }
done

say "Python wheel"
/usr/bin/python3 -m venv "$work/build-venv"
"$work/build-venv/bin/python" -m pip install --quiet 'scikit-build-core>=0.10' auditwheel
# It is about what the wheel holds: the program is built as fast as can be.
"$work/build-venv/bin/python" -m pip wheel . --quiet --no-deps --no-build-isolation --wheel-dir "$work" \
    --config-settings=cmake.build-type=Debug --config-settings=build-dir="$work/wheel"
"$work/build-venv/bin/python" -m auditwheel show "$work"/crossdock-*.whl
/usr/bin/python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --no-index "$work"/crossdock-*.whl
"$work/venv/bin/python" -m unittest discover --start-directory tests/python
