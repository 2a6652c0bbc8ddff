// SPDX-License-Identifier: Apache-2.0
// Converts whole Hugging Face folders of each family, of which one file is anything (folders.hpp).
//
//   tests/fuzz/run.sh builds and runs it.

#include "folders.hpp"

const std::vector<std::string_view> crossdock::test::folders{"hf"};
