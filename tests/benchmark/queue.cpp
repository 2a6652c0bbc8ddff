// SPDX-License-Identifier: Apache-2.0
// queue [ROUNDS]: compares Crossdock's queue with others of its kind, as a Markdown table.
//
// Two threads, each on a processor of its own, hand 64-bit integers over: nanoseconds an item of a long stream, and of
// an item that goes to the other thread and comes back through a second queue. The queues take turns, ROUNDS times (31
// unless given); the table has the median and the shortest. The last column is what a consumer burns while nothing comes for a tenth of a
// second: the price of a queue that only spins.
//
// Of the others, those that are installed take part: Debian's libboost-dev and libreaderwriterqueue-dev.

#include <pthread.h>
#include <sched.h>
#include <time.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "crossdock/queue/spsc_queue.hpp"

#if __has_include(<boost/lockfree/spsc_queue.hpp>)
#include <boost/lockfree/spsc_queue.hpp>
#endif
#if __has_include(<readerwriterqueue/readerwriterqueue.h>)
#include <readerwriterqueue/readerwriterqueue.h>
#endif
#if __has_include(<readerwriterqueue/readerwritercircularbuffer.h>)
#include <readerwriterqueue/readerwritercircularbuffer.h>
#endif

namespace {

using Clock = std::chrono::steady_clock;
using Item = std::uint64_t;

// Every queue as one that waits: those that cannot are asked again and again.

struct Crossdock {
    explicit Crossdock(std::size_t capacity) : queue(capacity) {}
    void push(Item item) { static_cast<void>(queue.push(item)); }
    Item pop() { return *queue.pop(); }
    crossdock::SpscQueue<Item> queue;
};

#if __has_include(<boost/lockfree/spsc_queue.hpp>)
struct Boost {
    explicit Boost(std::size_t capacity) : queue(capacity) {}
    void push(Item item) {
        while (!queue.push(item)) crossdock::detail::pause_processor();
    }
    Item pop() {
        Item item = 0;
        while (!queue.pop(item)) crossdock::detail::pause_processor();
        return item;
    }
    boost::lockfree::spsc_queue<Item> queue;
};
#endif

#if __has_include(<readerwriterqueue/readerwriterqueue.h>)
struct ReaderWriterQueue {
    explicit ReaderWriterQueue(std::size_t capacity) : queue(capacity) {}
    void push(Item item) {
        while (!queue.try_enqueue(item)) crossdock::detail::pause_processor();
    }
    Item pop() {
        Item item = 0;
        while (!queue.try_dequeue(item)) crossdock::detail::pause_processor();
        return item;
    }
    moodycamel::ReaderWriterQueue<Item> queue;
};
#endif

#if __has_include(<readerwriterqueue/readerwritercircularbuffer.h>)
struct CircularBuffer {
    explicit CircularBuffer(std::size_t capacity) : queue(capacity) {}
    void push(Item item) { queue.wait_enqueue(item); }
    Item pop() {
        Item item = 0;
        queue.wait_dequeue(item);
        return item;
    }
    moodycamel::BlockingReaderWriterCircularBuffer<Item> queue;
};
#endif

/// The n-th of the processors that this program may use.
std::size_t processor(std::size_t n) {
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0) return n;
    for (std::size_t cpu = 0; cpu < CPU_SETSIZE; ++cpu)
        if (CPU_ISSET(cpu, &allowed) && n-- == 0) return cpu;
    return 0;
}

void pin(pthread_t thread, std::size_t cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    pthread_setaffinity_np(thread, sizeof(set), &set);
}

double nanoseconds(Clock::time_point begin, double items) {
    return std::chrono::duration<double, std::nano>(Clock::now() - begin).count() / items;
}

const std::size_t near = processor(0), far = processor(1);

template <class Queue>
double stream(std::size_t capacity) {
    constexpr Item count = 200'000;
    Queue queue(capacity);
    std::thread producer([&] {
        for (Item i = 0; i <= count; ++i) queue.push(i);
    });
    pin(producer.native_handle(), far);
    Item wrong = queue.pop();  // both run by then
    const auto begin = Clock::now();
    for (Item i = 1; i <= count; ++i) wrong += queue.pop() != i;
    const double result = nanoseconds(begin, count);
    producer.join();
    if (wrong != 0) std::abort();
    return result;
}

template <class Queue>
double round_trip(std::size_t capacity) {
    constexpr Item count = 20'000;
    Queue there(capacity), back(capacity);
    std::thread echo([&] {
        for (Item i = 0; i <= count; ++i) back.push(there.pop());
    });
    pin(echo.native_handle(), far);
    const auto trip = [&](Item item) {
        there.push(item);
        return back.pop() != item;
    };
    bool wrong = trip(0);
    const auto begin = Clock::now();
    for (Item i = 1; i <= count; ++i) wrong |= trip(i);
    const double result = nanoseconds(begin, count);
    echo.join();
    if (wrong) std::abort();
    return result;
}

/// Processor milliseconds of a consumer that waits for a tenth of a second.
template <class Queue>
double burnt_while_waiting() {
    Queue queue(50);
    double milliseconds = 0;
    std::thread consumer([&] {
        queue.pop();
        timespec used{};
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
        milliseconds = static_cast<double>(used.tv_sec) * 1e3 + static_cast<double>(used.tv_nsec) / 1e6;
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    queue.push(0);
    consumer.join();
    return milliseconds;
}

struct Candidate {
    std::string name;
    std::vector<std::function<double()>> measurements;
    std::map<std::size_t, std::vector<double>> results;
};

template <class Queue>
Candidate candidate(std::string name) {
    return {std::move(name),
            {[] { return stream<Queue>(50); }, [] { return stream<Queue>(1024); }, [] { return round_trip<Queue>(50); },
             [] { return round_trip<Queue>(1024); }, burnt_while_waiting<Queue>},
            {}};
}

std::vector<Candidate> candidates() {
    std::vector<Candidate> out;
    out.push_back(candidate<Crossdock>("crossdock::SpscQueue"));
#if __has_include(<boost/lockfree/spsc_queue.hpp>)
    out.push_back(candidate<Boost>("boost::lockfree::spsc_queue"));
#endif
#if __has_include(<readerwriterqueue/readerwriterqueue.h>)
    out.push_back(candidate<ReaderWriterQueue>("moodycamel::ReaderWriterQueue"));
#endif
#if __has_include(<readerwriterqueue/readerwritercircularbuffer.h>)
    out.push_back(candidate<CircularBuffer>("moodycamel::BlockingReaderWriterCircularBuffer"));
#endif
    return out;
}

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

}  // namespace

int main(int argc, char** argv) {
    const int rounds = argc > 1 ? std::max(1, std::atoi(argv[1])) : 31;
    if (near == far) std::puts("This program may use one processor only: what follows says little.\n");
    pin(pthread_self(), near);
    auto all = candidates();
    for (int round = 0; round < rounds; ++round)
        for (std::size_t what = 0; what < all.front().measurements.size(); ++what)
            for (Candidate& each : all) each.results[what].push_back(each.measurements[what]());
    std::puts(
        "| queue | ns an item, capacity 50 | 1024 | ns a round trip, capacity 50 | 1024 | ms burnt in 100 ms |\n"
        "|---|---|---|---|---|---|");
    for (const Candidate& each : all) {
        std::printf("| %s |", each.name.c_str());
        for (const auto& [what, values] : each.results) {
            const int digits = what == 4 ? 2 : 0;
            std::printf(" %.*f, %.*f |", digits, median(values), digits,
                        *std::min_element(values.begin(), values.end()));
        }
        std::puts("");
    }
}
