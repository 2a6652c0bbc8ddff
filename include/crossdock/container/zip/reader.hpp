// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <libdeflate.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/container/little_endian.hpp"
#include "crossdock/container/zip/crc32.hpp"
#include "crossdock/container/zip/format.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/name_index.hpp"
#include "crossdock/core/source.hpp"
#include "crossdock/core/text.hpp"

namespace crossdock::zip {

/// The directory of a zip file. Reads nothing but the directory until an entry is asked for; what it says of an entry
/// is checked against the file. Throws Error on archives that are damaged, encrypted or spread over several disks.
class Reader {
public:
    explicit Reader(std::shared_ptr<const Source> source);
    Reader(const Reader&) = delete;
    Reader& operator=(const Reader&) = delete;

    /// In directory order; names are different from each other, and valid as long as the reader.
    const std::vector<Entry>& entries() const noexcept { return entries_; }

    /// Null when there is no such entry.
    const Entry* find(std::string_view name) const;

    /// Where the bytes of a stored entry begin in the source; [offset, offset + size) lies inside. Throws Error when
    /// the entry is compressed or its local header contradicts the directory.
    std::uint64_t payload_offset(const Entry& entry) const;

    /// The same without a look at the local header, of one of entries(): where it begins if that header is padded as
    /// PyTorch pads it, which the place of the next entry bears out. Nothing where it does not. Whoever reads the bytes
    /// has to compare the header then.
    std::optional<std::uint64_t> padded_offset(const Entry& entry) const;

    /// The unpacked bytes of a stored or deflated entry. Throws Error when they are more than `limit`, or when a
    /// checksum is given and differs (PyTorch may leave it out and writes zero).
    std::vector<std::byte> read(const Entry& entry, std::uint64_t limit) const;

    /// The same bytes as a source; those of a stored entry stay in the file. Throws Error as read() does.
    std::shared_ptr<const Source> open(const Entry& entry, std::uint64_t limit) const;

private:
    struct Names {
        const std::vector<Entry>& entries;

        std::string_view operator[](std::size_t number) const noexcept { return entries[number].name; }
    };

    struct Directory {
        std::uint64_t offset, bytes, count;
    };

    [[noreturn]] void fail(const std::string& what) const { throw Error(to_text(source_->name(), ": ", what)); }
    [[noreturn]] void fail(const Entry& entry, const std::string& what) const {
        fail(to_text("zip entry '", entry.name, "' ", what));
    }
    std::vector<std::byte> bytes_at(std::uint64_t offset, std::uint64_t count) const;
    Directory find_directory() const;
    Directory parse_end(const std::byte* end, std::uint64_t offset) const;
    std::optional<Directory> find_zip64(std::uint64_t end_offset) const;
    void check(const Directory& directory, std::uint64_t end_offset) const;
    void parse_directory(const Directory& directory);
    std::size_t parse_entry(std::span<const std::byte> rest, Directory directory);
    void apply_zip64(Entry& entry, std::span<const std::byte> extra) const;
    void check(const Entry& entry, const Directory& directory) const;
    std::uint64_t packed_offset(const Entry& entry) const;
    std::vector<std::byte> inflate(const Entry& entry, std::span<const std::byte> packed) const;
    void require_within(const Entry& entry, std::uint64_t limit) const;
    void check_crc(const Entry& entry, std::uint32_t found) const;

    // A directory line takes at least 46 bytes; real checkpoints have some thousand entries.
    static constexpr std::uint64_t directory_limit = std::uint64_t{1} << 28;

    std::shared_ptr<const Source> source_;
    std::string
        names_;  ///< of all entries: there may be a million, and a block of its own for each takes twice as much
    std::vector<Entry> entries_;
    NameIndex index_;
    std::uint64_t entries_end_ = 0;  // where the directory begins
};

inline Reader::Reader(std::shared_ptr<const Source> source) : source_(std::move(source)) {
    parse_directory(find_directory());
}

inline const Entry* Reader::find(std::string_view name) const {
    const auto found = index_.find(name, Names{entries_});
    return found ? &entries_[*found] : nullptr;
}

inline std::uint64_t Reader::payload_offset(const Entry& entry) const {
    if (entry.method != method_stored)
        fail(entry, "is compressed, expected it stored as PyTorch does; save it again with torch.save");
    return packed_offset(entry);
}

inline std::optional<std::uint64_t> Reader::padded_offset(const Entry& entry) const {
    if (entry.method != method_stored) return std::nullopt;
    const std::uint64_t unpadded = entry.header_offset + local_bytes + entry.name.size() + 4;
    const std::uint64_t offset = unpadded + (payload_alignment - unpadded % payload_alignment) % payload_alignment;
    const Entry* const next = &entry + 1;
    const std::uint64_t end = next == entries_.data() + entries_.size() ? entries_end_ : next->header_offset;
    if (offset > end || entry.size > end - offset) return std::nullopt;
    // A descriptor, which repeats checksum and sizes in 32 or 64 bits, may stand behind the payload.
    const std::uint64_t behind = end - offset - entry.size;
    return behind == 0 || behind == 16 || behind == 24 ? std::optional(offset) : std::nullopt;
}

inline std::vector<std::byte> Reader::read(const Entry& entry, std::uint64_t limit) const {
    require_within(entry, limit);
    std::vector<std::byte> bytes = bytes_at(packed_offset(entry), entry.packed_size);
    if (entry.method == method_deflated) bytes = inflate(entry, bytes);
    check_crc(entry, crc32(bytes));
    return bytes;
}

inline std::shared_ptr<const Source> Reader::open(const Entry& entry, std::uint64_t limit) const {
    if (entry.method == method_deflated) {
        const auto bytes = std::make_shared<const std::vector<std::byte>>(read(entry, limit));
        return std::make_shared<MemorySource>(std::span<const std::byte>(*bytes), bytes);
    }
    require_within(entry, limit);
    auto part = std::make_shared<PartSource>(source_, payload_offset(entry), entry.size);
    std::vector<std::byte> block(std::min<std::uint64_t>(entry.size, std::uint64_t{1} << 16));
    std::uint32_t crc = 0;
    for (std::uint64_t at = 0; at < entry.size; at += block.size()) {
        block.resize(static_cast<std::size_t>(std::min<std::uint64_t>(block.size(), entry.size - at)));
        part->read(at, std::span<std::byte>(block));
        crc = crc32(block, crc);
    }
    check_crc(entry, crc);
    return part;
}

inline void Reader::require_within(const Entry& entry, std::uint64_t limit) const {
    const std::uint64_t bytes = std::max(entry.size, entry.packed_size);
    if (bytes > limit) fail(entry, to_text("holds ", bytes, " bytes, at most ", limit, " are read"));
}

inline void Reader::check_crc(const Entry& entry, std::uint32_t found) const {
    if (entry.crc != 0 && found != entry.crc)
        fail(entry, "does not have the checksum that the directory gives; the file is damaged");
}

inline std::vector<std::byte> Reader::bytes_at(std::uint64_t offset, std::uint64_t count) const {
    std::vector<std::byte> bytes(count);
    source_->read(offset, std::span<std::byte>(bytes));
    return bytes;
}

/// Looks backwards for the end record: it is the file's last part, but for a comment whose length it gives. Most files
/// have none, so the last bytes are looked at alone first.
inline Reader::Directory Reader::find_directory() const {
    const std::uint64_t size = source_->size();
    for (const std::uint64_t most : {std::uint64_t{end_bytes}, std::uint64_t{end_bytes + 0xFFFF}}) {
        const std::uint64_t tail = std::min(size, most);
        const std::vector<std::byte> bytes = bytes_at(size - tail, tail);
        for (std::size_t at = bytes.size() - std::min(end_bytes, bytes.size()) + 1; at-- > 0;) {
            if (bytes.size() - at < end_bytes || load_little<std::uint32_t>(&bytes[at]) != end_signature) continue;
            if (load_little<std::uint16_t>(&bytes[at + 20]) != bytes.size() - at - end_bytes) continue;
            return parse_end(&bytes[at], size - tail + at);
        }
    }
    fail(to_text("no zip directory is found at its end, it holds ", size, " bytes; it is probably truncated"));
}

inline Reader::Directory Reader::parse_end(const std::byte* end, std::uint64_t offset) const {
    const auto zip64 = find_zip64(offset);
    if (zip64) return *zip64;
    const auto disk = load_little<std::uint16_t>(end + 4), first_disk = load_little<std::uint16_t>(end + 6);
    const auto here = load_little<std::uint16_t>(end + 8), count = load_little<std::uint16_t>(end + 10);
    if (disk != 0 || first_disk != 0 || here != count) fail("is one part of a multi-part zip; join the parts first");
    const Directory directory{load_little<std::uint32_t>(end + 16), load_little<std::uint32_t>(end + 12), count};
    check(directory, offset);
    return directory;
}

/// The zip64 end record, when a locator in front of the end record points to one.
inline std::optional<Reader::Directory> Reader::find_zip64(std::uint64_t end_offset) const {
    if (end_offset < zip64_locator_bytes) return std::nullopt;
    const auto locator = bytes_at(end_offset - zip64_locator_bytes, zip64_locator_bytes);
    if (load_little<std::uint32_t>(locator.data()) != zip64_locator_signature) return std::nullopt;
    const auto at = load_little<std::uint64_t>(&locator[8]);
    const std::uint64_t locator_offset = end_offset - zip64_locator_bytes;
    if (at > locator_offset || locator_offset - at < zip64_end_bytes)
        fail(to_text("the zip64 locator points to offset ", at, ", expected the end record in front of offset ",
                     locator_offset, "; the file is damaged"));
    const auto end = bytes_at(at, zip64_end_bytes);
    if (load_little<std::uint32_t>(end.data()) != zip64_end_signature)
        fail(to_text("offset ", at, " holds no zip64 end record though the locator points there; the file is damaged"));
    const auto count = load_little<std::uint64_t>(&end[32]);
    if (load_little<std::uint32_t>(&end[16]) != 0 || load_little<std::uint32_t>(&end[20]) != 0 ||
        load_little<std::uint64_t>(&end[24]) != count)
        fail("is one part of a multi-part zip; join the parts first");
    const Directory directory{load_little<std::uint64_t>(&end[48]), load_little<std::uint64_t>(&end[40]), count};
    check(directory, at);
    return directory;
}

inline void Reader::check(const Directory& directory, std::uint64_t end_offset) const {
    if (directory.offset > end_offset || directory.bytes > end_offset - directory.offset)
        fail(to_text("the zip directory should lie at offset ", directory.offset, " with ", directory.bytes,
                     " bytes, but its end record stands at ", end_offset, "; the file is damaged"));
    if (directory.bytes > directory_limit)
        fail(to_text("the zip directory holds ", directory.bytes, " bytes, at most ", directory_limit, " are read"));
    if (directory.count > directory.bytes / central_bytes)
        fail(to_text("the zip directory claims ", directory.count, " entries in ", directory.bytes,
                     " bytes; the file is damaged"));
}

inline void Reader::parse_directory(const Directory& directory) {
    const auto bytes = bytes_at(directory.offset, directory.bytes);
    std::span<const std::byte> rest(bytes);
    names_.reserve(
        bytes.size());  // more than there can be, so that they stay where they are; the rest is never touched
    entries_end_ = directory.offset;
    entries_.reserve(directory.count);
    while (entries_.size() < directory.count) rest = rest.subspan(parse_entry(rest, directory));
}

/// Adds the directory's next entry, returns its length.
inline std::size_t Reader::parse_entry(std::span<const std::byte> rest, Directory directory) {
    const std::uint64_t offset = directory.offset + directory.bytes - rest.size();
    if (rest.size() < central_bytes || load_little<std::uint32_t>(rest.data()) != central_signature)
        fail(to_text("offset ", offset, " holds no entry of the zip directory, ", directory.count - entries_.size(),
                     " more are expected; the file is damaged"));
    const std::size_t name_bytes = load_little<std::uint16_t>(&rest[28]);
    const std::size_t extra_bytes = load_little<std::uint16_t>(&rest[30]);
    const std::size_t length = central_bytes + name_bytes + extra_bytes + load_little<std::uint16_t>(&rest[32]);
    if (length > rest.size())
        fail(to_text("the zip directory's entry at offset ", offset, " leaves it; the file is damaged"));
    Entry entry;
    names_.append(reinterpret_cast<const char*>(rest.data()) + central_bytes, name_bytes);
    entry.name = std::string_view(names_).substr(names_.size() - name_bytes);
    entry.method = load_little<std::uint16_t>(&rest[10]);
    entry.crc = load_little<std::uint32_t>(&rest[16]);
    entry.packed_size = load_little<std::uint32_t>(&rest[20]);
    entry.size = load_little<std::uint32_t>(&rest[24]);
    entry.header_offset = load_little<std::uint32_t>(&rest[42]);
    if (load_little<std::uint16_t>(&rest[8]) & flag_encrypted) fail(entry, "is encrypted; decrypt the file first");
    if (const auto disk = load_little<std::uint16_t>(&rest[34]); disk != 0 && disk != in_zip64_16)
        fail(entry, "lies in another part of a multi-part zip; join the parts first");
    apply_zip64(entry, rest.subspan(central_bytes + name_bytes, extra_bytes));
    check(entry, directory);
    if (!index_.add(entry.name, Names{entries_}).second) fail(entry, "stands twice in the directory");
    entries_.push_back(entry);
    return length;
}

/// Replaces the numbers that did not fit 32 bits; the extra field holds just those, in this order.
inline void Reader::apply_zip64(Entry& entry, std::span<const std::byte> extra) const {
    std::span<const std::byte> numbers;
    while (extra.size() >= 4) {
        const std::size_t bytes = load_little<std::uint16_t>(&extra[2]);
        if (bytes > extra.size() - 4) fail(entry, "has an extra field that leaves the directory; the file is damaged");
        if (load_little<std::uint16_t>(extra.data()) == zip64_extra) numbers = extra.subspan(4, bytes);
        extra = extra.subspan(4 + bytes);
    }
    for (std::uint64_t* number : {&entry.size, &entry.packed_size, &entry.header_offset}) {
        if (*number != in_zip64_32) continue;
        if (numbers.size() < 8) fail(entry, "needs 64-bit sizes that the directory does not give; the file is damaged");
        *number = load_little<std::uint64_t>(numbers.data());
        numbers = numbers.subspan(8);
    }
}

inline void Reader::check(const Entry& entry, const Directory& directory) const {
    if (entry.method != method_stored && entry.method != method_deflated)
        fail(entry, to_text("is compressed by method ", entry.method, ", expected it stored"));
    if (entry.method == method_stored && entry.size != entry.packed_size)
        fail(entry,
             to_text("is stored, but takes ", entry.packed_size, " bytes for ", entry.size, "; the file is damaged"));
    if (entry.header_offset > directory.offset || directory.offset - entry.header_offset < local_bytes ||
        entry.packed_size > directory.offset - entry.header_offset - local_bytes)
        fail(entry, to_text("lies at offset ", entry.header_offset, " with ", entry.packed_size,
                            " bytes, the zip directory begins at ", directory.offset, "; the file is damaged"));
}

/// The local header alone says how long it is: PyTorch pads it there and not in the directory.
inline std::uint64_t Reader::packed_offset(const Entry& entry) const {
    // The name fits after the header: the directory, which lies further on, holds it too.
    const auto header = bytes_at(entry.header_offset, local_bytes + entry.name.size());
    if (load_little<std::uint32_t>(header.data()) != local_signature)
        fail(entry, to_text("has no header at offset ", entry.header_offset, "; the file is damaged"));
    const std::uint64_t name_bytes = load_little<std::uint16_t>(&header[26]);
    if (name_bytes != entry.name.size() || std::memcmp(&header[local_bytes], entry.name.data(), name_bytes) != 0)
        fail(entry, to_text("has another name in its header at offset ", entry.header_offset, "; the file is damaged"));
    const std::uint64_t offset = entry.header_offset + header.size() + load_little<std::uint16_t>(&header[28]);
    if (offset > source_->size() || entry.packed_size > source_->size() - offset)
        fail(entry, to_text("lies at offset ", offset, " with ", entry.packed_size, " bytes, the file ends at ",
                            source_->size(), "; it is damaged"));
    return offset;
}

inline std::vector<std::byte> Reader::inflate(const Entry& entry, std::span<const std::byte> packed) const {
    // Deflate cannot make more than 1032 bytes of one, so a larger claim need not be allocated.
    if (entry.size / 1032 > packed.size())
        fail(entry, to_text("cannot unpack to ", entry.size, " bytes; the file is damaged"));
    std::vector<std::byte> out(entry.size);
    const std::unique_ptr<libdeflate_decompressor, void (*)(libdeflate_decompressor*)> decompressor(
        libdeflate_alloc_decompressor(), libdeflate_free_decompressor);
    if (!decompressor) throw std::bad_alloc();
    std::size_t written = 0;
    const auto result = libdeflate_deflate_decompress(decompressor.get(), packed.data(), packed.size(), out.data(),
                                                      out.size(), &written);
    if (result != LIBDEFLATE_SUCCESS || written != out.size())
        fail(entry,
             to_text("does not unpack to the ", entry.size, " bytes that the directory gives; the file is damaged"));
    return out;
}

}  // namespace crossdock::zip
