#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# check.sh COMPILER PRECOMPILED INCLUDE FILE: FILE compiles as it is; with -DMISTAKE it does not, and the compiler's
# words have each text that a line "// must say: TEXT" of the file asks for. PRECOMPILED is what precompile.sh made.
set -uo pipefail
compiler=$1 file=$4
compile=("$compiler" -std=c++20 -fsyntax-only -I"$3" -include "$2")

if ! said=$("${compile[@]}" "$file" 2>&1); then
    printf '%s\ncheck.sh: the good twin does not compile\n' "$said"
    exit 1
fi
if said=$("${compile[@]}" -DMISTAKE "$file" 2>&1); then
    echo "check.sh: the mistake compiles"
    exit 1
fi
status=1
while IFS= read -r text; do
    status=0
    if ! grep -qF -- "$text" <<< "$said"; then
        printf '%s\ncheck.sh: nothing is said of "%s"\n' "$said" "$text"
        exit 1
    fi
done < <(sed -n 's|^// must say: ||p' "$file")
[[ $status == 0 ]] || echo "check.sh: the file asks for no words"
exit $status
