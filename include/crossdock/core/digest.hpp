// SPDX-License-Identifier: Apache-2.0
#pragma once

#ifndef XXH_INLINE_ALL
#define XXH_INLINE_ALL  // nothing to link
#endif
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/core/error.hpp"
#include "crossdock/core/text.hpp"

static_assert(XXH_VERSION_NUMBER >= 800, "XXH3 has its final form since xxHash 0.8.0");

namespace crossdock {

/// 128 bits that stand for bytes: XXH3-128 without a seed, as `xxhsum -H2` prints it. It finds every accident, as fast
/// as memory is read, and no forger: who may choose bytes can make two contents of one digest (docs/proof.md).
struct Digest {
    std::uint64_t high = 0, low = 0;

    bool operator==(const Digest&) const = default;
};

namespace detail {

inline constexpr std::size_t digest_bytes = sizeof(XXH128_canonical_t);

inline Digest digest_from(const XXH128_hash_t& hash) { return {hash.high64, hash.low64}; }

/// In the order in which they are written down: the highest first.
inline std::array<std::byte, digest_bytes> bytes_of(const Digest& digest) {
    std::array<std::byte, digest_bytes> bytes{};
    for (std::size_t i = 0; i < digest_bytes; ++i) {
        const std::uint64_t half = i < 8 ? digest.high : digest.low;
        bytes[i] = static_cast<std::byte>(half >> (56 - 8 * (i % 8)) & 0xFF);
    }
    return bytes;
}

}  // namespace detail

/// 32 hexadecimal digits.
inline std::string to_string(const Digest& digest) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string text;
    text.reserve(2 * detail::digest_bytes);
    for (const std::byte byte : detail::bytes_of(digest)) {
        text += digits[std::to_integer<std::size_t>(byte >> 4)];
        text += digits[std::to_integer<std::size_t>(byte & std::byte{15})];
    }
    return text;
}

/// The digest of such a text; nothing where it is none.
inline std::optional<Digest> parse_digest(std::string_view text) {
    if (text.size() != 2 * detail::digest_bytes) return std::nullopt;
    Digest digest;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const std::size_t digit = std::string_view("0123456789abcdef").find(text[i]);
        if (digit == std::string_view::npos) return std::nullopt;
        std::uint64_t& half = i < 16 ? digest.high : digest.low;
        half = half << 4 | digit;
    }
    return digest;
}

/// The digest of bytes that are at hand; another one for each seed, of which 0 is none.
inline Digest digest_of(std::span<const std::byte> bytes, std::uint64_t seed = 0) {
    const void* const begin = bytes.empty() ? "" : static_cast<const void*>(bytes.data());
    return detail::digest_from(XXH3_128bits_withSeed(begin, bytes.size(), seed));
}
inline Digest digest_of(std::string_view text) { return digest_of(std::as_bytes(std::span(text))); }

/// The digest of bytes that come one after the other: that of all of them at once.
class DigestStream {
public:
    DigestStream() { XXH3_128bits_reset(&state_); }

    void add(std::span<const std::byte> bytes) {
        if (!bytes.empty()) XXH3_128bits_update(&state_, bytes.data(), bytes.size());
        size_ += bytes.size();
    }

    /// Of what was added so far.
    Digest value() const { return detail::digest_from(XXH3_128bits_digest(&state_)); }
    std::uint64_t size() const noexcept { return size_; }

private:
    XXH3_state_t state_{};
    std::uint64_t size_ = 0;
};

/// The digest of bytes that come in pieces of any size, in any order and from any thread: the digest of the list of the
/// digests of their blocks of 64 KiB (the last one may be shorter), each as 16 bytes, the highest first. It depends on
/// the bytes alone; docs/proof.md has it in ten lines of Python.
///
/// Takes 16 bytes for each block, and a copy of those pieces of a block that come before what stands in front of them.
class BlockDigest {
public:
    static constexpr std::uint64_t block_bytes = std::uint64_t{64} << 10;

    /// Of so many bytes.
    explicit BlockDigest(std::uint64_t bytes)
        : bytes_(bytes),
          missing_blocks_(bytes / block_bytes + (bytes % block_bytes != 0)),
          list_(missing_blocks_ * detail::digest_bytes),
          value_(digest_of(list_)) {}
    BlockDigest(const BlockDigest&) = delete;
    BlockDigest& operator=(const BlockDigest&) = delete;

    /// Takes the bytes that begin at `at`; each byte once. Says whether they were the last that were missing. Throws
    /// Error where there are no such bytes.
    bool add(std::uint64_t at, std::span<const std::byte> bytes) {
        if (at > bytes_ || bytes.size() > bytes_ - at)
            throw Error(to_text(bytes.size(), " bytes at ", at, " are to be digested of ", bytes_));
        bool is_last = false;
        while (!bytes.empty()) {
            const std::uint64_t block = at / block_bytes, begin = at % block_bytes;
            const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), size_of(block) - begin));
            is_last = count == size_of(block) ? keep(block, digest_of(bytes.first(count)))
                                              : add_piece(block, begin, bytes.first(count));
            at += count;
            bytes = bytes.subspan(count);
        }
        return is_last;
    }

    /// When all bytes came, and the threads that brought them are heard of; throws Error before.
    Digest value() const {
        if (missing_blocks_ > 0) throw Error(to_text("not all of ", bytes_, " bytes came to be digested"));
        return value_;
    }

private:
    /// A block of which a part came.
    struct Open {
        DigestStream stream{};
        std::map<std::uint64_t, std::vector<std::byte>> waiting{};  // by where they begin, behind what is missing
    };

    std::uint64_t size_of(std::uint64_t block) const { return std::min(block_bytes, bytes_ - block * block_bytes); }

    bool add_piece(std::uint64_t number, std::uint64_t begin, std::span<const std::byte> bytes) {
        const std::lock_guard lock(mutex_);
        Open& block = open_[number];
        if (begin != block.stream.size()) {
            block.waiting.try_emplace(begin, bytes.begin(), bytes.end());
            return false;
        }
        block.stream.add(bytes);
        for (auto next = block.waiting.begin(); next != block.waiting.end() && next->first == block.stream.size();
             next = block.waiting.erase(next))
            block.stream.add(next->second);
        if (block.stream.size() < size_of(number)) return false;
        const Digest digest = block.stream.value();
        open_.erase(number);
        return keep(number, digest);
    }

    /// Whether it was the last block.
    bool keep(std::uint64_t block, const Digest& digest) {
        const auto bytes = detail::bytes_of(digest);
        std::copy(bytes.begin(), bytes.end(),
                  list_.begin() + static_cast<std::ptrdiff_t>(block * detail::digest_bytes));
        if (missing_blocks_.fetch_sub(1) > 1) return false;
        value_ = digest_of(list_);
        std::vector<std::byte>().swap(list_);
        return true;
    }

    std::uint64_t bytes_;
    std::atomic<std::uint64_t> missing_blocks_;
    std::vector<std::byte> list_;  // what the blocks' digests are written down as
    Digest value_;                 // once none is missing
    std::mutex mutex_;             // of what follows
    std::map<std::uint64_t, Open> open_;
};

}  // namespace crossdock
