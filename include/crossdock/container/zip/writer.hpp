// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "crossdock/container/little_endian.hpp"
#include "crossdock/container/output_file.hpp"
#include "crossdock/container/zip/crc32.hpp"
#include "crossdock/container/zip/format.hpp"
#include "crossdock/core/checked.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/text.hpp"

namespace crossdock::zip {

namespace detail {

/// The checksum of bytes that arrive in pieces and in any order. Neighbours join at once, so little is kept.
class PiecewiseCrc {
public:
    /// Throws Error when the piece overlaps one that came before.
    void add(std::uint64_t at, std::uint64_t bytes, std::uint32_t crc) {
        if (bytes == 0) return;
        const auto next = pieces_.lower_bound(at);
        if ((next != pieces_.end() && next->first < at + bytes) ||
            (next != pieces_.begin() && std::prev(next)->first + std::prev(next)->second.bytes > at))
            throw Error(to_text("bytes at ", at, " are written twice"));
        const auto piece = pieces_.emplace_hint(next, at, Piece{bytes, crc});
        join(piece);
        if (piece != pieces_.begin()) join(std::prev(piece));
    }

    /// Whether [0, bytes) has come, and nothing else.
    bool covers(std::uint64_t bytes) const {
        if (bytes == 0) return pieces_.empty();
        return pieces_.size() == 1 && pieces_.begin()->first == 0 && pieces_.begin()->second.bytes == bytes;
    }

    std::uint32_t value() const { return pieces_.empty() ? 0 : pieces_.begin()->second.crc; }

private:
    struct Piece {
        std::uint64_t bytes;
        std::uint32_t crc;
    };

    /// Joins a piece with the one after it if they touch.
    void join(std::map<std::uint64_t, Piece>::iterator piece) {
        const auto next = std::next(piece);
        if (next == pieces_.end() || piece->first + piece->second.bytes != next->first) return;
        piece->second.crc = combine_crc32(piece->second.crc, next->second.crc, next->second.bytes);
        piece->second.bytes += next->second.bytes;
        pieces_.erase(next);
    }

    std::map<std::uint64_t, Piece> pieces_;
};

}  // namespace detail

/// One entry being written: its bytes come in blocks, in any order and from any thread, each byte once.
class EntryWriter {
public:
    EntryWriter(std::shared_ptr<OutputFile> file, Entry entry, std::uint64_t offset)
        : file_(std::move(file)),
          entry_(std::move(entry)),
          offset_(offset) {}

    const OutputFile* file() const noexcept { return file_.get(); }
    std::uint64_t offset() const noexcept { return offset_; }  ///< of the payload in the file; a multiple of 64

    /// Puts `bytes` at `at` from the start of the entry. Throws Error when the disk refuses or a byte is written twice.
    void write(std::uint64_t at, std::span<const std::byte> bytes) {
        if (at > entry_.size || bytes.size() > entry_.size - at)
            throw Error(to_text(file_->name(), ": zip entry '", entry_.name, "' is given more than its ", entry_.size,
                                " bytes"));
        file_->write(offset_ + at, bytes);
        const std::uint32_t crc = crc32(bytes);
        const std::lock_guard lock(mutex_);
        in_context(to_text(file_->name(), ": zip entry '", entry_.name, "'"), [&] { crc_.add(at, bytes.size(), crc); });
    }

    /// The entry with its checksum. Throws Error when bytes are missing.
    Entry finished() const {
        const std::lock_guard lock(mutex_);
        if (!crc_.covers(entry_.size))
            throw Error(to_text(file_->name(), ": zip entry '", entry_.name, "' has not received all of its ",
                                entry_.size, " bytes"));
        Entry entry = entry_;
        entry.crc = crc_.value();
        return entry;
    }

private:
    std::shared_ptr<OutputFile> file_;
    Entry entry_;
    std::uint64_t offset_;
    mutable std::mutex mutex_;
    detail::PiecewiseCrc crc_;
};

/// Writes a zip of stored entries whose sizes are known beforehand: add() hands out aligned places, finish() writes the
/// headers, the directory, and flushes. Used from one thread; the entries are not bound to it.
class Writer {
public:
    /// Creates the file; throws Error when that fails or it exists.
    explicit Writer(const std::filesystem::path& path) : file_(std::make_shared<OutputFile>(path)) {}

    /// A zip that is a part of a file, from byte `begin` on.
    Writer(std::shared_ptr<OutputFile> file, std::uint64_t begin) : file_(std::move(file)), begin_(begin) {}

    const std::string& name() const noexcept { return file_->name(); }

    /// Throws Error when the name is taken or longer than a zip allows.
    std::shared_ptr<EntryWriter> add(std::string name, std::uint64_t size);

    /// Bytes of the whole zip with the entries that it has.
    std::uint64_t length() const;

    /// Writes the headers and the directory. All entries are complete by then; throws Error when one is not.
    void close();

    /// Closes, and returns when everything is on the disk.
    void finish() {
        close();
        file_->sync();
    }

private:
    static std::string sizes_extra(const Entry& entry);
    std::string local_header(const Entry& entry) const;
    static std::string central_header(const Entry& entry);
    static std::string end_of_directory(std::uint64_t offset, std::uint64_t bytes, std::uint64_t count);

    std::shared_ptr<OutputFile> file_;
    std::uint64_t begin_ = 0;  ///< of the zip in the file; entries count from here
    std::vector<std::shared_ptr<EntryWriter>> entries_;
    std::unordered_set<std::string> names_;
    std::uint64_t directory_bytes_ = 0;
    std::uint64_t end_ = 0;  ///< of what has been handed out
};

inline std::shared_ptr<EntryWriter> Writer::add(std::string name, std::uint64_t size) {
    if (name.size() > 0xFFFF)
        throw Error(to_text(this->name(), ": a zip entry's name of ", name.size(), " bytes is too long"));
    if (!names_.insert(name).second) throw Error(to_text(this->name(), ": zip entry '", name, "' is added twice"));
    const Entry entry{std::move(name), end_, size, size, 0, method_stored};
    const std::uint64_t offset = end_ + local_header(entry).size();
    end_ = checked_add(offset, size, "zip size");
    directory_bytes_ += central_header(entry).size();
    return entries_.emplace_back(
        std::make_shared<EntryWriter>(file_, entry, checked_add(begin_, offset, "zip offset")));
}

inline std::uint64_t Writer::length() const {
    return end_ + directory_bytes_ + end_of_directory(end_, directory_bytes_, entries_.size()).size();
}

inline void Writer::close() {
    std::string directory;
    for (const auto& writer : entries_) {
        const Entry entry = writer->finished();
        file_->write(begin_ + entry.header_offset, local_header(entry));
        directory += central_header(entry);
    }
    file_->write(begin_ + end_, directory + end_of_directory(end_, directory.size(), entries_.size()));
}

namespace detail {

inline std::uint32_t low_or_zip64(std::uint64_t number) {
    return number >= in_zip64_32 ? in_zip64_32 : static_cast<std::uint32_t>(number);
}

/// What local and central header have in common, from "version needed" to the sizes.
inline void append_common(std::string& out, const Entry& entry, bool zip64) {
    append_little<std::uint16_t>(out, zip64 ? 45 : 20);
    append_little(out, flag_utf8);
    append_little(out, method_stored);
    append_little<std::uint16_t>(out, 0);       // time
    append_little<std::uint16_t>(out, 0x0021);  // date: 1980-01-01, so that equal content gives equal files
    append_little(out, entry.crc);
    append_little(out, low_or_zip64(entry.packed_size));
    append_little(out, low_or_zip64(entry.size));
    append_little(out, static_cast<std::uint16_t>(entry.name.size()));
}

inline void append_extra(std::string& out, std::uint16_t id, std::string_view content) {
    append_little(out, id);
    append_little(out, static_cast<std::uint16_t>(content.size()));
    out += content;
}

}  // namespace detail

/// The 64-bit sizes, when one header field cannot hold them.
inline std::string Writer::sizes_extra(const Entry& entry) {
    std::string sizes;
    if (entry.size >= in_zip64_32) {
        append_little(sizes, entry.size);
        append_little(sizes, entry.packed_size);
    }
    return sizes;
}

/// Padded so that the payload's place in the file is a multiple of 64.
inline std::string Writer::local_header(const Entry& entry) const {
    std::string extra;
    if (const std::string sizes = sizes_extra(entry); !sizes.empty()) detail::append_extra(extra, zip64_extra, sizes);
    const std::uint64_t unpadded = begin_ + entry.header_offset + local_bytes + entry.name.size() + extra.size() + 4;
    const std::uint64_t padding = (payload_alignment - unpadded % payload_alignment) % payload_alignment;
    detail::append_extra(extra, padding_extra, std::string(padding, 'Z'));

    std::string out;
    append_little(out, local_signature);
    detail::append_common(out, entry, entry.size >= in_zip64_32);
    append_little(out, static_cast<std::uint16_t>(extra.size()));
    return out + entry.name + extra;
}

inline std::string Writer::central_header(const Entry& entry) {
    std::string numbers = sizes_extra(entry), extra;
    if (entry.header_offset >= in_zip64_32) append_little(numbers, entry.header_offset);
    if (!numbers.empty()) detail::append_extra(extra, zip64_extra, numbers);

    std::string out;
    append_little(out, central_signature);
    append_little<std::uint16_t>(out, 45);  // made by
    detail::append_common(out, entry, !numbers.empty());
    append_little(out, static_cast<std::uint16_t>(extra.size()));
    append_little<std::uint16_t>(out, 0);  // comment
    append_little<std::uint16_t>(out, 0);  // disk
    append_little<std::uint16_t>(out, 0);  // internal attributes
    append_little<std::uint32_t>(out, 0);  // external attributes
    append_little(out, detail::low_or_zip64(entry.header_offset));
    return out + entry.name + extra;
}

inline std::string Writer::end_of_directory(std::uint64_t offset, std::uint64_t bytes, std::uint64_t count) {
    std::string out;
    if (offset >= in_zip64_32 || bytes >= in_zip64_32 || count >= in_zip64_16) {
        append_little(out, zip64_end_signature);
        append_little<std::uint64_t>(out, zip64_end_bytes - 12);  // of what follows
        append_little<std::uint16_t>(out, 45);                    // made by
        append_little<std::uint16_t>(out, 45);                    // needed
        append_little<std::uint64_t>(out, 0);                     // disks
        append_little(out, count);
        append_little(out, count);
        append_little(out, bytes);
        append_little(out, offset);
        append_little(out, zip64_locator_signature);
        append_little<std::uint32_t>(out, 0);  // disk
        append_little(out, offset + bytes);
        append_little<std::uint32_t>(out, 1);  // disks
    }
    append_little(out, end_signature);
    append_little<std::uint32_t>(out, 0);  // disks
    const auto short_count = static_cast<std::uint16_t>(std::min<std::uint64_t>(count, in_zip64_16));
    append_little(out, short_count);
    append_little(out, short_count);
    append_little(out, detail::low_or_zip64(bytes));
    append_little(out, detail::low_or_zip64(offset));
    append_little<std::uint16_t>(out, 0);  // comment
    return out;
}

}  // namespace crossdock::zip
