// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/container/little_endian.hpp"
#include "crossdock/container/output_file.hpp"
#include "crossdock/container/output_path.hpp"
#include "crossdock/container/touching_writes.hpp"
#include "crossdock/container/zip/entry_writer.hpp"
#include "crossdock/container/zip/format.hpp"
#include "crossdock/core/checked.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/text.hpp"
#include "crossdock/core/world.hpp"

namespace crossdock::zip {

namespace detail {

/// A stored entry as its headers describe it.
struct Described {
    std::string name;
    std::uint64_t header_offset = 0, size = 0;
    std::uint32_t crc = 0;
};

}  // namespace detail

/// Writes a zip of stored entries whose sizes are known beforehand: add() hands out aligned places, finish() writes the
/// headers, the directory, and flushes. Used from one thread; the entries are not bound to it. Of an entry it keeps some
/// 40 bytes, and the name unless it is numbered.
class Writer {
public:
    /// Creates the file; throws Error when that fails or it exists. `stem` stands in front of the numbers of numbered
    /// entries.
    explicit Writer(const OutputPath& path, std::string stem = {})
        : Writer(std::make_shared<OutputFile>(path), 0, std::move(stem)) {}

    /// A zip that is a part of a file, from byte `begin` on.
    Writer(std::shared_ptr<OutputFile> file, std::uint64_t begin, std::string stem = {})
        : entries_(std::make_shared<PendingEntries>(PendingEntries{.file = std::move(file), .stem = std::move(stem)})),
          begin_(begin) {}

    const std::string& name() const noexcept { return entries_->file->name(); }

    /// Throws Error when the name is taken or longer than a zip allows.
    EntryWriter add(std::string_view name, std::uint64_t size);

    /// The next of those whose names are the stem and a number, from 0 on. No name that add() is given may be such.
    EntryWriter add_numbered(std::uint64_t size);

    /// An entry whose content is at hand. close() writes it, together with the headers around it. Throws Error as add().
    void put(std::string_view name, std::string content);

    /// Bytes of the whole zip with the entries that it has.
    std::uint64_t length() const;

    /// Writes the headers and the directory. All entries are complete by then; throws Error when one is not.
    void close();

    /// Closes, and returns when everything is on the disk.
    void finish() {
        close();
        entries_->file->sync();
    }

private:
    EntryWriter append(std::string name, std::uint64_t size);
    void gather();
    void write_headers(TouchingWrites& out) const;
    void write_directory(TouchingWrites& out) const;
    detail::Described described(std::size_t number) const;
    static std::string end_of_directory(std::uint64_t offset, std::uint64_t bytes, std::uint64_t count);

    std::shared_ptr<PendingEntries> entries_;
    std::uint64_t begin_ = 0;  ///< of the zip in the file; entries count from here
    std::uint64_t directory_bytes_ = 0;
    std::uint64_t end_ = 0;                        ///< of what has been handed out
    std::map<std::size_t, std::string> contents_;  ///< of entries by their numbers
};

namespace detail {

inline std::uint32_t low_or_zip64(std::uint64_t number) {
    return number >= in_zip64_32 ? in_zip64_32 : static_cast<std::uint32_t>(number);
}

/// How many bytes an extra field takes with the 64-bit numbers in it; none where there are no such numbers.
constexpr std::size_t extra_bytes(std::size_t numbers) { return numbers == 0 ? 0 : 4 + 8 * numbers; }

/// Which 64-bit numbers the headers need: the sizes, and in the directory the place of the header.
inline std::size_t local_numbers(const Described& entry) { return entry.size >= in_zip64_32 ? 2 : 0; }
inline std::size_t central_numbers(const Described& entry) {
    return local_numbers(entry) + (entry.header_offset >= in_zip64_32 ? 1 : 0);
}

/// Zs that make the payload's place in the file a multiple of 64, for a zip that begins at byte `begin`.
inline std::uint64_t padding_of(const Described& entry, std::uint64_t begin) {
    const std::uint64_t unpadded =
        begin + entry.header_offset + local_bytes + entry.name.size() + extra_bytes(local_numbers(entry)) + 4;
    return (payload_alignment - unpadded % payload_alignment) % payload_alignment;
}

inline std::uint64_t local_header_bytes(const Described& entry, std::uint64_t begin) {
    return local_bytes + entry.name.size() + extra_bytes(local_numbers(entry)) + 4 + padding_of(entry, begin);
}

inline std::uint64_t central_header_bytes(const Described& entry) {
    return central_bytes + entry.name.size() + extra_bytes(central_numbers(entry));
}

/// What local and central header have in common, from "version needed" to the length of the extra fields.
inline void append_common(std::string& out, const Described& entry, bool zip64, std::uint64_t extra) {
    append_little<std::uint16_t>(out, zip64 ? 45 : 20);
    append_little(out, flag_utf8);
    append_little(out, method_stored);
    append_little<std::uint16_t>(out, 0);       // time
    append_little<std::uint16_t>(out, 0x0021);  // date: 1980-01-01, so that equal content gives equal files
    append_little(out, entry.crc);
    append_little(out, low_or_zip64(entry.size));
    append_little(out, low_or_zip64(entry.size));
    append_little(out, static_cast<std::uint16_t>(entry.name.size()));
    append_little(out, static_cast<std::uint16_t>(extra));
}

/// The beginning of an extra field of the 64-bit numbers, with the sizes where they are among them.
inline void append_numbers(std::string& out, const Described& entry, std::size_t numbers) {
    if (numbers == 0) return;
    append_little(out, zip64_extra);
    append_little(out, static_cast<std::uint16_t>(8 * numbers));
    if (local_numbers(entry) > 0) append_little(out, entry.size), append_little(out, entry.size);
}

inline void append_local_header(std::string& out, const Described& entry, std::uint64_t begin) {
    const std::size_t numbers = local_numbers(entry);
    const std::uint64_t padding = padding_of(entry, begin);
    append_little(out, local_signature);
    append_common(out, entry, numbers > 0, extra_bytes(numbers) + 4 + padding);
    out += entry.name;
    append_numbers(out, entry, numbers);
    append_little(out, padding_extra);
    append_little(out, static_cast<std::uint16_t>(padding));
    out.append(padding, 'Z');
}

inline void append_central_header(std::string& out, const Described& entry) {
    const std::size_t numbers = central_numbers(entry);
    append_little(out, central_signature);
    append_little<std::uint16_t>(out, 45);  // made by
    append_common(out, entry, numbers > 0, extra_bytes(numbers));
    append_little<std::uint16_t>(out, 0);  // comment
    append_little<std::uint16_t>(out, 0);  // disk
    append_little<std::uint16_t>(out, 0);  // internal attributes
    append_little<std::uint32_t>(out, 0);  // external attributes
    append_little(out, low_or_zip64(entry.header_offset));
    out += entry.name;
    append_numbers(out, entry, numbers);
    if (entry.header_offset >= in_zip64_32) append_little(out, entry.header_offset);
}

}  // namespace detail

inline EntryWriter Writer::add(std::string_view name, std::uint64_t size) {
    if (name.size() > 0xFFFF)
        throw Error(to_text(this->name(), ": a zip entry's name of ", name.size(), " bytes is too long"));
    if (!entries_->names.add(name).second)
        throw Error(to_text(this->name(), ": zip entry '", name, "' is added twice"));
    entries_->named.push_back(entries_->lines.size());
    return append(std::string(name), size);
}

inline EntryWriter Writer::add_numbered(std::uint64_t size) {
    return append(entries_->name(entries_->lines.size()), size);
}

inline EntryWriter Writer::append(std::string name, std::uint64_t size) {
    const detail::Described entry{std::move(name), end_, size};
    const std::uint64_t offset = end_ + detail::local_header_bytes(entry, begin_);
    entries_->lines.emplace_back(end_, size);
    end_ = checked_add(offset, size, "zip size");
    directory_bytes_ += detail::central_header_bytes(entry);
    return {entries_, checked_add(begin_, offset, "zip offset")};
}

inline void Writer::put(std::string_view name, std::string content) {
    const EntryWriter entry = add(name, content.size());
    entry.mark_whole();
    entry.received().bytes = content.size();
    entry.received().crc = crc32(std::as_bytes(std::span(content)));
    contents_.emplace(entries_->lines.size() - 1, std::move(content));
}

inline std::uint64_t Writer::length() const {
    return end_ + directory_bytes_ + end_of_directory(end_, directory_bytes_, entries_->lines.size()).size();
}

/// Adds up what the ranks have received.
inline void Writer::gather() {
    World& world = entries_->file->world();
    if (!world.is_shared()) return;
    std::vector<std::uint64_t> bytes, crcs;
    for (const PendingEntries::Line& line : entries_->lines) {
        if (line.received.is_whole) continue;
        bytes.push_back(line.received.bytes);
        crcs.push_back(line.received.crc);
    }
    if (bytes.empty()) return;
    world.sum(bytes);
    world.exclusive_or(crcs);
    std::size_t next = 0;
    for (PendingEntries::Line& line : entries_->lines) {
        if (line.received.is_whole) continue;
        line.received.bytes = bytes[next];
        line.received.crc = static_cast<std::uint32_t>(crcs[next++]);
    }
}

inline void Writer::close() {
    gather();
    TouchingWrites out(*entries_->file);
    write_headers(out);
    write_directory(out);
    out.flush();
}

inline detail::Described Writer::described(std::size_t number) const {
    const PendingEntries::Line& line = entries_->lines[number];
    return {entries_->name(number), line.header_offset, line.size, line.received.crc};
}

/// And what was put between them.
inline void Writer::write_headers(TouchingWrites& out) const {
    auto content = contents_.begin();
    for (std::size_t number = 0; number < entries_->lines.size(); ++number) {
        const detail::Described entry = described(number);
        if (entries_->lines[number].received.bytes != entry.size && !entries_->file->is_planned())
            throw Error(
                to_text(name(), ": zip entry '", entry.name, "' has not received all of its ", entry.size, " bytes"));
        std::string& text = out.at(begin_ + entry.header_offset);
        detail::append_local_header(text, entry, begin_);
        if (content == contents_.end() || content->first != number) continue;
        text += content->second;
        ++content;
    }
}

inline void Writer::write_directory(TouchingWrites& out) const {
    std::uint64_t at = begin_ + end_;
    for (std::size_t number = 0; number < entries_->lines.size(); ++number) {
        const detail::Described entry = described(number);
        detail::append_central_header(out.at(at), entry);
        at += detail::central_header_bytes(entry);
    }
    out.at(at) += end_of_directory(end_, directory_bytes_, entries_->lines.size());
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
