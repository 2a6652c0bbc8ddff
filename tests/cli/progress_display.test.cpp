// SPDX-License-Identifier: Apache-2.0
#include "crossdock/cli/progress_display.hpp"

#include <string>

#include "support/catch.hpp"

using crossdock::Progress;
using crossdock::cli::progress_bar;

TEST_CASE("the bar shows message, share, bytes, rate and time left", "[cli]") {
    const Progress progress{.message = "transformer layer 3", .bytes = 500'000'000, .total_bytes = 2'000'000'000};
    CHECK(progress_bar(progress, 2.0, 100) ==
          "transformer layer 3    [#######                        ] 25%  500 MB of 2.00 GB  250 MB/s  0:06 left");
}

TEST_CASE("the bar fits its terminal", "[cli]") {
    const Progress progress{.message = "transformer layer 3", .bytes = 1, .total_bytes = 3};
    CHECK(progress_bar(progress, 1.0, 200).size() < 120);
    for (const std::size_t columns : {0U, 1U, 20U, 60U, 79U})
        CHECK(progress_bar(progress, 1.0, columns).size() <= columns);
}

TEST_CASE("the bar begins before anything is known", "[cli]") {
    CHECK_THAT(progress_bar({}, 0.0, 79), Catch::Matchers::ContainsSubstring("] 0%  0 B of 0 B  0 B/s"));
}
