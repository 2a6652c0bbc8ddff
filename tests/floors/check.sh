#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A header includes its own folder and lower floors; third parties stay at the edge; the file system's errors are ours.
# Prints one line for each include or call that breaks the rule, and what the umbrella includes too much or too little:
#
#     tests/floors/check.sh [--update]     --update writes the umbrella
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

declare -A sees=(
    [core]=""
    [container]="core"
    [layout]="core"
    [protocol]="core"
    [queue]="core"
    [family]="core container layout protocol"
    [plugin]="core container layout protocol family"
    [pipeline]="core container layout protocol family plugin queue"
    [cli]="core container layout protocol family plugin queue pipeline"
)
# Third party → where it may be included.
declare -A edges=(
    [nlohmann]="crossdock/(container|family|plugin|cli)/"
    [libdeflate]="crossdock/container/"
    [xxhash]="crossdock/core/digest\.hpp"
    [xtensor]="crossdock/core/tensor_view\.hpp"
    [xtl]="crossdock/core/tensor_view\.hpp"
    [cxxopts]="crossdock/cli/"
    [mpi]="crossdock/pipeline/mpi/"
)

# file:#include "crossdock/…" and file:#include <…>, over both include folders
includes=$(grep -rHoE --include='*.hpp' '^ *# *include *["<][^">]+' include cli/include | sed -E 's/# *include */#/; s/: *#/:/')

broken=0
complain() { echo "$1: $2"; broken=1; }

while IFS=: read -r file include; do
    header=${file#cli/}; header=${header#include/}
    folder=${header#crossdock/}; folder=${folder%%/*}
    target=${include:1}
    case "$include" in
    '"crossdock/version.hpp') ;;
    '"crossdock/'*)
        [[ $folder == crossdock.hpp ]] && continue
        seen=${target#crossdock/}; seen=${seen%%/*}
        [[ -n ${sees[$folder]+known} ]] || { complain "$file" "the folder '$folder' is on no floor"; continue; }
        [[ " $folder ${sees[$folder]} " == *" $seen "* ]] || complain "$file" "$folder must not include $target"
        ;;
    '"'*) complain "$file" "includes \"$target\"; quoted includes start with crossdock/" ;;
    *)
        party=${target%%/*}; party=${party%%.*}
        [[ -z ${edges[$party]+known} || $header =~ ^${edges[$party]} ]] || complain "$file" "$party is not for this place"
        ;;
    esac
done <<< "$includes"

# Of what std::filesystem asks the system, only calls that return their errors: others throw what no user of ours expects
# (container/path_kind.hpp).
while IFS=: read -r file line _; do
    complain "$file:$line" "may throw std::filesystem::filesystem_error; use container/path_kind.hpp, or take an error_code"
done < <(grep -rnE --include='*.hpp' 'filesystem::(exists|is_[a-z_]+|(file_|symlink_)?(size|status)|(weakly_)?canonical|absolute|relative|proximate|current_path|equivalent|(create|copy|last|read|resize|hard|temp)_[a-z_]+|copy|remove(_all)?|rename|space|permissions)\(|directory_(iterator|entry)' include cli/include | grep -vE '[(, ](error|failure|ignored)\)')

# What the umbrella includes is what we promise to users (docs/using-from-cpp.md, "What is public"). All other headers are
# internal, but for core/tensor_view.hpp, which is public and brings xtensor along, so that it is included by itself.
public=(
    version.hpp
    core/{digest,dtype,element_statistics,element_type,error,from_memory,recipe,shape,source,tensor,text,world,write_blocks}.hpp
    container/{files_world,json,json_text,output_path,staged_directory,tensor_dict,tensor_writer,transfer}.hpp
    container/{safetensors,sharded,torch}/{reader,writer}.hpp
    layout/*.hpp
    protocol/*.hpp
    family/{arrangement,config_table,defaults,family,header_json,layout,requirements,tensor_table}.hpp
    family/{hub/config,hub/layout,hub/rope,original/layout}.hpp
    plugin/{bert,deepseek,falcon,gemma,glm,gpt2,hf,llama,megatron,mistral,qwen,builtin}.hpp
    plugin/{any_loader,any_saver,concepts,options,plugin_list,saver_context,storage}.hpp
    plugin/family/{loader,saver}.hpp
    pipeline/{convert,digest,digest_list,inspect,progress,reports,send_model,statistics,verify}.hpp
)
umbrella=include/crossdock/crossdock.hpp
promised=$(
    sed '/^#include/,$d' $umbrella
    # shellcheck disable=SC2068
    (cd include/crossdock && ls -d ${public[@]}) | LC_ALL=C sort | sed 's|.*|#include "crossdock/&"|'
)
if [[ ${1-} == --update ]]; then
    printf '%s\n' "$promised" > $umbrella
else
    diff -u --label $umbrella --label "$umbrella, as its public headers are" $umbrella - <<< "$promised" || broken=1
fi

exit $broken
