// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <climits>
#include <cstddef>
#include <cstdint>
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

namespace crossdock {

/// What it takes to execute a ReadPlan.
struct ReadCost {
    std::uint64_t reads = 0;   ///< calls that read
    std::uint64_t memory = 0;  ///< bytes, beside those that are read to
    bool from_memory = false;  ///< reads what a source keeps in memory
};

/// What has to happen to bring some blocks of some tensors into memory: first the reads, in file order and joined where
/// they touch, then the steps that compute (casts, transpositions), in the order in which they were added. For one
/// thread. The sources, and the memory that is read into, must outlive execute().
class ReadPlan {
public:
    /// Reads `bytes` bytes at `offset` of `source` to `out`.
    void read(const Source& source, std::uint64_t offset, std::size_t bytes, std::byte* out) {
        if (bytes == 0) return;
        if (!runs_.empty()) {
            Run& last = runs_.back();
            if (last.source == &source && last.offset + last.bytes == offset && last.out + last.bytes == out) {
                last.bytes += bytes;
                return;
            }
        }
        runs_.push_back({&source, offset, bytes, out});
    }

    /// Memory for the input of a step. It lives until execute() returns.
    std::byte* scratch(std::size_t bytes) { return scratch_.take(bytes); }

    /// Runs `step` after all reads and after all steps added so far.
    void then(std::function<void()> step) { steps_.push_back(std::move(step)); }

    /// Does it all, on the calling thread; the plan is then empty and can be used again. Throws Error when a source
    /// cannot be read or has no such bytes; what has been read by then is unspecified.
    void execute() {
        sort();
        for (std::size_t begin = 0; begin < runs_.size();) begin = read_touching(begin);
        for (const auto& step : steps_) step();
        clear();
    }

    /// What execute() would take, without doing it.
    ReadCost cost() {
        sort();
        ReadCost cost{.memory = scratch_.taken() + runs_.size() * (2 * sizeof(Run) + sizeof(iovec))};
        for (std::size_t begin = 0; begin < runs_.size();) {
            const std::size_t end = touching(begin);
            cost.reads += (end - begin + IOV_MAX - 1) / IOV_MAX;
            cost.from_memory = cost.from_memory || runs_[begin].source->keeps_memory();
            begin = end;
        }
        return cost;
    }

    /// Calls visit(source, offset, bytes) for what execute() would read, without doing it.
    template <class Visit>
    void for_each_read(Visit&& visit) const {
        for (const Run& run : runs_) visit(*run.source, run.offset, run.bytes);
    }

    /// Forgets what was added.
    void clear() {
        runs_.clear();
        steps_.clear();
        scratch_.clear();
    }

private:
    struct Run {
        const Source* source;
        std::uint64_t offset;
        std::size_t bytes;
        std::byte* out;
    };

    /// Each tensor asks for its runs in file order, or nearly so.
    void sort() {
        detail::merge_sequences(runs_, spare_, [](const Run& a, const Run& b) {
            return std::tie(a.source, a.offset) < std::tie(b.source, b.offset);
        });
    }

    /// The end of the runs from `begin` on that follow each other in the file.
    std::size_t touching(std::size_t begin) const {
        std::size_t end = begin + 1;
        while (end < runs_.size() && runs_[end].source == runs_[begin].source &&
               runs_[end].offset == runs_[end - 1].offset + runs_[end - 1].bytes)
            ++end;
        return end;
    }

    /// Reads the runs from `begin` on that follow each other in the file; returns the first that does not.
    std::size_t read_touching(std::size_t begin) {
        buffers_.clear();
        const std::size_t end = touching(begin);
        for (std::size_t i = begin; i < end; ++i) buffers_.push_back({runs_[i].out, runs_[i].bytes});
        const Source& source = *runs_[begin].source;
        const std::uint64_t last = runs_[end - 1].offset + runs_[end - 1].bytes;
        if (last < runs_[begin].offset || last > source.size())
            throw Error(to_text(source.name(), ": bytes up to ", last, " are asked for, it holds ", source.size()));
        source.read(runs_[begin].offset, std::span(buffers_));
        return end;
    }

    std::vector<Run> runs_;
    std::vector<Run> spare_;  // for sorting
    std::vector<iovec> buffers_;
    detail::Scratch scratch_;
    std::vector<std::function<void()>> steps_;
};

}  // namespace crossdock
