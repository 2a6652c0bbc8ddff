// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include "crossdock/container/little_endian.hpp"
#include "crossdock/container/zip/crc32.hpp"
#include "crossdock/container/zip/format.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/source.hpp"
#include "crossdock/core/text.hpp"

namespace crossdock::zip {

/// A zip file whose entries' checksums are compared while their bytes are read: in pieces, in any order, some perhaps
/// twice, from any thread. An entry of which some bytes are never read is not compared. Nor is the header in front of it
/// looked at before it is read: mostly it lies between bytes that are read anyway. Takes 40 bytes an entry.
class CheckedSource final : public Source {
public:
    explicit CheckedSource(std::shared_ptr<const Source> file) : file_(std::move(file)) {}

    /// Whether the checksum of an entry can be compared: it has bytes, and one was computed.
    static bool can_watch(const Entry& entry) {
        constexpr std::uint32_t not_computed = 0;  // torch.serialization.set_crc32_options(False)
        return entry.crc != not_computed && entry.size > 0;
    }

    /// Compares header and checksum of a stored entry that can be watched, and whose payload should begin at `offset`,
    /// once start() is called.
    void watch(const Entry& entry, std::uint64_t offset) {
        if (!watched_.empty() && watched_.back().begin == offset) return;  // several tensors are parts of one entry
        watched_.push_back({.begin = offset,
                            .size = entry.size,
                            .expected = entry.crc,
                            .name = crc32(std::as_bytes(std::span(entry.name))),
                            .header_bytes = static_cast<std::uint32_t>(offset - entry.header_offset)});
    }

    /// From here on all that is read is compared, and no entry may be added. Not while another thread reads.
    void start() {
        const auto order = [](const Watched& a, const Watched& b) {
            return std::tie(a.begin, a.size) < std::tie(b.begin, b.size);
        };
        if (!std::is_sorted(watched_.begin(), watched_.end(), order))
            std::sort(watched_.begin(), watched_.end(), order);
        const auto last = std::unique(watched_.begin(), watched_.end(),
                                      [](const Watched& a, const Watched& b) { return a.begin == b.begin; });
        watched_.erase(last, watched_.end());
        watched_.shrink_to_fit();
        has_good_header_.resize(watched_.size());
        compares_ = true;
    }

    using Source::read;
    const std::string& name() const noexcept override { return file_->name(); }
    std::uint64_t size() const noexcept override { return file_->size(); }
    bool keeps_memory() const noexcept override { return file_->keeps_memory(); }

    void read(std::uint64_t offset, std::span<iovec> buffers) const override {
        const std::vector<iovec> pieces(buffers.begin(), buffers.end());  // reading changes them
        file_->read(offset, buffers);
        if (!compares_) return;
        std::uint64_t end = offset;
        for (const iovec& piece : pieces) end += piece.iov_len;
        auto entry = std::upper_bound(watched_.begin(), watched_.end(), offset,
                                      [](std::uint64_t at, const Watched& each) { return at < each.begin; });
        if (entry != watched_.begin()) --entry;
        for (; entry != watched_.end() && entry->begin < end; ++entry) {
            const std::uint64_t start = entry->begin, stop = start + entry->size;
            if (stop <= offset) continue;
            require_header(*entry, pieces, offset);
            take(
                *entry, std::max(offset, start) - start, std::min(end, stop) - start,
                [&](std::uint64_t from, std::uint64_t to) { return crc_of(pieces, offset, start + from, start + to); });
        }
    }

private:
    /// An entry whose payload begins at byte `begin`, and what of it has come.
    struct Watched {
        std::uint64_t begin = 0, size = 0;
        std::uint64_t summed = 0;        ///< bytes
        std::uint32_t expected = 0;      ///< checksum
        std::uint32_t found = 0;         ///< of the bytes that are summed
        std::uint32_t name = 0;          ///< its checksum: the header in front has it
        std::uint32_t header_bytes = 0;  ///< of that header

        std::uint64_t header_offset() const { return begin - header_bytes; }
    };
    using Ranges = std::map<std::uint64_t, std::uint64_t>;  ///< begin, end

    /// Compares the header in front of an entry with the directory, once. Reads it if it is not in the pieces, which begin
    /// at `offset`. Throws Error when the header is another one.
    void require_header(const Watched& entry, std::span<const iovec> pieces, std::uint64_t offset) const {
        {
            const std::lock_guard lock(mutex_);
            if (has_good_header_[number_of(entry)]) return;
        }
        std::vector<std::byte> header(entry.header_bytes);
        if (offset <= entry.header_offset())
            copy_from(pieces, entry.header_offset() - offset, header);
        else
            file_->read(entry.header_offset(), std::span(header));
        if (!is_header_of(entry, header))
            throw Error(to_text(name(), ": zip entry at offset ", entry.header_offset(),
                                " has another header than the directory says; the file is damaged"));
        const std::lock_guard lock(mutex_);
        has_good_header_[number_of(entry)] = true;
    }

    std::size_t number_of(const Watched& entry) const { return static_cast<std::size_t>(&entry - watched_.data()); }

    static bool is_header_of(const Watched& entry, std::span<const std::byte> header) {
        if (load_little<std::uint32_t>(header.data()) != local_signature) return false;
        const std::size_t name = load_little<std::uint16_t>(&header[26]),
                          extra = load_little<std::uint16_t>(&header[28]);
        return local_bytes + name + extra == header.size() && crc32(header.subspan(local_bytes, name)) == entry.name;
    }

    /// The bytes from the one at `skipped` of the pieces on.
    static void copy_from(std::span<const iovec> pieces, std::uint64_t skipped, std::span<std::byte> out) {
        for (const iovec& piece : pieces) {
            if (skipped < piece.iov_len) {
                const std::size_t count = std::min<std::size_t>(piece.iov_len - skipped, out.size());
                std::copy_n(static_cast<const std::byte*>(piece.iov_base) + skipped, count, out.begin());
                out = out.subspan(count);
                skipped = 0;
            } else {
                skipped -= piece.iov_len;
            }
            if (out.empty()) return;
        }
    }

    /// The bytes [begin, end) of an entry have come. `crc_of(begin, end)` is asked for those that have not come before.
    /// Throws Error when all have come and the checksum is another.
    template <class Crc>
    void take(Watched& entry, std::uint64_t begin, std::uint64_t end, Crc&& crc_of) const {
        const bool is_whole = begin == 0 && end == entry.size;
        if (is_whole && crc_of(begin, end) == entry.expected) return;  // mostly it comes so, and nothing need be noted
        for (const auto& [from, to] : claim(entry, begin, end))
            if (!add(entry, crc32_share(crc_of(from, to), entry.size - to), to - from))
                throw Error(to_text(name(), ": zip entry '", name_of(entry),
                                    "' does not have the checksum that the directory gives; the file is damaged"));
    }

    /// What of a range has not come yet.
    std::vector<std::pair<std::uint64_t, std::uint64_t>> claim(const Watched& entry, std::uint64_t begin,
                                                               std::uint64_t end) const {
        constexpr std::size_t most_ranges = std::size_t{1} << 16;  // of a pattern that never becomes whole
        const std::lock_guard lock(mutex_);
        if (entry.summed == entry.size) return {};
        Ranges& come = come_[&entry];
        if (come.size() > most_ranges) return {};
        std::vector<std::pair<std::uint64_t, std::uint64_t>> fresh;
        auto next = come.upper_bound(begin);
        if (next != come.begin() && std::prev(next)->second >= begin) next = std::prev(next);
        std::uint64_t first = begin, last = end, at = begin;
        while (next != come.end() && next->first <= end) {
            if (at < next->first) fresh.emplace_back(at, next->first);
            at = std::max(at, next->second);
            first = std::min(first, next->first);
            last = std::max(last, next->second);
            next = come.erase(next);
        }
        if (at < end) fresh.emplace_back(at, end);
        come.emplace(first, last);
        return fresh;
    }

    /// Counts in what some bytes add to an entry's checksum; false when all have come and it is another.
    bool add(Watched& entry, std::uint32_t share, std::uint64_t bytes) const {
        const std::lock_guard lock(mutex_);
        entry.found ^= share;
        entry.summed += bytes;
        if (entry.summed < entry.size) return true;
        come_.erase(&entry);
        return entry.found == entry.expected;
    }

    /// As the header in front of the entry has it.
    std::string name_of(const Watched& entry) const {
        std::string header(entry.header_bytes, '\0');
        file_->read(entry.header_offset(), std::as_writable_bytes(std::span(header)));
        const auto bytes = load_little<std::uint16_t>(reinterpret_cast<const std::byte*>(&header[26]));
        return header.substr(local_bytes, bytes);
    }

    /// Of the bytes [begin, end) of the file, which lie in the pieces; these begin at `offset`.
    static std::uint32_t crc_of(std::span<const iovec> pieces, std::uint64_t offset, std::uint64_t begin,
                                std::uint64_t end) {
        std::uint32_t crc = 0;
        for (const iovec& piece : pieces) {
            const std::uint64_t from = std::max(offset, begin), to = std::min(offset + piece.iov_len, end);
            if (from < to)
                crc = crc32({static_cast<const std::byte*>(piece.iov_base) + (from - offset),
                             static_cast<std::size_t>(to - from)},
                            crc);
            offset += piece.iov_len;
        }
        return crc;
    }

    std::shared_ptr<const Source> file_;
    bool compares_ = false;
    mutable std::mutex mutex_;                                 // of what follows
    mutable std::vector<Watched> watched_;                     // in file order, once it compares
    mutable std::vector<bool> has_good_header_;                // of each of these
    mutable std::unordered_map<const Watched*, Ranges> come_;  // of those of which a part has come, or is being summed
};

}  // namespace crossdock::zip
