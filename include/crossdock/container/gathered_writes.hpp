// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/uio.h>

#include <algorithm>
#include <climits>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <span>
#include <vector>

#include "crossdock/core/scratch.hpp"

namespace crossdock {

class OutputFile;

/// Pieces on their way to files, in whichever order they come: those that touch in a file are written together. What
/// stays where it is until then is not copied. For one thread at a time. Keeps its memory for the next pieces.
class GatheredWrites {
public:
    struct Piece {
        OutputFile* file;
        std::uint64_t offset;  ///< in the file
        std::span<const std::byte> bytes;
    };

    /// Forgets all pieces. What is added from here on and lies in `memory` stays there.
    void begin(std::span<const std::byte> memory) {
        pieces_.clear();
        copies_.clear();
        kept_ = memory;
    }

    /// Returns whether it took the piece: a large one that would have to be copied is better written at once.
    bool add(OutputFile& file, std::uint64_t offset, std::span<const std::byte> bytes) {
        if (!is_kept(bytes)) {
            if (bytes.size() > most_copied || bytes.size() > room - std::min(room, copies_.taken())) return false;
            bytes = copied(bytes);
        }
        pieces_.push_back({&file, offset, bytes});
        return true;
    }

    /// The pieces in the order of the files, those of each together, and then in the order in which they lie there.
    std::span<const Piece> sorted() {
        const std::less<const OutputFile*> before;
        std::sort(pieces_.begin(), pieces_.end(), [&](const Piece& a, const Piece& b) {
            return a.file == b.file ? a.offset < b.offset : before(a.file, b.file);
        });
        return pieces_;
    }

private:
    static constexpr std::size_t most_copied = std::size_t{64} << 10;
    static constexpr std::size_t room = std::size_t{1} << 20;  // for copies

    bool is_kept(std::span<const std::byte> bytes) const noexcept {
        const std::less_equal<const std::byte*> before;
        return before(kept_.data(), bytes.data()) && before(bytes.data() + bytes.size(), kept_.data() + kept_.size());
    }

    std::span<const std::byte> copied(std::span<const std::byte> bytes) {
        std::byte* const copy = copies_.take(bytes.size());
        std::memcpy(copy, bytes.data(), bytes.size());
        return {copy, bytes.size()};
    }

    std::span<const std::byte> kept_;
    detail::Scratch copies_;
    std::vector<Piece> pieces_;
};

/// Calls write(offset, buffers) for pieces of one file that are sorted: for what touches, at most `most` bytes at a time.
/// The buffers are a span of iovec.
template <class Write>
void for_each_touching(std::span<const GatheredWrites::Piece> pieces, std::size_t most, Write&& write) {
    std::vector<iovec> buffers;
    std::uint64_t begin = 0, end = 0;  // of the buffers in the file
    const auto write_buffers = [&] {
        if (!buffers.empty()) write(begin, std::span<const iovec>(buffers));
        buffers.clear();
    };
    for (GatheredWrites::Piece piece : pieces) {
        if (piece.offset != end) write_buffers();
        while (!piece.bytes.empty()) {
            if (end - begin == most || buffers.size() == IOV_MAX) write_buffers();
            if (buffers.empty()) begin = end = piece.offset;
            const auto room = static_cast<std::size_t>(most - (end - begin));
            const auto part = piece.bytes.first(std::min(piece.bytes.size(), room));
            buffers.push_back({const_cast<std::byte*>(part.data()), part.size()});  // an iovec serves reading, too
            end = piece.offset += part.size();
            piece.bytes = piece.bytes.subspan(part.size());
        }
    }
    write_buffers();
}

}  // namespace crossdock
