// SPDX-License-Identifier: Apache-2.0
// Converts whole Megatron's folders, in rank files, of which one file is anything (folders.hpp).
//
//   tests/fuzz/run.sh builds and runs it.

#include "folders.hpp"

const std::vector<std::string_view> crossdock::test::folders{"megatron-core", "megatron-llm", "megatron-lm"};
