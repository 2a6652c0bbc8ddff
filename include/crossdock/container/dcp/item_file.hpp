// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <system_error>
#include <utility>

#include "crossdock/container/dcp/metadata.hpp"
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

/// What is stored at a place in a file. Opening it asks for a dozen small pieces, so a small one is held in memory until
/// release().
class StoredItem final : public Source {
public:
    /// Throws Error when the file ends before, or cannot be read.
    StoredItem(std::shared_ptr<const Source> file, const Place& place)
        : part_(std::move(file), place.offset, place.length) {
        constexpr std::uint64_t most_held = std::uint64_t{1} << 18;
        if (part_.size() > most_held) return;
        const auto bytes = static_cast<std::size_t>(part_.size());
        held_ = std::make_unique_for_overwrite<std::byte[]>(bytes);
        part_.read(0, std::span(held_.get(), bytes));
    }

    /// Whatever is read from now on comes from the file. To be called while nobody reads.
    void release() { held_.reset(); }

    using Source::read;
    const std::string& name() const noexcept override { return part_.name(); }
    std::uint64_t size() const noexcept override { return part_.size(); }
    bool keeps_memory() const noexcept override { return part_.keeps_memory(); }

    void read(std::uint64_t offset, std::span<iovec> buffers) const override {
        if (!held_) return part_.read(offset, buffers);
        for (const iovec& buffer : buffers) {
            if (buffer.iov_len > 0) std::memcpy(buffer.iov_base, held_.get() + offset, buffer.iov_len);
            offset += buffer.iov_len;
        }
    }

private:
    PartSource part_;
    std::unique_ptr<std::byte[]> held_;
};

}  // namespace crossdock::dcp
