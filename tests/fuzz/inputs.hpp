// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

// What the fuzz programs share that change one file of a folder.

namespace crossdock::test {

/// Ends the program, which the fuzzer takes for a finding.
[[noreturn]] inline void fail(std::string_view what) {
    std::fprintf(stderr, "%.*s\n", static_cast<int>(what.size()), what.data());
    std::abort();
}

inline std::string read_all(const std::filesystem::path& file) {
    std::ifstream in(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

inline void write_all(const std::filesystem::path& file, std::string_view content) {
    std::ofstream out(file, std::ios::binary);
    out.write(content.data(), static_cast<std::streamsize>(content.size()));
    if (!out.flush()) fail("no input can be written");
}

/// Where the program is called with --seeds=DIRECTORY alone: writes the seeds there and ends it.
inline void write_seeds_if_asked(int count, char** arguments, void (*write_seeds)(const std::filesystem::path&)) {
    constexpr std::string_view option = "--seeds=";
    if (count != 2 || !std::string_view(arguments[1]).starts_with(option)) return;
    write_seeds(arguments[1] + option.size());
    std::exit(0);
}

}  // namespace crossdock::test
