// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <unistd.h>

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <ios>
#include <span>
#include <stdexcept>
#include <string>
#include <system_error>

namespace crossdock::test {

/// A file with the given bytes; gone with the object.
class TemporaryFile {
public:
    explicit TemporaryFile(std::span<const std::byte> bytes) {
        std::string name = (std::filesystem::temp_directory_path() / "crossdock-test-XXXXXX").string();
        const int file = ::mkstemp(name.data());
        if (file < 0) throw std::runtime_error("no temporary file: " + name);
        ::close(file);
        path_ = name;
        std::ofstream out(path_, std::ios::binary);
        out.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
        if (!out.flush()) throw std::runtime_error("cannot write " + name);
    }
    TemporaryFile(const TemporaryFile&) = delete;
    TemporaryFile& operator=(const TemporaryFile&) = delete;
    ~TemporaryFile() {
        std::error_code ignored;
        std::filesystem::remove(path_, ignored);
    }

    const std::filesystem::path& path() const noexcept { return path_; }
    std::string name() const { return path_.string(); }

    /// Cuts the file, or lengthens it with zeros.
    void resize(std::size_t bytes) const { std::filesystem::resize_file(path_, bytes); }

private:
    std::filesystem::path path_;
};

}  // namespace crossdock::test
