#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs what is missing of the Debian packages that building Crossdock takes, and of those named:
#
#   tools/install-dependencies.sh [PACKAGE…]
set -euo pipefail

packages=(g++ cmake ninja-build libxtensor-dev nlohmann-json3-dev libcxxopts-dev libdeflate-dev libxxhash-dev "$@")

if ! command -v apt-get > /dev/null; then
    echo "This is no Debian system; Crossdock takes what Debian calls: ${packages[*]}" >&2
    exit 0  # they may be there: the build will tell
fi

missing=()
for package in "${packages[@]}"; do
    [[ $(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2> /dev/null) == installed ]] ||
        missing+=("$package")
done
((${#missing[@]})) || exit 0

echo "Installing ${missing[*]}"
as_root=()
((EUID == 0)) || as_root=(sudo)
"${as_root[@]}" apt-get update --quiet &&
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install --quiet --yes --no-install-recommends "${missing[@]}" || {
    echo "That needs root or sudo. Please have installed: ${missing[*]}" >&2
    exit 1
}
