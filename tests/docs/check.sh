#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The code in the documentation is code that the tests compile and run. A block of README.md or docs/*.md names where it
# is from, behind its language:
#
#     ```cpp examples/01_convert.cpp            the whole file, without the comment at its top
#     ```cpp examples/05_family.cpp#table       the lines between two marks `// [table]` (in CMake and sh: `# [table]`),
#                                               indented less, without marks of other excerpts
#
# Prints where page and file differ, and each block of C++ or CMake that names no file.
#
#     tests/docs/check.sh [--update]            --update writes the excerpts into the pages
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

excerpt() {  # FILE[#NAME]
    local mark=
    [[ $1 != *'#'* ]] || mark="[${1#*#}]"
    awk -v mark="$mark" '
        BEGIN { inside = mark == "" }
        !in_file && /^(\/\/|# |#!)/ { next }  # the comment at the top
        { in_file = 1 }
        /^ *(\/\/|#) \[[a-z0-9_-]+\]$/ { if ($2 == mark) inside = !inside; next }
        !inside || (!count && !NF) { next }
        { lines[++count] = $0; match($0, /^ */); if (NF && (count == 1 || RLENGTH < indent)) indent = RLENGTH }
        END { for (i = 1; i <= count; ++i) print substr(lines[i], indent + 1); exit !count }
    ' "${1%%#*}" || echo "there is no $1"
}

filled() {  # PAGE: with its excerpts as the files have them
    local line in_excerpt=
    while IFS= read -r line; do
        if [[ $line == '```' ]]; then in_excerpt=; fi
        [[ -n $in_excerpt ]] || printf '%s\n' "$line"
        if [[ $line =~ ^'```'[a-z]+' '(.+)$ ]]; then
            in_excerpt=1
            excerpt "${BASH_REMATCH[1]}"
        fi
    done < "$1"
}

broken=0
for page in README.md docs/*.md docs/formats/*.md; do
    ! grep -nHE '^```(cpp|cmake)$|^ +```' "$page" || { echo "names no file"; broken=1; }
    text=$(filled "$page")
    if [[ ${1-} == --update ]]; then
        printf '%s\n' "$text" > "$page"
    else
        diff -u --label "$page" --label "$page, as the files have it" "$page" - <<< "$text" || broken=1
    fi
done
exit $broken
