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
#include "crossdock/queue/patience.hpp"

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
    /// What one thread says, on a cache line of its own: otherwise each push would take the line from under a pop.
    struct alignas(detail::cache_line_bytes) Said {
        std::atomic<std::uint64_t> count = 0;  ///< of items that it has pushed, or popped
    };
    /// What it alone knows, on another line: the other thread takes the first one away whenever it looks.
    struct alignas(detail::cache_line_bytes) Side {
        std::uint64_t count = 0;  ///< as said
        std::size_t slot = 0;     ///< that it uses next
        /// The other side's count when last looked at. While it still promises an item (or room), the other line,
        /// which its owner keeps writing, is not fetched.
        std::uint64_t other_count = 0;
        detail::Patience patience{};
    };

    void advance(Side& side, Said& said) noexcept;
    bool wait_for_room() noexcept;
    bool wait_for_item() noexcept;

    // Hardly ever written, so that both threads keep this line; the alignment of what follows keeps it apart.
    const std::size_t capacity_;
    T* const slots_;
    std::atomic<bool> closed_ = false;
    detail::Bell room_, item_;  // the producer waits for room, the consumer for an item
    Said pushed_, popped_;
    Side producer_, consumer_;
};

template <class T>
SpscQueue<T>::~SpscQueue() {
    while (consumer_.count != producer_.count) {
        std::destroy_at(slots_ + consumer_.slot);
        advance(consumer_, popped_);
    }
    std::allocator<T>().deallocate(slots_, capacity_);
}

template <class T>
bool SpscQueue<T>::push(T item) {
    if (closed_.load(std::memory_order_relaxed)) return false;
    if (producer_.count - producer_.other_count == capacity_ && !wait_for_room()) return false;
    std::construct_at(slots_ + producer_.slot, std::move(item));
    advance(producer_, pushed_);
    item_.ring();
    return true;
}

template <class T>
std::optional<T> SpscQueue<T>::pop() {
    if (consumer_.count == consumer_.other_count && !wait_for_item()) return std::nullopt;
    T* const slot = slots_ + consumer_.slot;
    std::optional<T> item(std::move(*slot));
    std::destroy_at(slot);
    advance(consumer_, popped_);
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
void SpscQueue<T>::advance(Side& side, Said& said) noexcept {
    if (++side.slot == capacity_) side.slot = 0;
    said.count.store(++side.count, std::memory_order_release);
}

template <class T>
bool SpscQueue<T>::wait_for_room() noexcept {
    const auto look = [&] { return producer_.other_count = popped_.count.load(std::memory_order_acquire); };
    room_.wait_until([&] { return producer_.count - look() < capacity_ || closed_.load(std::memory_order_relaxed); });
    producer_.patience.wait(look);
    return !closed_.load(std::memory_order_relaxed);
}

template <class T>
bool SpscQueue<T>::wait_for_item() noexcept {
    const auto look = [&] { return consumer_.other_count = pushed_.count.load(std::memory_order_acquire); };
    item_.wait_until([&] {
        // In this order: whoever sees that the producer closed the queue also sees all that it pushed before.
        const bool closed = closed_.load(std::memory_order_acquire);
        return look() != consumer_.count || closed;
    });
    consumer_.patience.wait(look);
    return consumer_.other_count != consumer_.count;
}

}  // namespace crossdock
