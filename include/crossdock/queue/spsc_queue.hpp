// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "crossdock/core/error.hpp"

namespace crossdock {

namespace detail {

// Not std::hardware_destructive_interference_size: GCC warns where a header uses it, other libraries lack it.
inline constexpr std::size_t cache_line_bytes = 64;

/// How far one side of a queue has come: a position that only grows, and in the lowest bit whether it is closed. Both
/// are in one word, so that whoever waits for the position to move wakes up for a close as well.
class QueuePosition {
public:
    struct Value {
        std::uint64_t word;
        std::uint64_t count() const noexcept { return word >> 1; }
        bool closed() const noexcept { return (word & 1U) != 0; }
    };

    /// As its own side reads it: only that side moves the position, so no ordering is needed.
    Value own() const noexcept { return {word_.load(std::memory_order_relaxed)}; }

    /// As the other side reads it: acquire, so that the items (or the room) behind the position are seen as well.
    Value seen_by_other() const noexcept { return {word_.load(std::memory_order_acquire)}; }

    /// Sleeps until the word differs from `last`.
    void wait(Value last) const noexcept { word_.wait(last.word, std::memory_order_relaxed); }

    // Both changes add to the word instead of storing it, so that neither undoes the other when a third thread closes;
    // read-modify-writes also continue each other's release sequences, so that a reader of the close bit sees every
    // item in front of it. Release: what was done to the slots comes before.
    void advance() noexcept {
        word_.fetch_add(2, std::memory_order_release);
        word_.notify_one();
    }
    void close() noexcept {
        word_.fetch_or(1, std::memory_order_release);
        word_.notify_all();
    }

private:
    std::atomic<std::uint64_t> word_{0};
};

/// Throws Error for a queue without room.
inline std::size_t at_least_one(std::size_t capacity) {
    if (capacity == 0) throw Error("a queue needs room for at least one item");
    return capacity;
}

}  // namespace detail

/// A bounded lock-free ring between one producer thread, which calls push(), and one consumer thread, which calls
/// pop(). Each sleeps while it has to wait for the other, and each can leave. Closing is safe from any thread; destroy
/// the queue only when all threads are done with it. Items that nobody took are destroyed with it.
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

    /// No more items will come; those that are in the queue can still be taken.
    void close_producer() noexcept { producer_.position.close(); }

    /// No more items are wanted: push() gives up from now on, asleep or not.
    void close_consumer() noexcept {
        consumer_.position.close();  // wakes a producer that waits for room
        producer_.position.close();  // push() reads this line anyway, so it need not fetch the consumer's each time
    }

    std::size_t capacity() const noexcept { return capacity_; }

private:
    /// What one thread writes, on a cache line of its own: otherwise each push would take the line from under a pop.
    struct alignas(detail::cache_line_bytes) Side {
        detail::QueuePosition position;
        // The other side's count when last looked at. While it still promises an item (or room), the other line,
        // which its owner keeps writing, is not fetched.
        std::uint64_t other_count = 0;
    };

    bool wait_for_room(std::uint64_t pushed) noexcept;
    bool wait_for_item(std::uint64_t popped) noexcept;
    T* slot(std::uint64_t count) const noexcept { return slots_ + count % capacity_; }

    // Never written after construction, so both threads keep this line; Side's alignment keeps it apart from theirs.
    const std::size_t capacity_;
    T* const slots_;
    Side producer_, consumer_;
};

template <class T>
SpscQueue<T>::~SpscQueue() {
    const std::uint64_t pushed = producer_.position.seen_by_other().count();
    for (std::uint64_t popped = consumer_.position.seen_by_other().count(); popped != pushed; ++popped)
        std::destroy_at(slot(popped));
    std::allocator<T>().deallocate(slots_, capacity_);
}

template <class T>
bool SpscQueue<T>::push(T item) {
    const auto own = producer_.position.own();
    if (own.closed()) return false;
    if (own.count() - producer_.other_count == capacity_ && !wait_for_room(own.count())) return false;
    std::construct_at(slot(own.count()), std::move(item));
    producer_.position.advance();
    return true;
}

template <class T>
std::optional<T> SpscQueue<T>::pop() {
    const std::uint64_t popped = consumer_.position.own().count();
    if (popped == consumer_.other_count && !wait_for_item(popped)) return std::nullopt;
    std::optional<T> item(std::move(*slot(popped)));
    std::destroy_at(slot(popped));
    consumer_.position.advance();
    return item;
}

template <class T>
bool SpscQueue<T>::wait_for_room(std::uint64_t pushed) noexcept {
    for (;;) {
        const auto consumer = consumer_.position.seen_by_other();
        if (consumer.closed()) return false;
        producer_.other_count = consumer.count();
        if (pushed - consumer.count() < capacity_) return true;
        consumer_.position.wait(consumer);
    }
}

template <class T>
bool SpscQueue<T>::wait_for_item(std::uint64_t popped) noexcept {
    for (;;) {
        const auto producer = producer_.position.seen_by_other();
        consumer_.other_count = producer.count();
        if (producer.count() != popped) return true;
        if (producer.closed()) return false;
        producer_.position.wait(producer);
    }
}

}  // namespace crossdock
