// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <iterator>
#include <list>
#include <memory>
#include <unordered_map>
#include <utility>
#include <vector>

#include "crossdock/container/transfer/bands.hpp"
#include "crossdock/container/transfer/loaded_band.hpp"

namespace crossdock::detail {

/// Who does what, and in which order. The kernel lets one thread at a time write to a file, and those who wait for it
/// burn their processor's time. So a file has one writer at a time here, too, and nobody waits for it: who has loaded a
/// band for a file that is being written leaves it there and turns to something else. Bands are loaded for the file that
/// has the least under way, the oldest first. For one thread at a time; knows nothing of locks.
class Schedule {
    struct Lane;

public:
    /// Bands on their way.
    struct Work {
        Bands bands;
        bool keeps_memory = false;
        std::uint64_t claimed = 0, finished = 0;
    };

    /// A band that is loaded and written.
    struct Carrier {
        LoadedBand band{};
        std::shared_ptr<Work> work{};
        std::uint64_t number = 0;   ///< of the band
        std::size_t unwritten = 0;  ///< parts
        Lane* lane = nullptr;       ///< that it counts for
    };

    /// What a thread does next: it loads a band, or it writes a part of one.
    struct Task {
        Carrier* carrier = nullptr;              ///< null when there is nothing to do
        const LoadedBand::Part* part = nullptr;  ///< null when the band is to be loaded

        explicit operator bool() const noexcept { return carrier != nullptr; }
    };

    explicit Schedule(std::size_t threads) : most_in_memory_(4 * threads), carriers_(2 * threads) {
        for (Carrier& carrier : carriers_) free_.push_back(&carrier);
    }

    void add(Bands bands, bool keeps_memory) {
        if (bands.count() == 0) return;
        auto work = std::make_shared<Work>(Work{std::move(bands), keeps_memory});
        const std::vector<Transfer>& transfers = work->bands.transfers();
        pending_tensors_ += transfers.size();
        pending_in_memory_ += keeps_memory;
        // What goes to several files counts for one of them, and they take turns.
        const Transfer& one = transfers[added_++ % transfers.size()];
        lane(one.slot->place(0).file).work.push_back(std::move(work));
    }

    /// Whether enough is pending.
    bool is_full() const noexcept { return pending_tensors_ >= most_tensors || pending_in_memory_ >= most_in_memory_; }
    /// Whether there is room again; some time after it was full, so that who waits for it has something to do.
    bool has_room() const noexcept {
        return pending_tensors_ <= most_tensors / 2 && pending_in_memory_ <= most_in_memory_ / 2;
    }
    bool is_empty() const noexcept { return pending_tensors_ == 0; }

    /// Whether another thread should be woken: there is a task, and it is not the last one that makes it worth while.
    bool has_enough_to_share() { return !writable_.empty() || lane_to_load_for(enough_bands / 2) != nullptr; }

    /// The next task, for a thread that will then say done().
    Task next() {
        if (!writable_.empty()) {  // the last one is still in a cache
            const Task task = writable_.back();
            writable_.pop_back();
            return task;
        }
        Lane* const lane = lane_to_load_for(enough_bands);
        if (!lane) return {};
        Carrier& carrier = *free_.back();
        free_.pop_back();
        carrier.work = lane->work.front();
        carrier.number = carrier.work->claimed++;
        carrier.lane = lane;
        if (carrier.work->claimed == carrier.work->bands.count()) lane->work.pop_front();
        ++lane->bands;
        return {&carrier, nullptr};
    }

    /// Notes that a task is done. Returns work of which all is done: to be destroyed when there is leisure, and then
    /// forgotten.
    std::shared_ptr<Work> done(const Task& task) {
        Carrier& carrier = *task.carrier;
        if (task.part) {
            leave(lane(task.part->file));
            --carrier.unwritten;
        } else {
            carrier.unwritten = carrier.band.parts().size();
            for (const LoadedBand::Part& part : carrier.band.parts()) enter(lane(part.file), {&carrier, &part});
        }
        return carrier.unwritten == 0 ? finish(carrier) : nullptr;
    }

    /// Makes room for others.
    void forget(std::size_t tensors, bool keeps_memory) {
        pending_tensors_ -= tensors;
        pending_in_memory_ -= keeps_memory;
    }

    /// Drops everything; no task may be at work.
    void clear() {
        writable_.clear();
        lane_of_.clear();
        lanes_.clear();
        for (Carrier& carrier : carriers_) carrier.work.reset();
    }

private:
    /// A file's, or that of all places of which nobody knows the file.
    struct Lane {
        const OutputFile* file;
        std::deque<std::shared_ptr<Work>> work{};  // with unclaimed bands
        std::size_t bands = 0;                     // that count for it: claimed, not finished
        std::deque<Task> waiting{};                // for their turn to be written
        bool is_written = false;
    };

    // Recipes of files take about a kilobyte each.
    static constexpr std::size_t most_tensors = 8192;
    // Loading takes half the time of writing, so one of these is written while the others are loaded ahead.
    static constexpr std::size_t enough_bands = 4;

    Lane& lane(const OutputFile* file) {
        const auto found = lane_of_.find(file);
        if (found != lane_of_.end()) return *found->second;
        lanes_.push_back({.file = file});
        lane_of_.emplace(file, std::prev(lanes_.end()));
        return lanes_.back();
    }

    /// Nobody will ask for a file that has been closed; another one may get its address.
    void drop_if_idle(Lane& lane) {
        if (!lane.work.empty() || lane.bands > 0 || lane.is_written) return;
        const auto found = lane_of_.find(lane.file);
        lanes_.erase(found->second);
        lane_of_.erase(found);
    }

    /// The lane with the least under way, the oldest of these. Null when nothing should be loaded: all have `enough` that
    /// is loaded and waits, or no memory is free.
    Lane* lane_to_load_for(std::size_t enough) {
        if (free_.empty()) return nullptr;
        Lane* best = nullptr;
        for (Lane& lane : lanes_) {
            if (lane.work.empty()) continue;
            if (!lane.file || lane.bands == 0) return &lane;
            const bool has_enough = !lane.waiting.empty() && lane.bands >= enough;
            if (!has_enough && (!best || lane.bands < best->bands)) best = &lane;
        }
        return best;
    }

    void enter(Lane& lane, const Task& task) {
        if (lane.is_written) return lane.waiting.push_back(task);
        lane.is_written = lane.file != nullptr;
        writable_.push_back(task);
    }

    void leave(Lane& lane) {
        if (lane.waiting.empty()) {
            lane.is_written = false;
            drop_if_idle(lane);
        } else {
            writable_.push_back(lane.waiting.front());
            lane.waiting.pop_front();
        }
    }

    std::shared_ptr<Work> finish(Carrier& carrier) {
        free_.push_back(&carrier);
        --carrier.lane->bands;
        drop_if_idle(*carrier.lane);
        const std::shared_ptr<Work> work = std::move(carrier.work);
        return ++work->finished == work->bands.count() ? work : nullptr;
    }

    std::size_t most_in_memory_;
    std::vector<Carrier> carriers_;
    std::vector<Carrier*> free_{};
    std::list<Lane> lanes_{};  // the oldest first
    std::unordered_map<const OutputFile*, std::list<Lane>::iterator> lane_of_{};
    std::vector<Task> writable_{};  // whose files nobody writes; they are reserved
    std::size_t added_ = 0;
    std::size_t pending_tensors_ = 0, pending_in_memory_ = 0;
};

}  // namespace crossdock::detail
