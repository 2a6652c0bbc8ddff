// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <climits>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <span>
#include <tuple>
#include <utility>
#include <vector>

#include "crossdock/core/error.hpp"
#include "crossdock/core/merge_sequences.hpp"
#include "crossdock/core/scratch.hpp"
#include "crossdock/core/source.hpp"
#include "crossdock/core/text.hpp"
#include "crossdock/core/transpose_block.hpp"

namespace crossdock {

/// What it takes to execute a ReadPlan.
struct ReadCost {
    std::uint64_t reads = 0;   ///< calls that read, and as many as would take as long as reading what is between
    std::uint64_t memory = 0;  ///< bytes, beside those that are read to
    bool from_memory = false;  ///< reads what a source keeps in memory
};

/// What has to happen to bring some blocks of some tensors into memory: first the reads, in file order, then the steps
/// that compute (casts, transpositions), in the order in which they were added. What lies close together in a file is
/// read with one call, together with what is between: a call costs as much as reading a few KiB. Large pieces are read
/// to where they belong, small ones by way of a buffer. For one thread. The sources, and the memory that is read into,
/// must outlive execute().
class ReadPlan {
    static constexpr std::size_t small_piece = 4096;  // bytes: copied sooner than the kernel is told of

public:
    /// Pieces of equal size at equal distances: the rows of a part that was cut by columns. Mostly it is one piece. Where
    /// they are `turned`, each becomes a column of a matrix, whose rows lie `out_step` apart.
    struct Run {
        const Source* source;
        std::uint64_t offset;
        std::size_t bytes;  // of a piece
        std::byte* out;
        std::uint64_t pieces = 1;
        std::uint64_t step = 0;    // from one to the next, in the source
        std::size_t out_step = 0;  // and in memory
        std::size_t turned = 0;    // bytes of an element; 0: not turned

        std::uint64_t begin(std::uint64_t piece) const { return offset + piece * step; }
        std::uint64_t end() const { return begin(pieces - 1) + bytes; }
        std::uint64_t matrix_step() const { return turned == 0 ? 0 : pieces > 1 ? step : bytes; }
        std::byte* place(std::uint64_t piece) const { return out + piece * (turned > 0 ? turned : out_step); }

        /// Whether it goes on with this piece, which it then has.
        bool take(const Run& next) {
            if (next.source != source || turned > 0 || next.turned > 0) return false;
            if (pieces == 1 && next.offset == offset + bytes && next.out == out + bytes) {
                bytes += next.bytes;
                return true;
            }
            if (next.bytes != bytes || bytes >= small_piece) return false;
            if (pieces == 1) {
                if (next.offset < offset + bytes || !std::less<>()(out, next.out)) return false;
                step = next.offset - offset;
                out_step = reinterpret_cast<std::uintptr_t>(next.out) - reinterpret_cast<std::uintptr_t>(out);
            } else if (next.offset != begin(pieces) || next.out != place(pieces)) {
                return false;
            }
            ++pieces;
            return true;
        }
    };

    /// Reads `bytes` bytes at `offset` of `source` to `out`.
    void read(const Source& source, std::uint64_t offset, std::size_t bytes, std::byte* out) {
        if (bytes == 0) return;
        if (!runs_.empty() && runs_.back().take({&source, offset, bytes, out})) return;
        runs_.push_back({&source, offset, bytes, out});
    }

    /// Reads all pieces of a run.
    void read_pieces(const Run& run) {
        if (run.step == run.bytes && run.out_step == run.bytes)
            return read(*run.source, run.offset, run.bytes * static_cast<std::size_t>(run.pieces), run.out);
        if (run.pieces > 1 && run.bytes > 0 && run.bytes < small_piece && run.step >= run.bytes)
            return runs_.push_back(run);
        for (std::uint64_t piece = 0; piece < run.pieces; ++piece)
            read(*run.source, run.begin(piece), run.bytes, run.place(piece));
    }

    /// Reads the pieces of a run that is turned; these are whole elements.
    void read_transposed(const Run& run) {
        if (run.pieces > 1 && run.step < run.bytes) throw Error("the rows of a matrix that is transposed overlap");
        if (run.pieces > 0 && run.bytes > 0) runs_.push_back(run);
    }

    /// Memory for the input of a step. It lives until execute() returns.
    std::byte* scratch(std::size_t bytes) { return scratch_.take(bytes); }

    /// Runs `step` after all reads and transpositions and after all steps added so far.
    void then(std::function<void()> step) { steps_.push_back(std::move(step)); }

    /// Does it all, on the calling thread; the plan is then empty and can be used again. Throws Error when a source
    /// cannot be read or has no such bytes; what has been read by then is unspecified.
    void execute() {
        for_each_stretch([this](const Stretch& stretch) {
            const Source& source = *stretch.runs.front().source;
            if (stretch.end < stretch.begin || stretch.end > source.size())
                throw Error(
                    to_text(source.name(), ": bytes up to ", stretch.end, " are asked for, it holds ", source.size()));
            stretch.is_direct() ? read_to_places(stretch) : read_by_buffer(stretch);
        });
        for (const auto& [run, rows] : read_as_they_are_)
            detail::transpose_block(run.turned, {rows, run.bytes, run.pieces, run.bytes / run.turned}, run.out,
                                    run.out_step);
        for (const auto& step : steps_) step();
        clear();
    }

    /// What execute() would take, without doing it.
    ReadCost cost() {
        ReadCost cost;
        std::uint64_t buffer = 0, between = 0;
        for_each_stretch([&](const Stretch& stretch) {
            cost.reads += stretch.between() / worth_a_call;
            cost.from_memory = cost.from_memory || stretch.runs.front().source->keeps_memory();
            if (stretch.is_direct()) {
                cost.reads += (stretch.runs.size() + stretch.gaps + IOV_MAX - 1) / IOV_MAX;
                between = std::max(between, stretch.between());
            } else {
                const std::uint64_t most = stretch.buffer_bytes();
                cost.reads += (stretch.end - stretch.begin + most - 1) / most;
                buffer = std::max(buffer, most);
            }
        });
        cost.memory = scratch_.taken() + std::max(buffer, between) + runs_.size() * (2 * sizeof(Run) + sizeof(iovec));
        return cost;
    }

    /// Calls visit(source) for all that execute() would read, in the order in which it was added; for a source perhaps
    /// many times.
    template <class Visit>
    void for_each_source(Visit&& visit) const {
        for (const Run& run : runs_) visit(*run.source);
    }

    /// A part of a source.
    struct Range {
        const Source* source = nullptr;
        std::uint64_t begin = 0, end = 0;
    };

    /// What was added last is read up to there, from where the first is read on, if that is of the same source; the
    /// first alone otherwise. Nothing where nothing was added.
    Range range() const {
        if (runs_.empty()) return {};
        const Run &first = runs_.front(), &last = runs_.back();
        const bool is_one = last.source == first.source && last.end() > first.offset;
        return {first.source, first.offset, is_one ? last.end() : first.end()};
    }

    /// Forgets what was added.
    void clear() {
        runs_.clear();
        read_as_they_are_.clear();
        steps_.clear();
        scratch_.clear();
    }

private:
    static constexpr std::uint64_t worth_a_call = 4096;  // bytes: they take as long to be read as a call does
    static constexpr std::uint64_t least_buffer = std::uint64_t{256} << 10;
    static constexpr std::uint64_t largest_buffer = std::uint64_t{4} << 20;
    static constexpr std::uint64_t turned_rows = 64;  // at a time: of each row that is written, a cache line or more

    /// Runs in file order that are read together: [begin, end) of their source.
    struct Stretch {
        std::span<const Run> runs;
        std::uint64_t begin, end;
        std::uint64_t pieces, wanted;  // wanted: bytes, and those twice that are asked for twice
        std::uint64_t gaps;
        bool overlaps;
        std::uint64_t matrix_step;  // from row to row of what is turned, the longest; 0: nothing is

        /// Bytes that nobody asks for.
        std::uint64_t between() const { return end - begin - std::min(end - begin, wanted); }
        bool is_close() const { return between() <= pieces * worth_a_call; }
        bool is_direct() const {
            return matrix_step == 0 && pieces == runs.size() && !overlaps &&
                   (pieces == 1 || wanted / pieces >= small_piece);
        }
        /// Whole rows where matrices are turned, so that its end tears none.
        std::uint64_t buffer_bytes() const {
            if (matrix_step == 0) return least_buffer;
            const std::uint64_t most = std::max(turned_rows, least_buffer / matrix_step);
            return std::clamp(largest_buffer / matrix_step, std::uint64_t{1}, most) * matrix_step;
        }
    };

    /// Calls visit(Stretch) for all that is to be read, in file order.
    template <class Visit>
    void for_each_stretch(Visit&& visit) {
        sort();
        take_apart();
        for (std::size_t at = 0; at < runs_.size();) at += visit_at(at, visit);
    }

    /// Returns of how many runs it is.
    template <class Visit>
    std::size_t visit_at(std::size_t first, Visit&& visit) const {
        const Stretch stretch = stretch_at(first);
        visit(stretch);
        return stretch.runs.size();
    }

    /// Leaves no run of which more is between its pieces than is worth being read. What is turned is then read as it is.
    void take_apart() {
        bool all_are_close = true;
        for (std::size_t at = 0; at < runs_.size();)
            at += visit_at(at, [&](const Stretch& stretch) { all_are_close = all_are_close && stretch.is_close(); });
        if (all_are_close) return;
        apart_.clear();
        for (std::size_t at = 0; at < runs_.size();)
            at += visit_at(at, [&](const Stretch& stretch) {
                for (const Run& run : stretch.runs) {
                    if (stretch.is_close())
                        apart_.push_back(run);
                    else
                        take_apart(run.turned > 0 ? as_it_is(run) : run);
                }
            });
        runs_.swap(apart_);
        sort();
    }

    void take_apart(const Run& run) {
        for (std::uint64_t piece = 0; piece < run.pieces; ++piece)
            apart_.push_back({run.source, run.begin(piece), run.bytes, run.place(piece)});
    }

    Run as_it_is(Run turned) {
        std::byte* const rows = scratch(turned.bytes * static_cast<std::size_t>(turned.pieces));
        read_as_they_are_.push_back({turned, rows});
        turned.out = rows;
        turned.out_step = turned.bytes;
        turned.turned = 0;
        return turned;
    }

    /// The runs from the one at `first` on that lie close together, or in each other's gaps.
    Stretch stretch_at(std::size_t first) const {
        const Run& run = runs_[first];
        Stretch stretch{{}, run.offset, run.end(), run.pieces, run.pieces * run.bytes, 0, false, run.matrix_step()};
        std::size_t last = first + 1;
        for (; last < runs_.size(); ++last) {
            const Run& next = runs_[last];
            if (next.source != run.source || next.offset > stretch.end + worth_a_call) break;
            stretch.gaps += next.offset > stretch.end;
            stretch.overlaps = stretch.overlaps || next.offset < stretch.end;
            stretch.end = std::max(stretch.end, next.end());
            stretch.pieces += next.pieces;
            stretch.wanted += next.pieces * next.bytes;
            stretch.matrix_step = std::max(stretch.matrix_step, next.matrix_step());
        }
        stretch.runs = std::span(runs_).subspan(first, last - first);
        return stretch;
    }

    /// Each tensor asks for its runs in file order, or nearly so.
    void sort() {
        detail::merge_sequences(runs_, spare_, [](const Run& a, const Run& b) {
            return std::tie(a.source, a.offset) < std::tie(b.source, b.offset);
        });
    }

    void read_to_places(const Stretch& stretch) {
        between_.resize(static_cast<std::size_t>(stretch.between()));
        buffers_.clear();
        std::byte* between = between_.data();
        std::uint64_t at = stretch.begin;
        for (const Run& run : stretch.runs) {
            if (const auto gap = static_cast<std::size_t>(run.offset - at); gap > 0) {
                buffers_.push_back({between, gap});
                between += gap;
            }
            buffers_.push_back({run.out, run.bytes});
            at = run.end();
        }
        stretch.runs.front().source->read(stretch.begin, std::span(buffers_));
    }

    void read_by_buffer(const Stretch& stretch) {
        const Source& source = *stretch.runs.front().source;
        const std::uint64_t buffer_bytes = stretch.buffer_bytes();
        if (buffer_.size() < buffer_bytes) buffer_.resize(buffer_bytes);
        std::span<const Run> runs = stretch.runs;
        for (std::uint64_t begin = stretch.begin, end; begin < stretch.end; begin = end) {
            end = std::min(begin + buffer_bytes, stretch.end);
            source.read(begin, std::span(buffer_).first(static_cast<std::size_t>(end - begin)));
            while (!runs.empty() && runs.front().end() <= begin) runs = runs.subspan(1);
            for (auto run = runs.begin(); run != runs.end() && run->offset < end; ++run)
                copy_from_buffer(*run, begin, end);
        }
    }

    /// What of a run is in the buffer, which holds [begin, end) of the source.
    void copy_from_buffer(const Run& run, std::uint64_t begin, std::uint64_t end) const {
        std::uint64_t piece = run.pieces > 1 && begin > run.offset ? (begin - run.offset) / run.step : 0;
        while (piece < run.pieces && run.begin(piece) < end) {
            const std::uint64_t at = run.begin(piece);
            const std::uint64_t from = std::max(at, begin), to = std::min(at + run.bytes, end);
            const std::byte* const bytes = buffer_.data() + (from - begin);
            if (run.turned > 0 && to - from == run.bytes) {
                const std::uint64_t further = run.pieces > 1 ? (end - to) / run.step : 0;
                const std::uint64_t rows = std::min(run.pieces - piece, further + 1);
                detail::transpose_block(run.turned, {bytes, run.step, rows, run.bytes / run.turned}, run.place(piece),
                                        run.out_step);
                piece += rows;
                continue;
            }
            if (from < to) copy_part(run, piece, from - at, {bytes, static_cast<std::size_t>(to - from)});
            ++piece;
        }
    }

    /// The bytes of a piece from `at` on: a torn one's, where it is turned.
    static void copy_part(const Run& run, std::uint64_t piece, std::uint64_t at, std::span<const std::byte> bytes) {
        std::byte* const place = run.place(piece);
        if (run.turned == 0) {
            std::memcpy(place + at, bytes.data(), bytes.size());
            return;
        }
        for (const std::byte byte : bytes) {
            place[at / run.turned * run.out_step + at % run.turned] = byte;
            ++at;
        }
    }

    std::vector<Run> runs_;
    std::vector<Run> spare_, apart_;  // for sorting, and for taking apart
    std::vector<iovec> buffers_;
    std::vector<std::byte> between_;  // each gap has its own: a source may look at what it has read
    std::vector<std::byte> buffer_;
    detail::Scratch scratch_;
    std::vector<std::pair<Run, std::byte*>> read_as_they_are_;  // turned ones, and where their pieces are read to
    std::vector<std::function<void()>> steps_;
};

}  // namespace crossdock
