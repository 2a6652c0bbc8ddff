# SPDX-License-Identifier: Apache-2.0
# Sourced by run.sh and peers.sh, in the repository's root: builds make_model and measure, names them and `crossdock`.

crossdock=$(realpath "${CROSSDOCK_CLI:-build/release/crossdock}")
load=$(cut -d' ' -f1 /proc/loadavg)

want_quiet_machine() {
    awk "BEGIN { exit !($load > 0.5) }" || return 0
    echo "The load average is $load: wait until it is 0.5, or measure all the same with --force." >&2
    exit 1
}

build_measuring_tools() {
    local folder=$PWD/build/benchmark tool
    mkdir -p "$folder"
    for tool in make_model measure; do
        [[ $folder/$tool -nt tests/benchmark/$tool.cpp ]] ||
            "${CXX:-c++}" -std=c++20 -O2 -Iinclude "tests/benchmark/$tool.cpp" -o "$folder/$tool" -ldeflate -pthread
    done
    make_model=$folder/make_model
    measure=$folder/measure
}

# Of a file of lines that `measure` has printed.
column() { cut -d' ' -f"$2" "$1" | sort -g; }  # FILE NUMBER
median() { column "$@" | sed -n "$(((rounds + 1) / 2))p"; }
