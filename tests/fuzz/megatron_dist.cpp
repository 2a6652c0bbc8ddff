// SPDX-License-Identifier: Apache-2.0
// Converts whole Megatron-Core's distributed folders (torch_dist), of which one file is anything (folders.hpp).
//
//   tests/fuzz/run.sh builds and runs it.

#include "folders.hpp"

const std::vector<std::string_view> crossdock::test::folders{"megatron-dist"};
