#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The code in the documentation is code that the tests compile and run. A block of README.md or docs/*.md names where it
# is from, behind its language:
#
#     ```cpp examples/01_convert.cpp            the whole file, without the comment at its top
#     ```cpp examples/05_family.cpp#table       the lines between two marks `// [table]` (in CMake and sh: `# [table]`),
#                                               indented less; marks of other regions in between are left out
#
# Prints where page and file differ, and each block of C++ or CMake that names no file.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

excerpt() {  # FILE[#REGION]
    local region=
    [[ $1 != *'#'* ]] || region="[${1#*#}]"
    awk -v region="$region" '
        BEGIN { inside = region == "" }
        !in_file && /^(\/\/|# |#!)/ { next }                                       # the comment at the top
        { in_file = 1 }
        /^ *(\/\/|#) \[[a-z0-9_-]+\]$/ { if ($2 == region) inside = !inside; next }  # a mark
        !inside || (!count && !NF) { next }                                        # no blank lines in front
        { lines[++count] = $0; match($0, /^ */); if (NF && (count == 1 || RLENGTH < indent)) indent = RLENGTH }
        END { for (i = 1; i <= count; ++i) print substr(lines[i], indent + 1) }
    ' "${1%%#*}"
}

blocks() {  # PAGE: a line for each block, its first line's number and its source
    awk '/^ *```/ { inside = !inside; if (inside) print NR + 1, $0 }' "$1" |
        sed -nE 's/^([0-9]+) *```([a-z]*) *(.*)$/\1 \2:\3/p'
}

broken=0
for page in README.md docs/*.md docs/formats/*.md; do
    while read -r line block; do
        language=${block%%:*} source=${block#*:}
        if [[ -z $source ]]; then
            [[ $language != cpp && $language != cmake ]] || { echo "$page:$line: names no file"; broken=1; }
        elif [[ ! -f ${source%%#*} ]]; then
            echo "$page:$line: there is no ${source%%#*}"
            broken=1
        else
            diff --label "$page:$line" --label "$source" -u \
                <(tail -n "+$line" "$page" | sed '/^```$/,$d') <(excerpt "$source") || broken=1
        fi
    done < <(blocks "$page")
done
exit $broken
