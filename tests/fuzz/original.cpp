// SPDX-License-Identifier: Apache-2.0
// Converts whole folders in the layouts of Meta and Mistral AI, of which one file is anything (folders.hpp).
//
//   tests/fuzz/run.sh builds and runs it.

#include "folders.hpp"

const std::vector<std::string_view> crossdock::test::folders{"meta"};
