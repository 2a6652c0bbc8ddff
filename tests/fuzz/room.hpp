// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>

#include "inputs.hpp"

namespace crossdock::test {

/// A folder of its own for a process, in memory where that can be.
class Room {
public:
    Room() {
        const std::filesystem::path memory = "/dev/shm";
        const bool has_memory = ::access(memory.c_str(), W_OK) == 0;
        const auto root = has_memory ? memory : std::filesystem::temp_directory_path();
        std::string name = (root / "crossdock-fuzz-XXXXXX").string();
        if (!::mkdtemp(name.data())) fail("there is no room for folders");
        path_ = name;
    }
    Room(const Room&) = delete;
    Room& operator=(const Room&) = delete;
    ~Room() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }

    const std::filesystem::path& path() const { return path_; }

private:
    std::filesystem::path path_;
};

}  // namespace crossdock::test
