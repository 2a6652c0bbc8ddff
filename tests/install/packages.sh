#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Makes the Debian packages, a Python wheel and the archive with the static program of what build/release has compiled, as
# packaging/ makes them of builds of their own, and uses each as its users would.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
tools/install-dependencies.sh dpkg-dev lintian python3-venv groff-base

work=$(mktemp -d)
say() { echo "== $*"; }
configure() { cmake --preset release -DCROSSDOCK_BUILD_TESTS=OFF -DCROSSDOCK_BUILD_EXAMPLES=OFF "$@"; }
# scikit-build-core forgets what was compiled where it finds that another environment of it was there.
skbuild_info=build/release/.skbuild-info.json
as_it_was() {
    rm -f "$skbuild_info"
    configure -U 'SKBUILD*' -U 'P[Yy][Tt][Hh][Oo][Nn]*' -U CMAKE_PREFIX_PATH -U libdeflate_LIBRARY \
        -U CMAKE_EXE_LINKER_FLAGS -U CMAKE_INSTALL_PREFIX -DCROSSDOCK_SELF_CONTAINED=OFF "$@"
}
tidy_up() {
    rm -rf "$work"
    as_it_was > /dev/null
}
trap tidy_up EXIT

say "Debian packages"
as_it_was -DCMAKE_INSTALL_PREFIX=/usr
cmake --build --preset release
(cd build/release && cpack -G DEB -B "$work/packages")
lintian --fail-on error "$work"/packages/*.deb
for package in "$work"/packages/*.deb; do dpkg-deb --extract "$package" "$work/root"; done
"$work/root/usr/bin/crossdock" --version
gzip --decompress --stdout "$work/root/usr/share/man/man1/crossdock.1.gz" | groff -k -man -Tutf8 -z -ww
bash -n "$work/root/usr/share/bash-completion/completions/crossdock"
for file in include/crossdock/crossdock.hpp share/pkgconfig/crossdock.pc share/cmake/crossdock/crossdock-config.cmake \
    share/doc/crossdock/third-party.txt share/zsh/vendor-completions/_crossdock share/fish/vendor_completions.d/crossdock.fish; do
    [[ -s $work/root/usr/$file ]] || { echo "no package has $file"; exit 1; }
done

say "Python wheel"
/usr/bin/python3 -m venv "$work/build-venv"
"$work/build-venv/bin/python" -m pip install --quiet 'scikit-build-core>=0.10' auditwheel
libdeflate=$("${CXX:-c++}" -print-file-name=libdeflate.a)
"$work/build-venv/bin/python" -m pip wheel . --quiet --no-deps --no-build-isolation --wheel-dir "$work" \
    --config-settings=build-dir=build/release --config-settings=cmake.define.libdeflate_LIBRARY="$libdeflate"
"$work/build-venv/bin/python" -m auditwheel show "$work"/crossdock-*.whl
/usr/bin/python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --no-index "$work"/crossdock-*.whl
"$work/venv/bin/python" -m unittest discover --start-directory tests/python

say "archive with a static program"
configure -U 'SKBUILD*' -DCROSSDOCK_SELF_CONTAINED=ON -DCMAKE_EXE_LINKER_FLAGS=-static
cmake --build --preset release
(cd build/release && cpack -G TGZ -D CPACK_COMPONENTS_ALL=program -D CPACK_COMPONENT_INCLUDE_TOPLEVEL_DIRECTORY=ON -B "$work/archive")
tar --extract --file "$work"/archive/crossdock-*-linux-*.tar.gz --directory "$work"
program=$(echo "$work"/crossdock-*-linux-*/bin/crossdock)
! ldd "$program" 2> /dev/null || { echo "the static program asks for libraries"; exit 1; }
"$program" convert --saver mcore tests/data/hf/llama2-gqa "$work/megatron"
"$program" verify tests/data/hf/llama2-gqa "$work/megatron"
