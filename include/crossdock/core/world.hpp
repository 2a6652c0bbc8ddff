// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <new>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "crossdock/core/error.hpp"
#include "crossdock/core/text.hpp"

namespace crossdock {

/// The processes that do one job together; each is a rank of it. All of them plan the whole job, each moves the bytes
/// that are its own, and rank 0 leads: it makes the target's directory and puts it in place. Unless somebody derives
/// from it, a world is one process, and nothing here costs anything.
///
/// meet(), sum(), exclusive_or(), is_same() and from_leader() are for all ranks, in the same order. The first thing
/// each of them does is to ask whether a rank has failed; then all throw that rank's error. So a rank may fail
/// anywhere, as long as `together` hears of it.
///
/// For one thread at a time. What throws an error once has ended: make another one.
class World {
public:
    World() = default;
    World(const World&) = delete;
    World& operator=(const World&) = delete;
    virtual ~World() = default;

    /// The world of a process that works alone.
    static World& alone() {
        static World one;
        return one;
    }

    std::size_t rank() const noexcept { return rank_; }
    std::size_t size() const noexcept { return size_; }
    bool is_shared() const noexcept { return size_ > 1; }
    bool leads() const noexcept { return rank_ == 0; }

    /// How many bytes of a file are one rank's in one piece. No two ranks write into the same multiple of it: who writes
    /// one page or stripe of a network file system from two machines waits for the other or, on NFS, loses its bytes.
    std::uint64_t region_bytes() const noexcept { return region_bytes_; }
    /// The same number at all ranks, and before anything is shared. Throws UsageError unless it is whole pages.
    void set_region_bytes(std::uint64_t bytes) {
        constexpr std::uint64_t page = 4096;
        if (bytes == 0 || bytes % page != 0)
            throw UsageError(to_text("region_size is ", bytes, " bytes, expected a multiple of ", page));
        region_bytes_ = bytes;
    }
    /// Whether a region is this rank's; they go round.
    bool owns(std::uint64_t region) const noexcept { return region % size_ == rank_; }

    /// Returns when all ranks have come here.
    void meet() { agree(nullptr); }

    /// Each value becomes the sum of all ranks' values.
    void sum(std::span<std::uint64_t> values) { combine(values, Operation::sum); }
    std::uint64_t sum(std::uint64_t value) {
        sum(std::span(&value, 1));
        return value;
    }
    /// Each value becomes the smallest of all ranks' values.
    void minimum(std::span<std::uint64_t> values) { combine(values, Operation::minimum); }
    /// Each value becomes all ranks' values, joined by exclusive or.
    void exclusive_or(std::span<std::uint64_t> values) { combine(values, Operation::exclusive_or); }

    /// Whether all ranks have the same value.
    bool is_same(std::uint64_t value) {
        std::array<std::uint64_t, 2> least{value, ~value};
        minimum(least);
        return least[0] == ~least[1];
    }

    /// The leader's text, at all ranks.
    std::string from_leader(std::string text) {
        agree(nullptr);
        return is_shared() ? broadcast_text(std::move(text), 0) : text;
    }

    /// Whether a rank has failed: nothing but end() makes sense any more.
    bool has_ended() const noexcept { return failure_ != nullptr; }

    /// Tells the others of a failure, waits until none of them works any more, and throws: all ranks the same error,
    /// which names the rank that failed, or their own where all have failed.
    [[noreturn]] void end(std::exception_ptr failure) {
        if (!is_shared()) std::rethrow_exception(failure);
        if (!failure_) tell(std::move(failure));
        if (!std::exchange(has_left_, true)) {
            std::uint64_t none = 0;
            reduce(std::span(&none, 1), Operation::sum);
        }
        std::rethrow_exception(failure_);
    }

protected:
    enum class Operation { sum, minimum, exclusive_or };

    World(std::size_t rank, std::size_t size) : rank_(rank), size_(size) {}

    /// Each value becomes that of all ranks, combined. Only called where there are several.
    virtual void reduce(std::span<std::uint64_t> /*values*/, Operation /*operation*/) {}
    /// The bytes become those of rank `from`, at all ranks. Only called where there are several.
    virtual void broadcast(std::span<std::byte> /*bytes*/, std::size_t /*from*/) {}
    /// What errors call this rank's machine; may be empty.
    virtual std::string host() const { return {}; }

private:
    void combine(std::span<std::uint64_t> values, Operation operation) {
        agree(nullptr);
        if (is_shared() && !values.empty()) reduce(values, operation);
    }

    /// Asks all ranks whether one has failed.
    void agree(std::exception_ptr mine) {
        if (!is_shared()) return;
        if (!failure_) tell(std::move(mine));
        if (failure_) std::rethrow_exception(failure_);
    }

    /// Sets failure_ where a rank has failed: to the error of the first.
    void tell(std::exception_ptr mine) {
        std::array<std::uint64_t, 2> least{mine ? rank_ : size_, mine ? 1U : 0U};
        reduce(least, Operation::minimum);
        const auto first = static_cast<std::size_t>(least[0]);
        if (first == size_) return;
        const bool all_failed = least[1] == 1;
        failure_ = decoded(broadcast_text(mine ? encoded(mine, !all_failed) : std::string(), first));
    }

    std::string broadcast_text(std::string text, std::size_t from) {
        std::uint64_t length = text.size();
        broadcast(std::as_writable_bytes(std::span(&length, 1)), from);
        text.resize(length);
        if (length > 0) broadcast(std::as_writable_bytes(std::span(text)), from);
        return text;
    }

    // An error as a text: a letter for its type, then what it says.

    std::string encoded(const std::exception_ptr& failure, bool with_rank) const {
        std::string place;
        if (with_rank) place = to_text("rank ", rank_, host().empty() ? "" : to_text(" (", host(), ')'), ": ");
        try {
            std::rethrow_exception(failure);
        } catch (const Cancelled&) {
            return "C";
        } catch (const UsageError& error) {
            return to_text('U', place, error.what());
        } catch (const std::bad_alloc&) {
            return to_text('E', place, "out of memory");
        } catch (const std::exception& error) {
            return to_text('E', place, error.what());
        } catch (...) {
            return to_text('E', place, "an unknown error");
        }
    }

    static std::exception_ptr decoded(const std::string& text) {
        if (text.starts_with('C')) return std::make_exception_ptr(Cancelled());
        if (text.starts_with('U')) return std::make_exception_ptr(UsageError(text.substr(1)));
        return std::make_exception_ptr(Error(text.substr(1)));
    }

    std::size_t rank_ = 0, size_ = 1;
    std::uint64_t region_bytes_ = std::uint64_t{16} << 20;
    std::exception_ptr failure_;
    bool has_left_ = false;
};

/// Does a job, or a part of one, with all ranks of a world: what it throws on one of them, all throw.
template <class Work>
decltype(auto) together(World& world, Work&& work) {
    try {
        return std::forward<Work>(work)();
    } catch (...) {
        if (!world.is_shared()) throw;
        world.end(std::current_exception());
    }
}

}  // namespace crossdock
