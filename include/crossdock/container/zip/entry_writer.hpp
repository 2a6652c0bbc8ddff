// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/container/output_file.hpp"
#include "crossdock/container/zip/crc32.hpp"
#include "crossdock/container/zip/entry_headers.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/name_table.hpp"
#include "crossdock/core/text.hpp"

namespace crossdock::zip {

/// What has come of an entry's bytes. A checksum is linear, so the pieces need not wait for each other: what several
/// threads or processes have received of one entry adds up, the bytes by + and the checksums by XOR.
struct Received {
    std::atomic<std::uint64_t> bytes = 0;
    std::atomic<std::uint32_t> crc = 0;  ///< the XOR of crc32_share() of the pieces
    bool is_whole = false;               ///< every rank receives all of it
};

/// The entries of a zip that is being written. Those that are there stay where they are when others are added. Most are
/// numbered: the storages of a checkpoint, of which there may be a million. The others have names of their own.
struct PendingEntries {
    struct Line {
        Line(std::uint64_t offset, std::uint64_t bytes) : header_offset(offset), size(bytes) {}

        std::uint64_t header_offset, size;
        Received received{};
        bool has_header = false;  ///< in the file
    };
    /// A name, or a number; valid while entries are added.
    struct Label {
        std::optional<std::string_view> name;
        std::uint64_t number = 0;
    };

    std::shared_ptr<OutputFile> file;
    std::string stem{};                ///< what stands in front of numbers; never changes
    std::deque<Line> lines{};          ///< one for each entry
    NameTable names{};                 ///< of those that are not numbered
    std::vector<std::size_t> named{};  ///< their lines, which rise

    Label label(std::size_t line) const {
        const auto next = std::lower_bound(named.begin(), named.end(), line);
        const auto before = static_cast<std::size_t>(next - named.begin());
        if (next != named.end() && *next == line) return {names[before]};
        return {{}, line - before};
    }
    std::string name(const Label& label) const {
        return label.name ? std::string(*label.name) : to_text(stem, label.number);
    }
    std::string name(std::size_t line) const { return name(label(line)); }
    detail::Described described(std::size_t line) const { return described(lines[line], label(line)); }
    detail::Described described(const Line& line, const Label& label) const {
        return {name(label), line.header_offset, line.size, line.received.crc};
    }
};

/// One entry being written: its bytes come in blocks, in any order and from any thread, each byte once. Copies write
/// the same entry, and keep the file open.
class EntryWriter {
public:
    /// The last entry, whose payload begins at `offset` of the file.
    EntryWriter(std::shared_ptr<PendingEntries> entries, std::uint64_t offset)
        : entries_(std::move(entries)),
          line_(&entries_->lines.back()),
          label_(entries_->label(entries_->lines.size() - 1)),
          offset_(offset) {}

    const OutputFile* file() const noexcept { return entries_->file.get(); }
    std::uint64_t offset() const noexcept { return offset_; }  ///< of the payload in the file; a multiple of 64

    /// Puts `bytes` at `at` from the start of the entry. Throws Error when the disk refuses, or when there are more than
    /// the entry has: a byte that is written twice is noticed by their number.
    void write(std::uint64_t at, std::span<const std::byte> bytes) const {
        if (at > line_->size || bytes.size() > line_->size - at) refuse("is given more than");
        if (line_->received.is_whole) {
            entries_->file->write(offset_ + at, bytes);
            return receive(at, bytes);
        }
        if (bytes.size() == line_->size && !entries_->file->world().is_shared()) return write_whole(bytes);
        entries_->file->for_each_own(offset_ + at, bytes, [&](std::uint64_t place, std::span<const std::byte> piece) {
            entries_->file->write(place, piece);
            receive(place - offset_, piece);
        });
    }

    /// What has come here; of an entry that the ranks of a world share, what this one has received.
    Received& received() const noexcept { return line_->received; }
    /// Every rank is given all bytes, or knows what all have received: it need not be told.
    void mark_whole() const noexcept { line_->received.is_whole = true; }

private:
    /// With its header in front, so that one call may do for many small entries.
    void write_whole(std::span<const std::byte> bytes) const {
        receive(0, bytes);
        std::string header;
        detail::append_local_header(header, entries_->described(*line_, label_));
        entries_->file->write(offset_ - header.size(), header);
        line_->has_header = true;
        entries_->file->write(offset_, bytes);
    }

    void receive(std::uint64_t at, std::span<const std::byte> bytes) const {
        line_->received.crc ^= crc32_share(crc32(bytes), line_->size - at - bytes.size());
        const std::uint64_t before = line_->received.bytes.fetch_add(bytes.size());
        if (before > line_->size - bytes.size()) refuse("is written twice: it has received more than");
    }

    [[noreturn, gnu::cold]] void refuse(std::string_view what) const {
        throw Error(to_text(entries_->file->name(), ": zip entry '", entries_->name(label_), "' ", what, " its ",
                            line_->size, " bytes"));
    }

    std::shared_ptr<PendingEntries> entries_;
    PendingEntries::Line* line_;
    PendingEntries::Label label_;
    std::uint64_t offset_;
};

}  // namespace crossdock::zip
