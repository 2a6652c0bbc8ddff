// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "crossdock/core/error.hpp"
#include "crossdock/core/text.hpp"

namespace crossdock {

namespace detail {

/// Repeats a system call while signals interrupt it, which may happen anywhere on network file systems.
template <class Call>
int uninterrupted(Call&& call) {
    int result = 0;
    do result = call();
    while (result < 0 && errno == EINTR);
    return result;
}

}  // namespace detail

/// Bytes that tensors are made of: a file, or memory. Tensors share ownership of their sources. All functions may be
/// called from several threads at once; name() and size() never change.
class Source {
public:
    virtual ~Source() = default;

    /// What errors call it: the file's path.
    virtual const std::string& name() const noexcept = 0;
    /// In bytes.
    virtual std::uint64_t size() const noexcept = 0;

    /// Whether it keeps its bytes in memory for as long as a tensor is made of it. Few such tensors wait to be moved at
    /// a time; any number of others may.
    virtual bool keeps_memory() const noexcept { return true; }

    /// Fills the buffers, one after the other, with the bytes from `offset` on; may change the buffers' descriptions.
    /// The caller has checked that the range lies inside size(). Throws Error when the bytes cannot be read.
    virtual void read(std::uint64_t offset, std::span<iovec> buffers) const = 0;

    /// Fills one buffer with the bytes from `offset` on. Throws Error when the range is not inside the source, or when
    /// the bytes cannot be read.
    void read(std::uint64_t offset, std::span<std::byte> out) const {
        if (offset > size() || out.size() > size() - offset)
            throw Error(to_text(name(), ": ", out.size(), " bytes at offset ", offset, " are asked for, it holds ",
                                size(), "; it is probably truncated"));
        iovec buffer{out.data(), out.size()};
        read(offset, std::span(&buffer, 1));
    }
};

/// A file, open as long as the object lives. It is read with preadv: unlike with a memory map, a file that shrinks is
/// an Error and never a signal, and its pages do not count as this process's memory. A file that is changed after it
/// was opened is an Error, too, of the next read.
class FileSource final : public Source {
public:
    /// Opens the file; throws Error when it cannot be read or is not a regular file.
    explicit FileSource(const std::filesystem::path& path) : name_(path.string()) {
        // Without O_NONBLOCK, opening a named pipe would wait for its writer; it makes no difference to regular files.
        file_ = detail::uninterrupted([&] { return ::open(name_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK); });
        if (file_ < 0) throw Error(to_text(name_, ": cannot be opened: ", std::strerror(errno)));
        struct stat status {};
        if (::fstat(file_, &status) != 0 || !S_ISREG(status.st_mode)) {
            ::close(file_);
            throw Error(to_text(name_, ": is not a regular file"));
        }
        size_ = static_cast<std::uint64_t>(status.st_size);
        changed_ = status.st_mtim;
    }
    FileSource(const FileSource&) = delete;
    FileSource& operator=(const FileSource&) = delete;
    ~FileSource() override { ::close(file_); }

    using Source::read;
    const std::string& name() const noexcept override { return name_; }
    std::uint64_t size() const noexcept override { return size_; }
    bool keeps_memory() const noexcept override { return false; }

    void read(std::uint64_t offset, std::span<iovec> buffers) const override {
        while (!buffers.empty()) {
            const int count = static_cast<int>(std::min<std::size_t>(buffers.size(), IOV_MAX));
            const ssize_t got = ::preadv(file_, buffers.data(), count, static_cast<off_t>(offset));
            if (got < 0 && errno == EINTR) continue;
            if (got < 0) throw Error(to_text(name_, ": cannot be read at offset ", offset, ": ", std::strerror(errno)));
            if (got == 0 && buffers.front().iov_len > 0)
                throw Error(to_text(name_, ": ends at offset ", offset, ", it held ", size_,
                                    " bytes when it was opened; it shrank while it was being read"));
            offset += static_cast<std::uint64_t>(got);
            buffers = advance(buffers, static_cast<std::size_t>(got));
        }
        require_unchanged();
    }

private:
    /// After each read, so that what was read is of one version of the file.
    void require_unchanged() const {
        struct stat status {};
        if (::fstat(file_, &status) != 0)
            throw Error(to_text(name_, ": cannot be looked at any more: ", std::strerror(errno)));
        if (static_cast<std::uint64_t>(status.st_size) != size_ || status.st_mtim.tv_sec != changed_.tv_sec ||
            status.st_mtim.tv_nsec != changed_.tv_nsec)
            throw Error(
                to_text(name_, ": was changed while it was being read; convert it again when nobody writes it"));
    }

    static std::span<iovec> advance(std::span<iovec> buffers, std::size_t bytes) {
        while (!buffers.empty() && bytes >= buffers.front().iov_len) {
            bytes -= buffers.front().iov_len;
            buffers = buffers.subspan(1);
        }
        if (bytes > 0) {
            buffers.front().iov_base = static_cast<std::byte*>(buffers.front().iov_base) + bytes;
            buffers.front().iov_len -= bytes;
        }
        return buffers;
    }

    std::string name_;
    int file_ = -1;
    std::uint64_t size_ = 0;
    timespec changed_{};  // when it was last, as of its opening
};

/// The bytes [offset, offset + size) of another source: a file inside a file.
class PartSource final : public Source {
public:
    /// Throws Error when the other source ends before them.
    PartSource(std::shared_ptr<const Source> whole, std::uint64_t offset, std::uint64_t size)
        : name_(to_text(whole->name(), " from byte ", offset, " on")),
          whole_(std::move(whole)),
          offset_(offset),
          size_(size) {
        if (offset > whole_->size() || size > whole_->size() - offset)
            throw Error(to_text(whole_->name(), ": ", size, " bytes at offset ", offset, " are asked for, it holds ",
                                whole_->size(), "; it is probably truncated"));
    }

    using Source::read;
    const std::string& name() const noexcept override { return name_; }
    std::uint64_t size() const noexcept override { return size_; }
    bool keeps_memory() const noexcept override { return whole_->keeps_memory(); }

    void read(std::uint64_t offset, std::span<iovec> buffers) const override {
        whole_->read(offset_ + offset, buffers);
    }

private:
    std::string name_;
    std::shared_ptr<const Source> whole_;
    std::uint64_t offset_, size_;
};

/// Bytes in memory, which must not change while a tensor is made of them. from_memory.hpp makes tensors of them in one
/// call.
class MemorySource final : public Source {
public:
    /// `owner` keeps the bytes alive; when it is null, the caller does.
    MemorySource(std::span<const std::byte> bytes, std::shared_ptr<const void> owner)
        : bytes_(bytes),
          owner_(std::move(owner)) {}

    using Source::read;
    const std::string& name() const noexcept override { return name_; }
    std::uint64_t size() const noexcept override { return bytes_.size(); }
    bool keeps_memory() const noexcept override { return owner_ != nullptr; }

    void read(std::uint64_t offset, std::span<iovec> buffers) const override {
        for (const iovec& buffer : buffers) {
            if (buffer.iov_len == 0) continue;
            std::memcpy(buffer.iov_base, bytes_.data() + offset, buffer.iov_len);
            offset += buffer.iov_len;
        }
    }

private:
    std::string name_ = "memory";
    std::span<const std::byte> bytes_;
    std::shared_ptr<const void> owner_;
};

}  // namespace crossdock
