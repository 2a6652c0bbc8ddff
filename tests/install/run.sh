#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Uses Crossdock as other projects would: installed and found by CMake and by pkg-config, and as a subfolder. What stands
# between marks is what docs/using-from-cpp.md and docs/install.md say (tests/docs/check.sh).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
tools/install-dependencies.sh pkg-config
export CMAKE_GENERATOR=Ninja

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
prefix=$work/prefix
say() { echo "== $*"; }

consume() {  # NAME [CMAKE OPTION…]: builds the consumer and runs its program
    say "$1"
    cmake -S tests/install -B "$work/$1" "${@:2}"
    cmake --build "$work/$1"
    "$work/$1/consumer"
}
installed() { consume "$1" -DCMAKE_PREFIX_PATH="$prefix" "${@:2}"; }

say "install, without xtensor"
cmake -S . -B "$work/crossdock" -DCMAKE_DISABLE_FIND_PACKAGE_xtensor=ON -DCROSSDOCK_BUILD_TESTS=OFF \
    -DCROSSDOCK_BUILD_CLI=OFF -DCROSSDOCK_BUILD_EXAMPLES=OFF
cmake --install "$work/crossdock" --prefix "$prefix"
[[ ! -e $work/crossdock/libcrossdock.a ]] || { echo "headers alone need nothing built"; exit 1; }
for file in LICENSE README.md docs/using-from-cpp.md docs/formats/torch.md examples/01_convert.cpp; do
    [[ -s $prefix/share/doc/crossdock/$file ]] || { echo "share/doc/crossdock/$file is not installed"; exit 1; }
done

installed with_components "-DCOMPONENTS=cli;xtensor"
"$work/with_components/consumer_cli" --version
"$work/with_components/consumer_xtensor"

installed without_xtensor -DCMAKE_DISABLE_FIND_PACKAGE_xtensor=ON
say "a component that is not there"
if cmake -S tests/install -B "$work/missing" -DCMAKE_PREFIX_PATH="$prefix" -DCOMPONENTS=xtensor \
    -DCMAKE_DISABLE_FIND_PACKAGE_xtensor=ON > "$work/missing.log" 2>&1; then
    echo "found the component xtensor without xtensor"; exit 1
fi
grep "the component 'xtensor' needs what is not installed" "$work/missing.log"
say "the compiled form, where headers alone are installed"
if cmake -S tests/install/compiled_program -B "$work/missing_compiled" -DCMAKE_PREFIX_PATH="$prefix" \
    > "$work/missing_compiled.log" 2>&1; then
    echo "found the component compiled without the library"; exit 1
fi
grep "the component 'compiled' needs what is not installed" "$work/missing_compiled.log"

consume subfolder -DCROSSDOCK_SOURCE_DIR="$PWD"
cmake --install "$work/subfolder" --prefix "$work/nothing"
[[ ! -e $work/nothing/include ]] || { echo "a subfolder installs itself"; exit 1; }

say "pkg-config"
export PKG_CONFIG_PATH=$prefix/share/pkgconfig:$prefix/lib/pkgconfig
[[ $(pkg-config --modversion crossdock) == "$("$work/subfolder/consumer" | grep -oE '[0-9]+\.[0-9]+\.[0-9]+')" ]]
# shellcheck disable=SC2046
"${CXX:-c++}" tests/install/main.cpp $(pkg-config --cflags --libs crossdock) -o "$work/by_pkg_config"
"$work/by_pkg_config"

say "the first program of docs/using-from-cpp.md, from an empty folder"
export HOME=$work/home  # where the pages install
mkdir "$HOME"
# [library]
cmake -S . -B build/library -DCROSSDOCK_BUILD_CLI=OFF -DCROSSDOCK_BUILD_TESTS=OFF -DCROSSDOCK_BUILD_EXAMPLES=OFF
cmake --install build/library --prefix ~/crossdock
# [library]
mkdir "$work/empty"
cp tests/install/first_program/CMakeLists.txt "$work/empty"
cp examples/04_progress_and_cancel.cpp "$work/empty/main.cpp"
cp -r examples/data/llama-tiny "$work/empty/Llama-3.1-8B"
pushd "$work/empty"
export CXXFLAGS=-O0
# [first-program]
cmake -S . -B build -DCMAKE_PREFIX_PATH=~/crossdock && cmake --build build
build/first_program Llama-3.1-8B megatron
# [first-program]
unset CXXFLAGS
popd

say "the program of docs/install.md"
# The quickstart has built it.
# [program]
cmake --preset release -DCROSSDOCK_BUILD_TESTS=OFF -DCROSSDOCK_BUILD_EXAMPLES=OFF
cmake --build --preset release
cmake --install build/release --prefix ~/.local
# [program]
cmake --install build/release --prefix "$prefix"
"$prefix/bin/crossdock" --version
~/.local/bin/crossdock --version

say "without CMake, as docs/using-from-cpp.md has it"
cmake --install build/release --prefix ~/crossdock
mkdir "$work/by_hand"
cp tests/install/main.cpp "$work/by_hand"
pushd "$work/by_hand"
# [by-hand]
export PKG_CONFIG_PATH=~/crossdock/share/pkgconfig:~/crossdock/lib/pkgconfig
g++ main.cpp $(pkg-config --cflags --libs crossdock)
g++ main.cpp $(pkg-config --cflags --libs crossdock-compiled)      # the compiled library
g++ -std=c++20 -I ~/crossdock/include main.cpp -ldeflate -pthread  # the first by hand
# [by-hand]
./a.out
popd
export PKG_CONFIG_PATH=$prefix/share/pkgconfig:$prefix/lib/pkgconfig

say "the first program with the compiled library, in at most 20 CPU seconds and 800 MB"
mkdir "$work/compiled"
cp tests/install/compiled_program/CMakeLists.txt "$work/compiled"
cp examples/04_progress_and_cancel.cpp "$work/compiled/main.cpp"
cmake -S "$work/compiled" -B "$work/compiled/build" -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_CXX_FLAGS=-O2
(ulimit -t 20 -v 800000; cmake --build "$work/compiled/build")
"$work/compiled/build/compiled_program" examples/data/llama-tiny "$work/compiled/megatron"
diff -r "$work/empty/megatron" "$work/compiled/megatron"
# shellcheck disable=SC2046
(ulimit -t 20 -v 800000
    "${CXX:-c++}" examples/04_progress_and_cancel.cpp $(pkg-config --cflags --libs crossdock-compiled) -O2 -o "$work/by_pkg_config")
"$work/by_pkg_config" examples/data/llama-tiny "$work/by_pkg_config.megatron"
