// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "crossdock/core/error.hpp"
#include "crossdock/queue/bell.hpp"

namespace crossdock {

namespace detail {

// Not std::hardware_destructive_interference_size: GCC warns where a header uses it, other libraries lack it.
inline constexpr std::size_t cache_line_bytes = 64;

/// Throws Error for a queue without room.
inline std::size_t at_least_one(std::size_t capacity) {
    if (capacity == 0) throw Error("a queue needs room for at least one item");
    return capacity;
}

}  // namespace detail

/// A bounded lock-free ring between one producer thread, which calls push(), and one consumer thread, which calls
/// pop(). Each sleeps while it has to wait for the other. Any thread may close the queue; destroy it only when all
/// threads are done with it. Items that nobody took are destroyed with it.
template <class T>
class SpscQueue {
public:
    /// Room for `capacity` items, at least one.
    explicit SpscQueue(std::size_t capacity)
        : capacity_(capacity),
          slots_(std::allocator<T>().allocate(detail::at_least_one(capacity))) {}
    SpscQueue(const SpscQueue&) = delete;
    SpscQueue& operator=(const SpscQueue&) = delete;
    ~SpscQueue();

    /// Producer: adds the item, waiting while the queue is full. False, and the item is dropped, once it is closed.
    [[nodiscard]] bool push(T item);

    /// Consumer: takes the oldest item, waiting while there is none. Empty once the queue is closed and drained.
    [[nodiscard]] std::optional<T> pop();

    /// Any thread: push() gives up from now on, asleep or not; the items that are in the queue can still be taken.
    void close() noexcept;

    std::size_t capacity() const noexcept { return capacity_; }

private:
    /// What one thread writes, on a cache line of its own: otherwise each push would take the line from under a pop.
    struct alignas(detail::cache_line_bytes) Side {
        std::atomic<std::uint64_t> count = 0;  ///< of items that it has pushed, or popped
        std::size_t slot = 0;                  ///< that it uses next
        /// The other side's count when last looked at. While it still promises an item (or room), the other line,
        /// which its owner keeps writing, is not fetched.
        std::uint64_t other_count = 0;
    };

    void advance(Side& side, std::uint64_t count) noexcept;
    bool wait_for_room(std::uint64_t pushed) noexcept;
    bool wait_for_item(std::uint64_t popped) noexcept;

    // Hardly ever written, so that both threads keep this line; Side's alignment keeps it apart from theirs.
    const std::size_t capacity_;
    T* const slots_;
    std::atomic<bool> closed_ = false;
    detail::Bell room_, item_;  // the producer waits for room, the consumer for an item
    Side producer_, consumer_;
};

template <class T>
SpscQueue<T>::~SpscQueue() {
    for (std::uint64_t popped = consumer_.count; popped != producer_.count; ++popped) {
        std::destroy_at(slots_ + consumer_.slot);
        advance(consumer_, popped + 1);
    }
    std::allocator<T>().deallocate(slots_, capacity_);
}

template <class T>
bool SpscQueue<T>::push(T item) {
    if (closed_.load(std::memory_order_relaxed)) return false;
    const std::uint64_t pushed = producer_.count.load(std::memory_order_relaxed);
    if (pushed - producer_.other_count == capacity_ && !wait_for_room(pushed)) return false;
    std::construct_at(slots_ + producer_.slot, std::move(item));
    advance(producer_, pushed + 1);
    item_.ring();
    return true;
}

template <class T>
std::optional<T> SpscQueue<T>::pop() {
    const std::uint64_t popped = consumer_.count.load(std::memory_order_relaxed);
    if (popped == consumer_.other_count && !wait_for_item(popped)) return std::nullopt;
    T* const slot = slots_ + consumer_.slot;
    std::optional<T> item(std::move(*slot));
    std::destroy_at(slot);
    advance(consumer_, popped + 1);
    room_.ring();
    return item;
}

template <class T>
void SpscQueue<T>::close() noexcept {
    closed_.store(true, std::memory_order_release);
    room_.ring();
    item_.ring();
}

/// Hands over what was done to the side's slot: the other side sees it when it sees the count.
template <class T>
void SpscQueue<T>::advance(Side& side, std::uint64_t count) noexcept {
    if (++side.slot == capacity_) side.slot = 0;
    side.count.store(count, std::memory_order_release);
}

template <class T>
bool SpscQueue<T>::wait_for_room(std::uint64_t pushed) noexcept {
    room_.wait_until([&] {
        producer_.other_count = consumer_.count.load(std::memory_order_acquire);
        return pushed - producer_.other_count < capacity_ || closed_.load(std::memory_order_relaxed);
    });
    return !closed_.load(std::memory_order_relaxed);
}

template <class T>
bool SpscQueue<T>::wait_for_item(std::uint64_t popped) noexcept {
    item_.wait_until([&] {
        // In this order: whoever sees that the producer closed the queue also sees all that it pushed before.
        const bool closed = closed_.load(std::memory_order_acquire);
        consumer_.other_count = producer_.count.load(std::memory_order_acquire);
        return consumer_.other_count != popped || closed;
    });
    return consumer_.other_count != popped;
}

}  // namespace crossdock
