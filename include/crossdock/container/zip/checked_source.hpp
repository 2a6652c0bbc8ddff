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
#include <utility>
#include <vector>

#include "crossdock/container/zip/crc32.hpp"
#include "crossdock/container/zip/format.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/source.hpp"
#include "crossdock/core/text.hpp"

namespace crossdock::zip {

namespace detail {

/// The checksum of an entry whose bytes are read in pieces, in any order, some perhaps twice, from any thread.
class PassingChecksum {
public:
    PassingChecksum(std::string name, std::uint64_t size, std::uint32_t expected)
        : name_(std::move(name)),
          size_(size),
          expected_(expected) {}

    std::uint64_t size() const noexcept { return size_; }

    /// The bytes [begin, end) have come. `crc_of(begin, end)` is asked for those that have not come before. Throws Error
    /// when all have come and the checksum is another.
    template <class Crc>
    void take(std::uint64_t begin, std::uint64_t end, Crc&& crc_of) {
        for (const auto& [from, to] : claim(begin, end)) {
            const std::uint32_t share = crc32_share(crc_of(from, to), size_ - to);
            const std::lock_guard lock(mutex_);
            found_ ^= share;
            summed_ += to - from;
            if (summed_ == size_ && found_ != expected_)
                throw Error(to_text("zip entry '", name_, "' does not have the checksum that the directory gives; ",
                                    "the file is damaged"));
        }
    }

private:
    using Ranges = std::vector<std::pair<std::uint64_t, std::uint64_t>>;

    /// What of a range has not come yet.
    Ranges claim(std::uint64_t begin, std::uint64_t end) {
        constexpr std::size_t most_ranges = std::size_t{1} << 16;  // of a pattern that never becomes whole
        const std::lock_guard lock(mutex_);
        if (summed_ == size_ || ranges_.size() > most_ranges) return {};
        Ranges fresh;
        auto next = ranges_.upper_bound(begin);
        if (next != ranges_.begin() && std::prev(next)->second >= begin) next = std::prev(next);
        std::uint64_t first = begin, last = end, at = begin;
        while (next != ranges_.end() && next->first <= end) {
            if (at < next->first) fresh.emplace_back(at, next->first);
            at = std::max(at, next->second);
            first = std::min(first, next->first);
            last = std::max(last, next->second);
            next = ranges_.erase(next);
        }
        if (at < end) fresh.emplace_back(at, end);
        ranges_.emplace(first, last);
        return fresh;
    }

    std::string name_;
    std::uint64_t size_;
    std::uint32_t expected_;
    std::mutex mutex_;                               // of what follows
    std::map<std::uint64_t, std::uint64_t> ranges_;  // that have come: begin, end
    std::uint64_t summed_ = 0;                       // bytes
    std::uint32_t found_ = 0;                        // of these
};

}  // namespace detail

/// A zip file whose entries' checksums are compared while their bytes are read. An entry of which some bytes are never
/// read is not compared.
class CheckedSource final : public Source {
public:
    explicit CheckedSource(std::shared_ptr<const Source> file) : file_(std::move(file)) {}

    /// Compares the checksum of a stored entry whose payload begins at `offset`. Call it before the entry is read; not
    /// while another thread reads.
    void watch(const Entry& entry, std::uint64_t offset) {
        constexpr std::uint32_t not_computed = 0;  // torch.serialization.set_crc32_options(False)
        if (entry.crc == not_computed || entry.size == 0) return;
        auto& checksum = entries_[offset];
        if (!checksum) checksum = std::make_unique<detail::PassingChecksum>(entry.name, entry.size, entry.crc);
    }

    using Source::read;
    const std::string& name() const noexcept override { return file_->name(); }
    std::uint64_t size() const noexcept override { return file_->size(); }
    bool keeps_memory() const noexcept override { return file_->keeps_memory(); }

    void read(std::uint64_t offset, std::span<iovec> buffers) const override {
        const std::vector<iovec> pieces(buffers.begin(), buffers.end());  // reading changes them
        file_->read(offset, buffers);
        std::uint64_t end = offset;
        for (const iovec& piece : pieces) end += piece.iov_len;
        auto entry = entries_.upper_bound(offset);
        if (entry != entries_.begin()) --entry;
        for (; entry != entries_.end() && entry->first < end; ++entry) {
            const std::uint64_t start = entry->first, stop = start + entry->second->size();
            if (stop <= offset) continue;
            in_context(name(), [&] {
                entry->second->take(std::max(offset, start) - start, std::min(end, stop) - start,
                                    [&](std::uint64_t from, std::uint64_t to) {
                                        return crc_of(pieces, offset, start + from, start + to);
                                    });
            });
        }
    }

private:
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
    std::map<std::uint64_t, std::unique_ptr<detail::PassingChecksum>> entries_;  // by where they begin
};

}  // namespace crossdock::zip
