// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <new>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/container/gathered_writes.hpp"
#include "crossdock/container/output_file.hpp"
#include "crossdock/container/transfer/bands.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/read_plan.hpp"
#include "crossdock/core/text.hpp"

namespace crossdock::detail {

/// The blocks of a band in memory: read by one thread, and written by any. Keeps its memory from one band to the next.
class LoadedBand {
public:
    /// What goes to one file.
    struct Part {
        OutputFile* file;
        std::span<const GatheredWrites::Piece> pieces;
        std::uint64_t bytes = 0;  ///< of the band's tensors, that count for it
    };

    /// Reads and computes a band, in place of the one before, and gives it to its places, as pieces of files. Returns the
    /// bytes of its tensors where they go to no file, and none where there are parts to be written. Throws Error, with a
    /// tensor's name, when a source cannot be read or a place refuses.
    std::uint64_t load(const Bands& bands, std::uint64_t band, ReadPlan& reads) {
        blocks_.clear();
        bands.for_each_block(band, [this](const Block& block) { blocks_.push_back({block, nullptr}); });
        take_memory();
        try {
            for (const Placed& placed : blocks_) plan(placed, reads);
            reads.execute();
        } catch (Error&) {
            reads.clear();
            load_one_by_one(reads);
            throw;
        }
        const std::uint64_t bytes = give_to_places();
        find_parts();
        if (parts_.empty()) return bytes;
        parts_.front().bytes = bytes;
        return 0;
    }

    /// Until the next load().
    std::span<const Part> parts() const noexcept { return parts_; }

    /// Writes a part to its file; returns the bytes that count for it. Throws Error, with the name of a tensor, when the
    /// disk refuses.
    std::uint64_t write(const Part& part) const {
        in_context([&] { return to_text("tensor '", tensor_in(part), "'"); },
                   [&] { part.file->write_pieces(part.pieces); });
        return part.bytes;
    }

private:
    struct Placed {
        Block block;
        std::byte* memory = nullptr;
    };

    static constexpr std::size_t page = 4096;  // whole pages move fastest between kernel and user
    static constexpr std::size_t line = 64;

    struct Free {
        void operator()(std::byte* memory) const { ::operator delete(memory, std::align_val_t(page)); }
    };

    std::uint64_t give_to_places() {
        std::uint64_t bytes = 0;
        writes_.begin({memory_.get(), capacity_});
        const OutputFile::PuttingOff putting_off(writes_);
        for (const Placed& placed : blocks_) {
            const Block& block = placed.block;
            named(block, [&] { block.transfer->slot->write(block.at(), {placed.memory, block.bytes()}); });
            bytes += block.bytes();
        }
        return bytes;
    }

    void find_parts() {
        parts_.clear();
        const std::span<const GatheredWrites::Piece> pieces = writes_.sorted();
        for (std::size_t begin = 0, end; begin < pieces.size(); begin = end) {
            for (end = begin + 1; end < pieces.size() && pieces[end].file == pieces[begin].file;) ++end;
            parts_.push_back({pieces[begin].file, pieces.subspan(begin, end - begin)});
        }
    }

    /// The name of one of which it has something.
    std::string_view tensor_in(const Part& part) const {
        const std::less_equal<const std::byte*> before;
        for (const GatheredWrites::Piece& piece : part.pieces)
            for (const Placed& placed : blocks_)
                if (before(placed.memory, piece.bytes.data()) &&
                    before(piece.bytes.data(), placed.memory + placed.block.bytes()))
                    return placed.block.transfer->name;
        return blocks_.front().block.transfer->name;
    }

    void take_memory() {
        const auto room = [](const Placed& placed) {
            const std::size_t bytes = placed.block.bytes(), unit = bytes < page ? line : page;
            return (bytes + unit - 1) / unit * unit;
        };
        std::size_t needed = 0;
        for (const Placed& placed : blocks_) needed += room(placed);
        if (needed > capacity_) {
            memory_.reset();
            memory_.reset(static_cast<std::byte*>(::operator new(needed, std::align_val_t(page))));
            capacity_ = needed;
        }
        std::byte* next = memory_.get();
        for (Placed& placed : blocks_) {
            placed.memory = next;
            next += room(placed);
        }
    }

    static void plan(const Placed& placed, ReadPlan& reads) {
        placed.block.transfer->tensor.plan(placed.block.begin, placed.block.count, placed.memory, reads);
    }

    /// Reads of a band are joined: this finds out whose failed.
    void load_one_by_one(ReadPlan& reads) const {
        for (const Placed& placed : blocks_) {
            named(placed.block, [&] {
                plan(placed, reads);
                reads.execute();
            });
        }
    }

    template <class Work>
    static void named(const Block& block, Work&& work) {
        in_context([&] { return to_text("tensor '", block.transfer->name, "'"); }, std::forward<Work>(work));
    }

    std::vector<Placed> blocks_;
    GatheredWrites writes_;
    std::vector<Part> parts_;
    std::unique_ptr<std::byte, Free> memory_;
    std::size_t capacity_ = 0;
};

}  // namespace crossdock::detail
