// SPDX-License-Identifier: Apache-2.0
#include "crossdock/cli/units.hpp"

#include "support/catch.hpp"

using crossdock::cli::bytes_text;
using crossdock::cli::duration_text;

TEST_CASE("bytes have three digits and a decimal unit", "[cli]") {
    CHECK(bytes_text(std::uint64_t{0}) == "0 B");
    CHECK(bytes_text(std::uint64_t{999}) == "999 B");
    CHECK(bytes_text(std::uint64_t{1000}) == "1.00 kB");
    CHECK(bytes_text(std::uint64_t{98304}) == "98.3 kB");
    CHECK(bytes_text(std::uint64_t{999'600}) == "1.00 MB");
    CHECK(bytes_text(std::uint64_t{140'000'000'000}) == "140 GB");
    CHECK(bytes_text(std::uint64_t{5'000'000'000'000'000}) == "5.00 PB");
}

TEST_CASE("durations are read like a clock", "[cli]") {
    CHECK(duration_text(0.4) == "0:00");
    CHECK(duration_text(7) == "0:07");
    CHECK(duration_text(754.2) == "12:34");
    CHECK(duration_text(3723) == "1:02:03");
}
