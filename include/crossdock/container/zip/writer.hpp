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
#include "crossdock/container/zip/entry_headers.hpp"
#include "crossdock/container/zip/entry_writer.hpp"
#include "crossdock/container/zip/format.hpp"
#include "crossdock/core/checked.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/text.hpp"
#include "crossdock/core/world.hpp"

namespace crossdock::zip {

/// Writes a zip of stored entries whose sizes are known beforehand: add() hands out aligned places, finish() writes the
/// headers, the directory, and flushes. Used from one thread; the entries are not bound to it. Of an entry it keeps some
/// 40 bytes, and the name unless it is numbered.
class Writer {
public:
    /// Creates the file; throws Error when that fails or it exists. `stem` stands in front of the numbers of numbered
    /// entries.
    explicit Writer(const OutputPath& path, std::string stem = {})
        : entries_(std::make_shared<PendingEntries>(
              PendingEntries{.file = std::make_shared<OutputFile>(path), .stem = std::move(stem)})) {}

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

    std::shared_ptr<PendingEntries> entries_;
    std::uint64_t directory_bytes_ = 0;
    std::uint64_t end_ = 0;                        ///< of what has been handed out
    std::map<std::size_t, std::string> contents_;  ///< of entries by their numbers
};

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
    const std::uint64_t offset = end_ + detail::local_header_bytes(entry);
    entries_->lines.emplace_back(end_, size);
    end_ = checked_add(offset, size, "zip size");
    directory_bytes_ += detail::central_header_bytes(entry);
    return {entries_, offset};
}

inline void Writer::put(std::string_view name, std::string content) {
    const EntryWriter entry = add(name, content.size());
    entry.mark_whole();
    entry.received().bytes = content.size();
    entry.received().crc = crc32(std::as_bytes(std::span(content)));
    contents_.emplace(entries_->lines.size() - 1, std::move(content));
}

inline std::uint64_t Writer::length() const {
    return end_ + directory_bytes_ + detail::end_of_directory(end_, directory_bytes_, entries_->lines.size()).size();
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

/// Those that were not written with their entries, and what was put between them.
inline void Writer::write_headers(TouchingWrites& out) const {
    auto content = contents_.begin();
    for (std::size_t number = 0; number < entries_->lines.size(); ++number) {
        const PendingEntries::Line& line = entries_->lines[number];
        if (line.received.bytes != line.size && !entries_->file->is_planned())
            throw Error(to_text(name(), ": zip entry '", entries_->name(number), "' has not received all of its ",
                                line.size, " bytes"));
        if (line.has_header) continue;
        const detail::Described entry = entries_->described(number);
        std::string& text = out.at(entry.header_offset);
        detail::append_local_header(text, entry);
        if (content == contents_.end() || content->first != number) continue;
        text += content->second;
        ++content;
    }
}

inline void Writer::write_directory(TouchingWrites& out) const {
    std::uint64_t at = end_;
    for (std::size_t number = 0; number < entries_->lines.size(); ++number) {
        const detail::Described entry = entries_->described(number);
        detail::append_central_header(out.at(at), entry);
        at += detail::central_header_bytes(entry);
    }
    out.at(at) += detail::end_of_directory(end_, directory_bytes_, entries_->lines.size());
}

}  // namespace crossdock::zip
