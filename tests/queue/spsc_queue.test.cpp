// SPDX-License-Identifier: Apache-2.0
#include "crossdock/queue/spsc_queue.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/one_in.hpp"

using crossdock::SpscQueue;

static_assert(!std::is_copy_constructible_v<SpscQueue<int>> && !std::is_move_constructible_v<SpscQueue<int>>);
static_assert(std::is_same_v<decltype(std::declval<SpscQueue<int>&>().pop()), std::optional<int>>);

namespace {

/// Counts how many of it are alive.
class Counted {
public:
    explicit Counted(std::atomic<int>& alive) : alive_(&alive) { ++*alive_; }
    Counted(Counted&& other) noexcept : alive_(other.alive_) { ++*alive_; }
    Counted(const Counted&) = delete;
    Counted& operator=(const Counted&) = delete;
    ~Counted() { --*alive_; }

private:
    std::atomic<int>* alive_;
};

/// Throws when it is moved for the n-th time.
struct ThrowsOnMove {
    explicit ThrowsOnMove(int moves) : moves_left(moves) {}
    ThrowsOnMove(ThrowsOnMove&& other) : moves_left(other.moves_left - 1) {
        if (moves_left < 0) throw std::runtime_error("moved once too often");
    }
    int moves_left;
};

/// Takes all items; the number of those that came in order from 0 on, or -1 at the first one that did not.
std::int64_t take_in_order(SpscQueue<std::int64_t>& queue, auto&& after_each) {
    std::int64_t expected = 0;
    while (const auto item = queue.pop()) {
        if (*item != expected) return -1;
        ++expected;
        after_each(expected);
    }
    return expected;
}

/// Pushes 0, 1, 2 … until `count` or until nobody takes them; the number of those pushed.
std::int64_t push_in_order(SpscQueue<std::int64_t>& queue, std::int64_t count, auto&& after_each) {
    for (std::int64_t i = 0; i < count; ++i) {
        if (!queue.push(i)) return i;
        after_each(i);
    }
    return count;
}

const auto at_once = [](std::int64_t) {};

/// Falls behind now and then, without a clock.
const auto dawdle = [](std::int64_t i) {
    for (int turns = 0; i % 16 == 0 && turns < 20; ++turns) std::this_thread::yield();
};

/// Every so often as long as it takes the other side to give up looking and fall asleep.
void let_it_sleep(int round) {
    if (round % 20 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

}  // namespace

TEST_CASE("spsc queue hands millions of items over in order", "[queue][spsc_queue]") {
    constexpr std::int64_t count = 3'000'000 / crossdock::test::one_in;
    SpscQueue<std::int64_t> queue(1000);
    std::int64_t pushed = 0;
    std::thread producer([&] {
        pushed = push_in_order(queue, count, at_once);
        queue.close();
    });
    const std::int64_t taken = take_in_order(queue, at_once);
    producer.join();
    CHECK(pushed == count);
    CHECK(taken == count);
}

TEST_CASE("spsc queue loses nothing at any capacity, whichever side is slow", "[queue][spsc_queue]") {
    const std::size_t capacity = GENERATE(1U, 2U, 3U, 7U, 50U, 64U);
    const int slow_side = GENERATE(0, 1, 2);
    constexpr std::int64_t count = 20'000;
    SpscQueue<std::int64_t> queue(capacity);
    REQUIRE(queue.capacity() == capacity);
    std::int64_t pushed = 0;
    std::thread producer([&] {
        pushed = slow_side == 1 ? push_in_order(queue, count, dawdle) : push_in_order(queue, count, at_once);
        queue.close();
    });
    const std::int64_t taken = slow_side == 2 ? take_in_order(queue, dawdle) : take_in_order(queue, at_once);
    producer.join();
    CHECK(pushed == count);
    CHECK(taken == count);
}

TEST_CASE("spsc queue never holds more than its capacity", "[queue][spsc_queue]") {
    const int capacity = GENERATE(1, 2, 5);
    constexpr int count = 5'000;
    SpscQueue<int> queue(static_cast<std::size_t>(capacity));
    std::atomic<int> pushed = 0;
    std::thread producer([&] {
        for (int i = 0; i < count && queue.push(i); ++i) ++pushed;
        queue.close();
    });
    int taken = 0, most_ahead = 0;
    // `pushed` lags behind the queue by at most one, so what it is ahead by is a lower bound of what the queue held.
    for (;;) {
        most_ahead = std::max(most_ahead, pushed.load() - taken);
        if (!queue.pop()) break;
        ++taken;
    }
    producer.join();
    CHECK(taken == count);
    CHECK(most_ahead <= capacity);
}

TEST_CASE("spsc queue gives what was pushed before it was closed", "[queue][spsc_queue][close]") {
    const int filled = GENERATE(0, 1, 2, 3);
    SpscQueue<int> queue(3);
    for (int i = 0; i < filled; ++i) REQUIRE(queue.push(i));
    queue.close();
    for (int i = 0; i < filled; ++i) REQUIRE(queue.pop() == i);
    CHECK_FALSE(queue.pop().has_value());
    CHECK_FALSE(queue.pop().has_value());
}

TEST_CASE("spsc queue refuses an item once it is closed, however full it is", "[queue][spsc_queue][close]") {
    const int filled = GENERATE(0, 1, 2, 3);
    SpscQueue<int> queue(3);
    for (int i = 0; i < filled; ++i) REQUIRE(queue.push(i));
    queue.close();
    CHECK_FALSE(queue.push(99));
    for (int i = 0; i < filled; ++i) REQUIRE(queue.pop() == i);
    CHECK_FALSE(queue.pop().has_value());
}

TEST_CASE("spsc queue may be closed again", "[queue][spsc_queue][close]") {
    SpscQueue<int> queue(2);
    REQUIRE(queue.push(1));
    queue.close();
    queue.close();
    CHECK(queue.pop() == 1);
    CHECK_FALSE(queue.pop().has_value());
    CHECK_FALSE(queue.push(2));
}

TEST_CASE("spsc queue wakes a producer that waits for room when the consumer leaves", "[queue][spsc_queue][close]") {
    const std::size_t capacity = GENERATE(1U, 4U);
    for (int round = 0; round < 300; ++round) {
        SpscQueue<std::int64_t> queue(capacity);
        std::int64_t pushed = 0;
        std::thread producer([&] { pushed = push_in_order(queue, 1'000'000, at_once); });
        for (int i = 0; i < round % 7; ++i) REQUIRE(queue.pop() == i);
        let_it_sleep(round);
        queue.close();
        producer.join();
        REQUIRE(pushed >= round % 7);
        REQUIRE(pushed <= round % 7 + static_cast<std::int64_t>(capacity));
    }
}

TEST_CASE("spsc queue wakes a consumer that waits for an item when it is closed", "[queue][spsc_queue][close]") {
    for (int round = 0; round < 300; ++round) {
        SpscQueue<std::int64_t> queue(4);
        std::int64_t taken = 0;
        std::thread consumer([&] { taken = take_in_order(queue, at_once); });
        const std::int64_t pushed = push_in_order(queue, round % 9, at_once);
        let_it_sleep(round);
        queue.close();
        consumer.join();
        REQUIRE(pushed == round % 9);
        REQUIRE(taken == pushed);
    }
}

TEST_CASE("spsc queue stops both sides when a third thread closes it", "[queue][spsc_queue][close]") {
    const std::size_t capacity = GENERATE(1U, 3U, 50U);
    for (int round = 0; round < 200; ++round) {
        SpscQueue<std::int64_t> queue(capacity);
        std::atomic<std::int64_t> progress = 0;
        std::int64_t pushed = 0, taken = 0;
        std::thread producer([&] { pushed = push_in_order(queue, 1'000'000'000, [&](std::int64_t) { ++progress; }); });
        std::thread consumer([&] { taken = take_in_order(queue, at_once); });
        while (progress < round) std::this_thread::yield();
        queue.close();
        producer.join();
        consumer.join();
        // The consumer may see the close before a push that was under way is done; it takes no item twice or out of
        // turn.
        REQUIRE(taken >= 0);
        REQUIRE(taken <= pushed);
        REQUIRE(pushed - taken <= static_cast<std::int64_t>(capacity));
    }
}

TEST_CASE("spsc queue hands items to and fro between threads that wait for each other", "[queue][spsc_queue]") {
    const std::size_t capacity = GENERATE(1U, 2U, 1024U);
    constexpr int rounds = 3000;
    SpscQueue<int> there(capacity), back(capacity);
    std::thread echo([&] {
        while (const auto item = there.pop())
            if (!back.push(*item)) return;
        back.close();
    });
    int wrong = 0;
    for (int i = 0; i < rounds; ++i) {
        let_it_sleep(i);
        wrong += !there.push(i) || back.pop() != i;
    }
    there.close();
    CHECK_FALSE(back.pop().has_value());
    echo.join();
    CHECK(wrong == 0);
}

TEST_CASE("spsc queue carries items that can only be moved", "[queue][spsc_queue]") {
    SpscQueue<std::unique_ptr<std::string>> queue(2);
    std::thread producer([&] {
        for (int i = 0; i < 1000; ++i)
            if (!queue.push(std::make_unique<std::string>(std::to_string(i)))) return;
        queue.close();
    });
    int taken = 0, wrong = 0;
    for (; auto item = queue.pop(); ++taken) wrong += **item != std::to_string(taken);
    producer.join();
    CHECK(taken == 1000);
    CHECK(wrong == 0);
}

TEST_CASE("spsc queue destroys the items that nobody took, each once", "[queue][spsc_queue]") {
    const int pushed = GENERATE(0, 1, 3, 4, 6);
    std::atomic<int> alive = 0;
    {
        SpscQueue<Counted> queue(4);
        int popped = 0;
        for (int i = 0; i < pushed; ++i) {
            if (i >= 4) popped += queue.pop().has_value();
            REQUIRE(queue.push(Counted(alive)));
            REQUIRE(alive == i + 1 - popped);
        }
        if (pushed < 4) queue.close();
    }
    CHECK(alive == 0);
}

TEST_CASE("spsc queue drops an item that it refuses", "[queue][spsc_queue][close]") {
    std::atomic<int> alive = 0;
    SpscQueue<Counted> queue(4);
    REQUIRE(queue.push(Counted(alive)));
    queue.close();
    CHECK_FALSE(queue.push(Counted(alive)));
    CHECK(alive == 1);
}

TEST_CASE("spsc queue leaks nothing when it is closed while both sides run", "[queue][spsc_queue][close]") {
    std::atomic<int> alive = 0;
    for (int round = 0; round < 200; ++round) {
        SpscQueue<Counted> queue(5);
        std::thread producer([&] {
            while (queue.push(Counted(alive))) {
            }
        });
        for (int i = 0; i < round % 11; ++i) REQUIRE(queue.pop().has_value());
        queue.close();
        producer.join();
        REQUIRE(alive <= 5);
    }
    CHECK(alive == 0);
}

TEST_CASE("spsc queue stays as it was when moving an item into it throws", "[queue][spsc_queue]") {
    SpscQueue<ThrowsOnMove> queue(2);
    CHECK_THROWS_AS(queue.push(ThrowsOnMove(0)), std::runtime_error);
    REQUIRE(queue.push(ThrowsOnMove(5)));
    queue.close();
    CHECK(queue.pop().has_value());
    CHECK_FALSE(queue.pop().has_value());
}
