// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>
#include <exception>
#include <mutex>
#include <optional>
#include <utility>

#include "crossdock/core/error.hpp"
#include "crossdock/queue/spsc_queue.hpp"

namespace crossdock {

/// A queue from one sender thread to one receiver thread, and the error that ended it. The first error wins: it stops
/// both sides, and whoever started them finds it in error(). Destroy it only when all threads are done with it.
template <class T>
class Channel {
public:
    /// Holds at most `capacity` messages, at least one.
    explicit Channel(std::size_t capacity) : queue_(capacity) {}

    /// Sender: hands a message over, waiting while the channel is full. False once nobody will receive it: either
    /// side failed, or the channel was cancelled; the sender should then stop.
    [[nodiscard]] bool send(T message) { return queue_.push(std::move(message)); }

    /// Receiver: the next message, waiting for it; empty when the sender finished and all messages were received.
    /// Throws the channel's error as soon as there is one: messages still in the queue are then worthless.
    [[nodiscard]] std::optional<T> receive() {
        rethrow_error();
        std::optional<T> message = queue_.pop();
        if (!message) rethrow_error();
        return message;
    }

    /// Sender: that was the last message.
    void finish() noexcept { queue_.close(); }

    /// Any thread: ends the channel with an error and wakes both sides. Only the first error is kept.
    void fail(std::exception_ptr error) noexcept {
        {
            const std::lock_guard lock(error_mutex_);
            if (!error_) error_ = std::move(error);
            failed_.store(true, std::memory_order_release);
        }
        queue_.close();  // after the error is set, so that whoever wakes finds it
    }

    /// Any thread, so that a std::stop_callback may call it: ends the channel with the error Cancelled.
    void cancel() noexcept { fail(std::make_exception_ptr(Cancelled())); }

    /// The error that ended the channel; null while there is none.
    std::exception_ptr error() const {
        const std::lock_guard lock(error_mutex_);
        return error_;
    }

    /// Throws error(), when there is one.
    void rethrow_error() const {
        // The flag spares each message the lock; it is written once, so reading it costs no cache miss.
        if (failed_.load(std::memory_order_acquire)) std::rethrow_exception(error());
    }

    std::size_t capacity() const noexcept { return queue_.capacity(); }

private:
    SpscQueue<T> queue_;
    std::atomic<bool> failed_ = false;
    mutable std::mutex error_mutex_;
    std::exception_ptr error_;
};

}  // namespace crossdock
