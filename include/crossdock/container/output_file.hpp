// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "crossdock/container/gathered_writes.hpp"
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
///
/// A file that an earlier run has begun, of a target that is continued, is opened as it is: what stands in it already is
/// not written again, and what stands behind its end is cut off by sync(). A planned file is never opened.
class OutputFile {
public:
    explicit OutputFile(const OutputPath& path)
        : name_(path.string()),
          world_(path.world()),
          first_region_(path.first_region()),
          planned_(path.planned()),
          access_(path.access()),
          is_continued_(path.is_continued()) {
        if (planned_)
            plan(0);
        else if (!world_.is_shared())
            open();
    }
    OutputFile(const OutputFile&) = delete;
    OutputFile& operator=(const OutputFile&) = delete;
    ~OutputFile() {
        if (file_ >= 0) ::close(file_);
    }

    /// While it lives, what the calling thread writes to any file is put off: whoever has the pieces writes them, with
    /// write_pieces(). What cannot be put off is written at once.
    class PuttingOff {
    public:
        explicit PuttingOff(GatheredWrites& pieces) noexcept { current = &pieces; }
        PuttingOff(const PuttingOff&) = delete;
        PuttingOff& operator=(const PuttingOff&) = delete;
        ~PuttingOff() { current = nullptr; }

    private:
        friend class OutputFile;

        static inline thread_local GatheredWrites* current = nullptr;
    };

    const std::string& name() const noexcept { return name_; }
    World& world() const noexcept { return world_; }

    bool is_planned() const noexcept { return planned_ != nullptr; }
    /// The file is to reach to `end` at least.
    void plan(std::uint64_t end) const {
        if (planned_) planned_->extend(name_, end);
    }

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

    /// Writes pieces of this file that were put off, in the order in which they lie in it.
    void write_pieces(std::span<const GatheredWrites::Piece> pieces) {
        for_each_touching(pieces, max_piece, [this](std::uint64_t offset, std::span<const iovec> buffers) {
            std::size_t done = is_continued_ ? 0 : write_at_once(offset, buffers);
            for (const iovec& buffer : buffers) {
                const std::size_t skipped = std::min(done, buffer.iov_len);
                const std::span bytes(static_cast<const std::byte*>(buffer.iov_base), buffer.iov_len);
                if (skipped < bytes.size()) write_now(offset + skipped, bytes.subspan(skipped));
                done -= skipped;
                offset += bytes.size();
            }
        });
    }

    /// Reads what stands at `offset` of a file that is continued; false where there is not so much.
    bool read_back(std::uint64_t offset, std::span<std::byte> out) const {
        while (!out.empty()) {
            const ssize_t got = ::pread(file_, out.data(), out.size(), static_cast<off_t>(offset));
            if (got < 0 && errno == EINTR) continue;
            if (got <= 0) return false;
            offset += static_cast<std::uint64_t>(got);
            out = out.subspan(static_cast<std::size_t>(got));
        }
        return true;
    }

    /// Returns when the bytes that this rank wrote are on the disk.
    void sync() {
        if (file_ < 0) return;
        if (is_continued_ && detail::uninterrupted([&] { return ::ftruncate(file_, static_cast<off_t>(end_)); }) != 0)
            throw Error(to_text(name_, ": cannot be cut to ", end_.load(), " bytes: ", std::strerror(errno)));
        if (detail::uninterrupted([&] { return ::fsync(file_); }) != 0)
            throw Error(to_text(name_, ": cannot be flushed: ", std::strerror(errno)));
    }

private:
    /// Ranks do not wait for one of them to have made the file.
    void open_if_shared() {
        if (world_.is_shared()) opened_.run([this] { open(); });
    }

    void open() {
        const int kind = is_continued_ ? O_RDWR | O_NOFOLLOW : world_.is_shared() ? O_WRONLY : O_WRONLY | O_EXCL;
        const mode_t mode = (access_ & 0666) | S_IRUSR | S_IWUSR;
        file_ = detail::uninterrupted([&] { return ::open(name_.c_str(), kind | O_CREAT | O_CLOEXEC, mode); });
        if (file_ < 0) throw Error(to_text(name_, ": cannot be created: ", std::strerror(errno)));
    }

    void write_own(std::uint64_t offset, std::span<const std::byte> bytes) {
        if (planned_) return plan(offset + bytes.size());
        GatheredWrites* const pieces = PuttingOff::current;
        if (!pieces || !pieces->add(*this, offset, bytes)) write_now(offset, bytes);
    }

    /// Returns how many of the bytes were written, at least one; those that were not are left to write_now().
    std::size_t write_at_once(std::uint64_t offset, std::span<const iovec> buffers) {
        open_if_shared();
        const std::size_t done = written([&] {
            return ::pwritev(file_, buffers.data(), static_cast<int>(buffers.size()), static_cast<off_t>(offset));
        });
        reach(offset + done);
        start_writeback(offset, offset + done);
        return done;
    }

    void write_now(std::uint64_t offset, std::span<const std::byte> bytes) {
        open_if_shared();
        const std::uint64_t begin = offset;
        while (!bytes.empty()) {
            const std::size_t piece = std::min(bytes.size(), max_piece);
            const std::size_t done =
                is_continued_ && stands(offset, bytes.first(piece)) ? piece : write_some(offset, bytes.first(piece));
            offset += done;
            bytes = bytes.subspan(done);
        }
        reach(offset);
        start_writeback(begin, offset);
    }

    /// Returns how many of the bytes were written, at least one.
    std::size_t write_some(std::uint64_t offset, std::span<const std::byte> bytes) const {
        return written([&] { return ::pwrite(file_, bytes.data(), bytes.size(), static_cast<off_t>(offset)); });
    }

    template <class Write>
    std::size_t written(Write&& write) const {
        for (;;) {
            const ssize_t done = write();
            if (done > 0) return static_cast<std::size_t>(done);
            if (done < 0 && errno == EINTR) continue;
            throw Error(to_text(name_, ": cannot be written: ", std::strerror(done < 0 ? errno : ENOSPC)));
        }
    }

    /// Whether the file has these bytes there.
    bool stands(std::uint64_t offset, std::span<const std::byte> bytes) const {
        thread_local const auto memory = std::make_unique<std::byte[]>(max_piece);
        const std::span<std::byte> there(memory.get(), bytes.size());
        return read_back(offset, there) && std::memcmp(there.data(), bytes.data(), bytes.size()) == 0;
    }

    void reach(std::uint64_t end) {
        std::uint64_t before = end_;
        while (before < end && !end_.compare_exchange_weak(before, end)) {
        }
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
    PlannedFiles* planned_;
    mode_t access_;
    bool is_continued_;
    Once opened_;
    int file_ = -1;
    std::atomic<std::uint64_t> end_ = 0;  ///< of what was written
};

}  // namespace crossdock
