// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <stop_token>
#include <thread>
#include <utility>
#include <vector>

#include "crossdock/container/transfer.hpp"
#include "crossdock/container/transfer/band_cutter.hpp"
#include "crossdock/container/transfer/memory_budget.hpp"
#include "crossdock/container/transfer/schedule.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/processors.hpp"
#include "crossdock/core/read_plan.hpp"
#include "crossdock/core/start_thread.hpp"

namespace crossdock {

/// As many threads as are asked for. Where that is 0: as many as can run at once, and as `memory` (bytes) suffices for.
inline std::size_t thread_count(std::size_t asked, std::uint64_t memory = usual_memory) {
    return asked > 0 ? asked : std::min(available_processors(), detail::MemoryBudget::most_threads(memory));
}

/// Threads that evaluate tensors straight into their places. BandCutter says in which pieces, Schedule in which order
/// and by whom; what is written depends on neither, nor on the number of threads.
class TransferPool final : public Transfers {
public:
    /// Hears of bytes that were moved; called from the pool's threads, one call at a time. What it throws ends the
    /// work.
    using Progress = std::function<void(std::uint64_t bytes)>;

    /// Starts `threads` threads, at least one. `stop` ends the work with Cancelled, at the next band. `memory` is what
    /// the process may take, in bytes; throws UsageError when it is too little for so many threads.
    explicit TransferPool(std::size_t threads, Progress progress = {}, std::stop_token stop = {},
                          std::uint64_t memory = usual_memory)
        : cutter_(detail::MemoryBudget(memory, std::max<std::size_t>(threads, 1))),
          progress_(std::move(progress)),
          stop_(std::move(stop)),
          schedule_(std::max<std::size_t>(threads, 1)) {
        try {
            for (std::size_t i = 0; i < std::max<std::size_t>(threads, 1); ++i)
                workers_.push_back(start_thread<std::thread>([this] { work(); }));
        } catch (...) {  // the system has no more threads
            leave();
            throw;
        }
    }
    TransferPool(const TransferPool&) = delete;
    TransferPool& operator=(const TransferPool&) = delete;

    /// Drops what was not begun and waits for the rest; call wait() first to have it all.
    ~TransferPool() override { leave(); }

    /// Waits while many tensors are pending, or some that own memory. Throws Error, too, when the memory does not suffice
    /// for one of them.
    void submit(std::vector<Transfer> group) override {
        if (stop_.stop_requested()) throw Cancelled();
        wait_for(Awaited::room);
        try {
            const bool keeps_memory = cutter_.keeps_memory(group);
            for (detail::Bands& bands : cutter_.cut(std::move(group), keeps_memory))
                add(std::move(bands), keeps_memory);
        } catch (...) {
            fail(std::current_exception());
            wait_for(Awaited::end);
        }
    }

    void wait() override {
        for (detail::Bands& bands : cutter_.rest()) add(std::move(bands), false);
        wait_for(Awaited::end);
        if (stop_.stop_requested()) throw Cancelled();  // while the last of it moved
    }

private:
    using Task = detail::Schedule::Task;
    enum class Awaited { nothing, room, end };

    void leave() noexcept {
        {
            const std::lock_guard lock(mutex_);
            is_leaving_ = true;
        }
        work_changed_.notify_all();
        for (std::thread& worker : workers_) worker.join();
    }

    // ---- the thread that submits

    void add(detail::Bands bands, bool keeps_memory) {
        const std::lock_guard lock(mutex_);
        if (failure_) return;
        schedule_.add(std::move(bands), keeps_memory);
        share();
    }

    void wait_for(Awaited awaited) {
        std::unique_lock lock(mutex_);
        if (awaited == Awaited::end || schedule_.is_full() || failure_) {
            awaited_ = awaited;
            progressed_.wait(lock, [&] { return has_come(awaited); });
            awaited_ = Awaited::nothing;
        }
        if (failure_) std::rethrow_exception(failure_);
    }

    bool has_come(Awaited awaited) const {
        if (failure_) return moving_ == 0;
        return awaited == Awaited::room ? schedule_.has_room() : schedule_.is_empty();
    }

    // ---- the threads that move

    void work() {
        ReadPlan reads;
        std::unique_lock lock(mutex_);
        while (const Task task = claim(lock)) {
            lock.unlock();
            std::exception_ptr failure = attempt(task, reads);
            lock.lock();
            if (failure)
                fail_locked(std::move(failure));
            else if (!failure_)
                end(task, lock);
            --moving_;
            if (failure_ && moving_ == 0) schedule_.clear();
            tell_submitter();
        }
    }

    /// The next task; waits for one. None when the pool ends.
    Task claim(std::unique_lock<std::mutex>& lock) {
        while (!is_leaving_ && !failure_) {
            if (const Task task = schedule_.next()) {
                ++moving_;
                share();
                return task;
            }
            ++sleeping_;
            work_changed_.wait(lock, [&] { return wake_ups_ > 0 || is_leaving_ || failure_; });
            --sleeping_;
            if (wake_ups_ > 0) --wake_ups_;
        }
        return {};
    }

    std::exception_ptr attempt(const Task& task, ReadPlan& reads) noexcept {
        try {
            if (stop_.stop_requested()) throw Cancelled();
            detail::Schedule::Carrier& carrier = *task.carrier;
            const std::uint64_t moved = task.part ? carrier.band.write(*task.part)
                                                  : carrier.band.load(carrier.work->bands, carrier.number, reads);
            if (moved > 0) report(moved);
            return nullptr;
        } catch (...) {
            return std::current_exception();
        }
    }

    void end(const Task& task, std::unique_lock<std::mutex>& lock) {
        std::shared_ptr<detail::Schedule::Work> work = schedule_.done(task);
        if (!work) return;
        const std::size_t tensors = work->bands.transfers().size();
        const bool keeps_memory = work->keeps_memory;
        lock.unlock();
        work.reset();
        lock.lock();
        schedule_.forget(tensors, keeps_memory);
    }

    /// Wakes a thread that has nothing to do, if there are such and it is worth it; that one shares in its turn.
    void share() {
        if (sleeping_ == wake_ups_ || !schedule_.has_enough_to_share()) return;
        ++wake_ups_;
        work_changed_.notify_one();
    }

    void tell_submitter() {
        if (awaited_ == Awaited::nothing || !has_come(awaited_)) return;
        awaited_ = Awaited::nothing;
        progressed_.notify_one();
    }

    void fail(std::exception_ptr failure) {
        const std::lock_guard lock(mutex_);
        fail_locked(std::move(failure));
        if (moving_ == 0) schedule_.clear();
    }

    void fail_locked(std::exception_ptr failure) {
        if (!failure_) failure_ = std::move(failure);
        work_changed_.notify_all();
    }

    /// One thread reports for all that come meanwhile, so that none waits for it.
    void report(std::uint64_t bytes) {
        if (!progress_) return;
        unreported_ += bytes;
        while (unreported_.fetch_add(0) > 0) {  // not a load: it must see what others added while the lock was held
            const std::unique_lock lock(progress_mutex_, std::try_to_lock);
            if (!lock) return;
            if (const std::uint64_t news = unreported_.exchange(0); news > 0) progress_(news);
        }
    }

    detail::BandCutter cutter_;  // of the thread that submits
    Progress progress_;
    std::mutex progress_mutex_;
    std::atomic<std::uint64_t> unreported_ = 0;
    std::stop_token stop_;

    std::mutex mutex_;  // of all that follows
    std::condition_variable work_changed_, progressed_;
    detail::Schedule schedule_;
    std::size_t moving_ = 0;                   // tasks at work
    std::size_t sleeping_ = 0, wake_ups_ = 0;  // threads that wait for tasks; those of them that have been called
    Awaited awaited_ = Awaited::nothing;       // by the thread that submits
    std::exception_ptr failure_;
    bool is_leaving_ = false;
    std::vector<std::thread> workers_;
};

}  // namespace crossdock
