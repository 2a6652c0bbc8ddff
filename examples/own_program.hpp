// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <crossdock/cli/run.hpp>
#include <crossdock/crossdock.hpp>
#include <filesystem>
#include <string>
#include <vector>

/// Runs `crossdock WORDS…` with plugins of one's own. A real main() is one line: run<Loaders, Savers>(argc, argv).
template <class Loaders, class Savers>
int run_words(const std::vector<std::string>& words) {
    std::vector<const char*> arguments{"crossdock"};
    for (const std::string& word : words) arguments.push_back(word.c_str());
    return crossdock::cli::run<Loaders, Savers>(static_cast<int>(arguments.size()), arguments.data());
}
