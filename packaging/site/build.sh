#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds the documentation as a site in build/site; a link that leads nowhere is an error.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
tools/install-dependencies.sh python3-venv
mkdir -p build
[[ -x build/site-venv/bin/python ]] || /usr/bin/python3 -m venv build/site-venv
build/site-venv/bin/python -m pip install --quiet 'mkdocs-material==9.8.2'
NO_MKDOCS_2_WARNING=1 build/site-venv/bin/python -m mkdocs build --quiet --config-file packaging/site/mkdocs.yml
