// SPDX-License-Identifier: Apache-2.0
#include "crossdock/queue/bell.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>

#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>

#include <fstream>
#include <string>
#endif

#include "support/catch.hpp"

using crossdock::detail::Bell;

TEST_CASE("bell does not wait for what holds already", "[queue][bell]") {
    Bell bell(GENERATE(0, 1, 1000));
    int asked = 0;
    bell.wait_until([&] { return ++asked > 0; });
    CHECK(asked == 1);
}

TEST_CASE("bell loses no wake-up between threads that wait for each other", "[queue][bell]") {
    // Each turn is one wait on either side. Without a look they go to sleep at once, so that falling asleep and ringing
    // meet in every order; a wake-up that is lost ends the test in its time limit.
    const int looks = GENERATE(0, 1, 20);
    constexpr std::uint64_t turns = 4000;
    Bell evens(looks), odds(looks);
    std::atomic<std::uint64_t> turn = 0;
    const auto play = [&](Bell& own, Bell& other, std::uint64_t first) {
        for (std::uint64_t mine = first; mine < turns; mine += 2) {
            own.wait_until([&] { return turn.load(std::memory_order_acquire) == mine; });
            turn.store(mine + 1, std::memory_order_release);
            other.ring();
        }
    };
    std::thread odd([&] { play(odds, evens, 1); });
    play(evens, odds, 0);
    odd.join();
    CHECK(turn == turns);
}

TEST_CASE("bell hears many threads ring at once", "[queue][bell]") {
    constexpr int ringers = 4, rings = 1000;
    Bell bell(0);
    std::atomic<int> done = 0;
    const auto ring = [&] {
        for (int i = 0; i < rings; ++i) {
            ++done;
            bell.ring();
        }
    };
    std::thread threads[] = {std::thread(ring), std::thread(ring), std::thread(ring), std::thread(ring)};
    static_assert(sizeof(threads) / sizeof(threads[0]) == ringers);
    int seen = 0;
    while (seen < ringers * rings) bell.wait_until([&] { return done.load() > seen && (seen = done.load(), true); });
    for (std::thread& thread : threads) thread.join();
    CHECK(seen == ringers * rings);
}

#if defined(__linux__)

namespace {

/// R while a thread runs or could, S while it sleeps.
char state_of(long thread) {
    std::ifstream file("/proc/self/task/" + std::to_string(thread) + "/stat");
    std::string text;
    std::getline(file, text);
    const auto name_end = text.rfind(')');
    return name_end + 2 < text.size() ? text[name_end + 2] : '?';
}

}  // namespace

TEST_CASE("bell sleeps while it waits, and takes no processor time", "[queue][bell]") {
    Bell bell;
    std::atomic<long> thread = 0;
    std::atomic<bool> rung = false;
    std::thread waiter([&] {
        thread = ::syscall(SYS_gettid);
        bell.wait_until([&] { return rung.load(); });
    });
    char state = 'R';
    for (int looks = 0; looks < 10'000 && state != 'S'; ++looks) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
        if (thread != 0) state = state_of(thread);
    }
    rung = true;
    bell.ring();
    waiter.join();
    CHECK(state == 'S');
}

#endif
