// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <new>
#include <span>
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
    /// What goes to one file: the blocks [begin, end).
    struct Part {
        const OutputFile* file = nullptr;  ///< null where nobody knows
        std::size_t begin = 0, end = 0;
    };

    /// Reads and computes a band, in place of the one before. Throws Error, with a tensor's name, when a source cannot
    /// be read.
    void load(const Bands& bands, std::uint64_t band, ReadPlan& reads) {
        lay_out(bands, band);
        try {
            for (const Placed& placed : blocks_) plan(placed, reads);
            reads.execute();
        } catch (Error&) {
            reads.clear();
            load_one_by_one(reads);
            throw;
        }
    }

    /// Until the next load().
    std::span<const Part> parts() const noexcept { return parts_; }

    /// Writes a part to its file, small blocks by way of `pieces`; returns its bytes. Throws Error, with the name of a
    /// tensor, when a place refuses.
    std::uint64_t write(const Part& part, GatheredWrites& pieces) const {
        std::uint64_t bytes = 0;
        OutputFile::Gathering gathering(part.file, pieces);
        for (std::size_t i = part.begin; i < part.end; ++i) {
            const Block& block = blocks_[i].block;
            named(block, [&] { block.transfer->slot->write(block.at(), {blocks_[i].memory, block.bytes()}); });
            bytes += block.bytes();
        }
        named(blocks_[part.end - 1].block, [&] { gathering.finish(); });
        return bytes;
    }

private:
    struct Placed {
        Block block;
        FilePlace place;
        std::byte* memory = nullptr;
    };

    static constexpr std::size_t page = 4096;  // whole pages move fastest between kernel and user
    static constexpr std::size_t line = 64;

    struct Free {
        void operator()(std::byte* memory) const { ::operator delete(memory, std::align_val_t(page)); }
    };

    /// The blocks in the order of their files, so that each has one part.
    void lay_out(const Bands& bands, std::uint64_t band) {
        blocks_.clear();
        bands.for_each_block(band, [this](const Block& block) { add(block); });
        const std::less<const OutputFile*> before;
        std::sort(blocks_.begin(), blocks_.end(), [&](const Placed& a, const Placed& b) {
            return a.place.file == b.place.file ? a.place.offset < b.place.offset : before(a.place.file, b.place.file);
        });
        parts_.clear();
        for (std::size_t i = 0; i < blocks_.size(); ++i) {
            if (i == 0 || blocks_[i].place.file != blocks_[i - 1].place.file)
                parts_.push_back({blocks_[i].place.file, i, i});
            parts_.back().end = i + 1;
        }
        take_memory();
    }

    /// A tensor may go to several files.
    void add(Block block) {
        const std::uint64_t item = block.item();
        while (block.count > 0) {
            const FilePlace place = block.transfer->slot->place(block.at());
            const std::uint64_t most = std::max<std::uint64_t>(place.bytes / item + (place.bytes % item != 0), 1);
            const std::uint64_t here = std::min(block.count, most);
            blocks_.push_back({{block.transfer, block.begin, here}, place, nullptr});
            block.begin += here;
            block.count -= here;
        }
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
    std::vector<Part> parts_;
    std::unique_ptr<std::byte, Free> memory_;
    std::size_t capacity_ = 0;
};

}  // namespace crossdock::detail
