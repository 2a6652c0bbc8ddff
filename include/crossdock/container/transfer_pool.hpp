// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <new>
#include <span>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "crossdock/container/transfer.hpp"
#include "crossdock/core/checked.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/tensor.hpp"

namespace crossdock {

/// As many threads as are asked for; one for each processor where that is 0.
inline std::size_t thread_count(std::size_t asked) {
    return asked > 0 ? asked : std::max(1U, std::thread::hardware_concurrency());
}

namespace detail {

/// Some transfers cut into bands: band b holds the b-th part of every tensor. Shards that were cut by columns from one
/// source tensor thus read the same rows in the same band, and the file is read once, from start to end.
class TransferGroup {
public:
    /// The bytes of a band. On tmpfs, 256 KiB to 4 MiB differed little; 1 MiB was never far from the best.
    static constexpr std::uint64_t band_bytes = std::uint64_t{1} << 20;

    explicit TransferGroup(std::vector<Transfer> transfers) : transfers_(std::move(transfers)) {
        std::uint64_t bytes = 0;
        for (const Transfer& transfer : transfers_)
            bytes = checked_add(bytes, transfer.tensor.byte_count(), "tensors that are moved together");
        bands_ = bytes / band_bytes + (bytes % band_bytes != 0);
    }

    std::uint64_t bands() const noexcept { return bands_; }
    const std::vector<Transfer>& transfers() const noexcept { return transfers_; }

    /// The elements [begin, end) of a tensor that belong to a band: whole rows where there are enough of them.
    std::pair<std::uint64_t, std::uint64_t> range(const Tensor& tensor, std::uint64_t band) const {
        const Shape& shape = tensor.shape();
        const std::uint64_t row = shape.rank() < 2 ? 1 : shape[shape.rank() - 1];
        const std::uint64_t elements = tensor.element_count();
        const std::uint64_t unit = row > 0 && elements / row >= bands_ ? row : 1;
        return {share(elements / unit, band) * unit, share(elements / unit, band + 1) * unit};
    }

private:
    /// The first of `units` that belongs to a band; what does not divide evenly goes to the first bands.
    std::uint64_t share(std::uint64_t units, std::uint64_t band) const {
        return units / bands_ * band + std::min(units % bands_, band);
    }

    std::vector<Transfer> transfers_;
    std::uint64_t bands_ = 0;
};

/// Moves bands; keeps its memory from one band to the next.
class BandMover {
public:
    /// Returns the number of bytes moved.
    std::uint64_t move(const TransferGroup& group, std::uint64_t band) {
        plan(group, band);
        in_context(source_place(group), [&] { reads_.execute(); });
        // Neighbouring bands begin with different tensors, so that their threads seldom wait for the same file.
        for (std::size_t i = 0; i < blocks_.size(); ++i) write(blocks_[(band + i) % blocks_.size()]);
        return bytes_;
    }

private:
    struct Block {
        const Transfer* transfer;
        std::uint64_t at;  ///< from the start of the tensor
        std::span<std::byte> bytes;
    };

    static constexpr std::size_t alignment = 4096;  // whole pages move fastest between kernel and user

    struct Free {
        void operator()(std::byte* memory) const { ::operator delete(memory, std::align_val_t(alignment)); }
    };

    void plan(const TransferGroup& group, std::uint64_t band) {
        lay_out(group, band);
        for (const Block& block : blocks_) {
            const Tensor& tensor = block.transfer->tensor;
            const std::size_t item = item_size(tensor.dtype());
            tensor.plan(block.at / item, block.bytes.size() / item, block.bytes.data(), reads_);
        }
    }

    static void write(const Block& block) {
        in_context(to_text("tensor '", block.transfer->name, "'"),
                   [&] { block.transfer->slot->write(block.at, block.bytes); });
    }

    /// Gives each tensor's part of the band its place in the memory.
    void lay_out(const TransferGroup& group, std::uint64_t band) {
        blocks_.clear();
        bytes_ = 0;
        std::size_t needed = 0;
        for (const Transfer& transfer : group.transfers()) {
            const auto [begin, end] = group.range(transfer.tensor, band);
            const std::size_t item = item_size(transfer.tensor.dtype()), bytes = (end - begin) * item;
            if (bytes == 0) continue;
            blocks_.push_back({&transfer, begin * item, {static_cast<std::byte*>(nullptr), bytes}});
            bytes_ += bytes;
            needed += (bytes + alignment - 1) / alignment * alignment;
        }
        reserve(needed);
        std::byte* next = memory_.get();
        for (Block& block : blocks_) {
            block.bytes = {next, block.bytes.size()};
            next += (block.bytes.size() + alignment - 1) / alignment * alignment;
        }
    }

    void reserve(std::size_t bytes) {
        if (bytes <= capacity_) return;
        memory_.reset();
        memory_.reset(static_cast<std::byte*>(::operator new(bytes, std::align_val_t(alignment))));
        capacity_ = bytes;
    }

    /// Reads are joined, so an error about them can only name the group.
    static std::string source_place(const TransferGroup& group) {
        const std::size_t others = group.transfers().size() - 1;
        const std::string first = to_text("tensor '", group.transfers().front().name, "'");
        return others == 0 ? first : to_text(first, " and ", others, " more");
    }

    ReadPlan reads_;
    std::vector<Block> blocks_;
    std::uint64_t bytes_ = 0;
    std::unique_ptr<std::byte, Free> memory_;
    std::size_t capacity_ = 0;
};

}  // namespace detail

/// Threads that evaluate tensors straight into their places. Memory: a few MiB a thread, however large the tensors;
/// recipes that transpose or cast need as much again.
class TransferPool final : public Transfers {
public:
    /// Hears of bytes that were moved; called from the pool's threads, one call at a time. What it throws ends the
    /// work.
    using Progress = std::function<void(std::uint64_t bytes)>;

    /// Starts `threads` threads, at least one. `stop` ends the work with Cancelled, at the next band.
    explicit TransferPool(std::size_t threads, Progress progress = {}, std::stop_token stop = {})
        : max_pending_(4 * std::max<std::size_t>(threads, 1)),
          progress_(std::move(progress)),
          stop_(std::move(stop)) {
        try {
            for (std::size_t i = 0; i < std::max<std::size_t>(threads, 1); ++i)
                workers_.emplace_back([this] { work(); });
        } catch (...) {  // the system has no more threads
            leave();
            throw;
        }
    }
    TransferPool(const TransferPool&) = delete;
    TransferPool& operator=(const TransferPool&) = delete;

    /// Drops what was not begun and waits for the rest; call wait() first to have it all.
    ~TransferPool() override { leave(); }

    /// Moves the group's tensors band by band, all of them side by side. Waits while many groups are pending, since
    /// recipes may own memory.
    void submit(std::vector<Transfer> transfers) override {
        auto group = std::make_shared<Group>(std::move(transfers));
        if (stop_.stop_requested()) throw Cancelled();
        std::unique_lock lock(mutex_);
        progressed_.wait(lock, [&] { return failure_ ? moving_ == 0 : pending_ < max_pending_; });
        rethrow_failure();
        if (group->content.bands() == 0) return;
        ++pending_;
        groups_.push_back(std::move(group));
        lock.unlock();
        work_changed_.notify_all();
    }

    void wait() override {
        std::unique_lock lock(mutex_);
        progressed_.wait(lock, [&] { return failure_ ? moving_ == 0 : pending_ == 0; });
        rethrow_failure();
    }

private:
    struct Group {
        explicit Group(std::vector<Transfer> transfers) : content(std::move(transfers)) {}

        detail::TransferGroup content;
        std::uint64_t claimed = 0;
        std::uint64_t finished = 0;
    };

    struct Band {
        std::shared_ptr<Group> group;
        std::uint64_t number = 0;
    };

    void leave() noexcept {
        {
            const std::lock_guard lock(mutex_);
            leaving_ = true;
        }
        work_changed_.notify_all();
        for (std::thread& worker : workers_) worker.join();
    }

    void rethrow_failure() const {
        if (failure_) std::rethrow_exception(failure_);
    }

    void work() {
        detail::BandMover mover;
        for (Band band = claim(); band.group; band = claim()) {
            try {
                if (stop_.stop_requested()) throw Cancelled();
                report(mover.move(band.group->content, band.number));
            } catch (...) {
                fail(std::current_exception());
                return;
            }
            finish(*band.group);
        }
    }

    /// The next band of the oldest group; none when the pool ends.
    Band claim() {
        std::unique_lock lock(mutex_);
        work_changed_.wait(lock, [&] { return leaving_ || failure_ || !groups_.empty(); });
        if (leaving_ || failure_) return {};
        Band band{groups_.front(), groups_.front()->claimed++};
        ++moving_;
        if (band.group->claimed == band.group->content.bands()) groups_.pop_front();
        return band;
    }

    void finish(Group& group) {
        const std::lock_guard lock(mutex_);
        --moving_;
        if (++group.finished == group.content.bands()) --pending_;
        progressed_.notify_all();
    }

    void fail(std::exception_ptr failure) {
        const std::lock_guard lock(mutex_);
        --moving_;
        if (!failure_) failure_ = std::move(failure);
        groups_.clear();
        work_changed_.notify_all();
        progressed_.notify_all();
    }

    void report(std::uint64_t bytes) {
        if (!progress_) return;
        const std::lock_guard lock(progress_mutex_);
        progress_(bytes);
    }

    std::size_t max_pending_;
    Progress progress_;
    std::mutex progress_mutex_;
    std::stop_token stop_;

    std::mutex mutex_;
    std::condition_variable work_changed_, progressed_;
    std::deque<std::shared_ptr<Group>> groups_;  // those with unclaimed bands
    std::size_t pending_ = 0;                    // groups with unfinished bands
    std::size_t moving_ = 0;                     // bands at work
    std::exception_ptr failure_;
    bool leaving_ = false;
    std::vector<std::thread> workers_;
};

}  // namespace crossdock
