// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <system_error>

#include "crossdock/core/error.hpp"
#include "crossdock/core/once.hpp"
#include "crossdock/core/source.hpp"
#include "crossdock/core/text.hpp"

namespace crossdock::dcp {

/// A .distcp file, which is opened when it is first read: there may be thousands, and few are read when a checkpoint is
/// only looked at.
class ItemFile final : public Source {
public:
    /// Looks at the file's size. Throws Error when that fails.
    explicit ItemFile(const std::filesystem::path& path) : name_(path.string()) {
        std::error_code error;
        size_ = std::filesystem::file_size(path, error);
        if (error) throw Error(to_text(name_, ": cannot be read: ", error.message()));
    }

    using Source::read;
    const std::string& name() const noexcept override { return name_; }
    std::uint64_t size() const noexcept override { return size_; }
    bool keeps_memory() const noexcept override { return false; }

    void read(std::uint64_t offset, std::span<iovec> buffers) const override {
        once_.run([this] { file_.emplace(name_); });
        file_->read(offset, buffers);
    }

private:
    std::string name_;
    std::uint64_t size_ = 0;
    mutable Once once_;
    mutable std::optional<FileSource> file_;
};

}  // namespace crossdock::dcp
