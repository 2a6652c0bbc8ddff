// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <vector>

namespace crossdock {

/// Copies of small pieces on their way to a file, in whichever order they come: those that touch there become one write.
/// For one thread. Keeps its memory, 256 KiB or twice that, for the next pieces.
class GatheredWrites {
public:
    /// A piece that is larger is better written at once.
    static constexpr std::size_t most_bytes = std::size_t{64} << 10;

    bool is_empty() const noexcept { return pieces_.empty(); }
    bool has_room_for(std::size_t bytes) const noexcept { return bytes <= room - used_; }

    /// There must be room.
    void add(std::uint64_t offset, std::span<const std::byte> bytes) {
        if (bytes.empty()) return;
        if (!memory_) memory_ = std::make_unique_for_overwrite<std::byte[]>(room);
        std::memcpy(memory_.get() + used_, bytes.data(), bytes.size());
        if (!pieces_.empty() && pieces_.back().offset + pieces_.back().bytes == offset)
            pieces_.back().bytes += bytes.size();
        else
            pieces_.push_back({offset, used_, bytes.size()});
        used_ += bytes.size();
    }

    /// Calls write(offset, bytes) for what touches, in the order of the file, and is empty then, whatever write() throws.
    template <class Write>
    void flush(Write&& write) {
        std::vector<Piece> pieces;
        pieces.swap(pieces_);
        used_ = 0;
        std::sort(pieces.begin(), pieces.end(), [](const Piece& a, const Piece& b) { return a.offset < b.offset; });
        for (std::size_t begin = 0, end; begin < pieces.size(); begin = end) {
            end = begin + 1;
            while (end < pieces.size() && pieces[end].offset == pieces[end - 1].offset + pieces[end - 1].bytes) ++end;
            write(pieces[begin].offset, joined(std::span(pieces).subspan(begin, end - begin)));
        }
    }

    void clear() noexcept {
        pieces_.clear();
        used_ = 0;
    }

private:
    static constexpr std::size_t room = std::size_t{256} << 10;

    struct Piece {
        std::uint64_t offset;  // in the file
        std::size_t at, bytes;
    };

    std::span<const std::byte> joined(std::span<const Piece> pieces) {
        if (pieces.size() == 1) return {memory_.get() + pieces.front().at, pieces.front().bytes};
        if (!joined_) joined_ = std::make_unique_for_overwrite<std::byte[]>(room);
        std::byte* end = joined_.get();
        for (const Piece& piece : pieces) {
            std::memcpy(end, memory_.get() + piece.at, piece.bytes);
            end += piece.bytes;
        }
        return {joined_.get(), end};
    }

    std::unique_ptr<std::byte[]> memory_, joined_;
    std::size_t used_ = 0;
    std::vector<Piece> pieces_;  // in the order in which they came
};

}  // namespace crossdock
