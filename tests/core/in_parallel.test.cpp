// SPDX-License-Identifier: Apache-2.0
#include "crossdock/core/in_parallel.hpp"

#include <atomic>
#include <cstddef>
#include <vector>

#include "crossdock/core/error.hpp"
#include "crossdock/core/text.hpp"
#include "support/catch.hpp"

using namespace crossdock;

TEST_CASE("each number is worked on once", "[core][in_parallel]") {
    for (const std::size_t count : {0U, 1U, 2U, 1000U}) {
        std::vector<std::atomic<unsigned>> times(count);
        in_parallel(count, [&](std::size_t number) { ++times[number]; });
        for (const std::atomic<unsigned>& each : times) CHECK(each == 1);
    }
}

TEST_CASE("of several errors that of the least number is thrown", "[core][in_parallel]") {
    for (unsigned round = 0; round < 50; ++round) {
        std::atomic<std::size_t> made{0};
        const auto work = [&](std::size_t number) {
            ++made;
            if (number >= 3) throw Error(to_text("number ", number));
        };
        CHECK_THROWS_WITH(in_parallel(100'000, work), "number 3");
        CHECK(made < 100'000);
    }
}
