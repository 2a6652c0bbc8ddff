// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "crossdock/core/tensor.hpp"

namespace crossdock::test {

/// All weights below a directory by file and name. Files of a Hugging Face directory count as one; the iteration's
/// directory is left out of the file's name, so that release and iter_0000001 compare.
std::map<std::string, Tensor> read_checkpoint(const std::filesystem::path& directory);

/// What tells two checkpoints apart, a line each; empty when they are the same bit for bit.
std::vector<std::string> differences(const std::filesystem::path& expected, const std::filesystem::path& found);

}  // namespace crossdock::test
