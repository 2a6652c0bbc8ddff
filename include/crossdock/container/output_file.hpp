// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <string>
#include <string_view>

#include "crossdock/container/output_path.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/once.hpp"
#include "crossdock/core/source.hpp"
#include "crossdock/core/text.hpp"
#include "crossdock/core/world.hpp"

namespace crossdock {

/// A new file, written at any position from any thread. Throws Error where the disk refuses.
///
/// The ranks of a world all write the same file, each of them only the regions that are its own: what goes elsewhere
/// is left out without a word, since the rank that it belongs to is given it, too. A rank that has no region opens no
/// file.
class OutputFile {
public:
    explicit OutputFile(const OutputPath& path)
        : name_(path.string()),
          world_(path.world()),
          first_region_(path.first_region()) {
        if (!world_.is_shared()) open();
    }
    OutputFile(const OutputFile&) = delete;
    OutputFile& operator=(const OutputFile&) = delete;
    ~OutputFile() {
        if (file_ >= 0) ::close(file_);
    }

    const std::string& name() const noexcept { return name_; }
    World& world() const noexcept { return world_; }

    /// Some bytes that lie in one region.
    struct Extent {
        std::uint64_t bytes;
        bool is_own;
    };

    /// What lies from `offset` to the end of its region, or all that may be asked for where there is one rank.
    Extent extent(std::uint64_t offset) const {
        if (!world_.is_shared()) return {std::numeric_limits<std::uint64_t>::max() - offset, true};
        const std::uint64_t region = world_.region_bytes();
        return {region - offset % region, world_.owns(first_region_ + offset / region)};
    }

    /// Calls use(offset, piece) for the parts of `bytes`, which go to `offset`, that are this rank's.
    template <class Use>
    void for_each_own(std::uint64_t offset, std::span<const std::byte> bytes, Use&& use) const {
        while (!bytes.empty()) {
            const Extent next = extent(offset);
            const auto piece = bytes.first(static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), next.bytes)));
            if (next.is_own) use(offset, piece);
            offset += piece.size();
            bytes = bytes.subspan(piece.size());
        }
    }

    /// Returns how many of the bytes were this rank's.
    std::uint64_t write(std::uint64_t offset, std::span<const std::byte> bytes) {
        std::uint64_t written = 0;
        for_each_own(offset, bytes, [&](std::uint64_t at, std::span<const std::byte> piece) {
            write_own(at, piece);
            written += piece.size();
        });
        return written;
    }

    std::uint64_t write(std::uint64_t offset, std::string_view bytes) {
        return write(offset, std::as_bytes(std::span(bytes)));
    }

    /// Returns when the bytes that this rank wrote are on the disk.
    void sync() {
        if (file_ < 0) return;
        if (detail::uninterrupted([&] { return ::fsync(file_); }) != 0)
            throw Error(to_text(name_, ": cannot be flushed: ", std::strerror(errno)));
    }

private:
    /// Ranks do not wait for one of them to have made the file.
    void open() {
        const int exclusive = world_.is_shared() ? 0 : O_EXCL;
        file_ = detail::uninterrupted(
            [&] { return ::open(name_.c_str(), O_WRONLY | O_CREAT | exclusive | O_CLOEXEC, 0666); });
        if (file_ < 0) throw Error(to_text(name_, ": cannot be created: ", std::strerror(errno)));
    }

    void write_own(std::uint64_t offset, std::span<const std::byte> bytes) {
        if (world_.is_shared()) opened_.run([this] { open(); });
        const std::uint64_t begin = offset;
        while (!bytes.empty()) {
            const std::size_t piece = std::min(bytes.size(), max_piece);
            const ssize_t done = ::pwrite(file_, bytes.data(), piece, static_cast<off_t>(offset));
            if (done < 0 && errno == EINTR) continue;
            if (done < 0) throw Error(to_text(name_, ": cannot be written: ", std::strerror(errno)));
            offset += static_cast<std::uint64_t>(done);
            bytes = bytes.subspan(static_cast<std::size_t>(done));
        }
        start_writeback(begin, offset);
    }

    /// The kernel caches a large write in large pages, and these are what a virtual machine has handed back to its host
    /// and must get again. Measured on ext4 with 1 GB in one file: 0.44 s, against 1.3 s in pieces of 1 MiB.
    static constexpr std::size_t max_piece = std::size_t{256} << 10;

    /// Lets the disk begin now what sync() waits for, whenever a few MiB have come together. Measured on ext4 with 1 GB
    /// in eight files: 0.71 s, against 0.96 s without, and 0.82 s and a third more CPU time when told after every
    /// write. A hint: a file system may not know it.
    void start_writeback([[maybe_unused]] std::uint64_t begin, [[maybe_unused]] std::uint64_t end) const {
#ifdef SYNC_FILE_RANGE_WRITE
        constexpr std::uint64_t window = std::uint64_t{8} << 20;
        begin -= begin % window;
        end -= end % window;
        if (end > begin)
            ::sync_file_range(file_, static_cast<off_t>(begin), static_cast<off_t>(end - begin), SYNC_FILE_RANGE_WRITE);
#endif
    }

    std::string name_;
    World& world_;
    std::uint64_t first_region_;
    Once opened_;
    int file_ = -1;
};

}  // namespace crossdock
