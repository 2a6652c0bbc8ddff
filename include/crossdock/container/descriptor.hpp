// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <string_view>
#include <utility>

#include "crossdock/core/error.hpp"
#include "crossdock/core/text.hpp"

namespace crossdock::detail {

/// A file descriptor that is closed with its owner.
class Descriptor {
public:
    explicit Descriptor(int file = -1) noexcept : file_(file) {}
    Descriptor(Descriptor&& other) noexcept : file_(std::exchange(other.file_, -1)) {}
    Descriptor& operator=(Descriptor&& other) noexcept {
        std::swap(file_, other.file_);
        return *this;
    }
    ~Descriptor() {
        if (file_ >= 0) ::close(file_);
    }

    int get() const noexcept { return file_; }

private:
    int file_;
};

inline Error file_error(const std::filesystem::path& path, std::string_view problem, int reason) {
    return Error(to_text(path.string(), ": ", problem, ": ", std::string_view(std::strerror(reason))));
}

}  // namespace crossdock::detail
