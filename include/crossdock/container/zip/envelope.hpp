// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "crossdock/container/little_endian.hpp"
#include "crossdock/container/zip/crc32.hpp"
#include "crossdock/container/zip/entry_headers.hpp"

namespace crossdock::zip {

/// A small zip of stored entries that is a part of a file, all of it but the content of its last entry, where that comes
/// later. It is the same for all zips of these entries that begin at a place with the same remainder by 64, but for the
/// checksum of what comes later. Equals what zip::Writer writes where that remainder is 0.
class Envelope {
public:
    struct Content {
        std::string name, bytes;
    };
    /// An entry whose content comes later.
    struct Awaited {
        std::string name;
        std::uint64_t size = 0;
    };

    /// Of a zip that begins at byte `begin` of its file.
    Envelope(std::uint64_t begin, const std::vector<Content>& contents, const std::optional<Awaited>& awaited = {}) {
        std::vector<detail::Described> entries;
        for (const Content& content : contents) {
            entries.push_back(
                {content.name, head_.size(), content.bytes.size(), crc32(std::as_bytes(std::span(content.bytes)))});
            detail::append_local_header(head_, entries.back(), begin);
            head_ += content.bytes;
        }
        if (awaited) {
            entries.push_back({awaited->name, head_.size(), awaited->size, 0});
            crc_in_head_ = head_.size() + detail::crc_in_local_header;
            detail::append_local_header(head_, entries.back(), begin);
            awaited_bytes_ = awaited->size;
        }
        for (const detail::Described& entry : entries) {
            if (awaited) crc_in_tail_ = tail_.size() + detail::crc_in_central_header;
            detail::append_central_header(tail_, entry);
        }
        tail_ += detail::end_of_directory(head_.size() + awaited_bytes_, tail_.size(), entries.size());
    }

    std::uint64_t head_bytes() const noexcept { return head_.size(); }  ///< in front of what comes later
    std::uint64_t awaited_bytes() const noexcept { return awaited_bytes_; }
    std::uint64_t length() const noexcept { return head_.size() + awaited_bytes_ + tail_.size(); }  ///< of the zip

    /// What stands in front of the content that came, and behind it. `crc` is its checksum.
    std::string head(std::uint32_t crc) const { return with_crc(head_, crc_in_head_, crc); }
    std::string tail(std::uint32_t crc) const { return with_crc(tail_, crc_in_tail_, crc); }
    /// All of a zip that awaits nothing.
    std::string whole() const { return head_ + tail_; }

private:
    static std::string with_crc(std::string text, const std::optional<std::size_t>& at, std::uint32_t crc) {
        std::string number;
        append_little(number, crc);
        if (at) text.replace(*at, number.size(), number);
        return text;
    }

    std::string head_, tail_;
    std::uint64_t awaited_bytes_ = 0;
    std::optional<std::size_t> crc_in_head_, crc_in_tail_;
};

}  // namespace crossdock::zip
