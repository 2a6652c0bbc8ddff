// SPDX-License-Identifier: Apache-2.0
#include "crossdock/core/checked.hpp"

#include <cstdint>
#include <limits>

#include "support/catch.hpp"

using crossdock::checked_add;
using crossdock::checked_multiply;

namespace {
constexpr std::uint64_t greatest = std::numeric_limits<std::uint64_t>::max();
}

TEST_CASE("checked arithmetic gives what fits 64 bits", "[core][checked]") {
    CHECK(checked_multiply(6, 7, "answer") == 42);
    CHECK(checked_multiply(greatest, 0, "nothing") == 0);
    CHECK(checked_multiply(greatest, 1, "all") == greatest);
    CHECK(checked_add(greatest, 0, "all") == greatest);
    CHECK(checked_add(greatest - 1, 1, "all") == greatest);
}

TEST_CASE("checked arithmetic names what overflows and its operands", "[core][checked]") {
    CHECK_THROWS_WITH(checked_multiply(std::uint64_t{1} << 32, std::uint64_t{1} << 32, "tensor bytes"),
                      "tensor bytes: 4294967296 × 4294967296 overflows 64 bits");
    CHECK_THROWS_WITH(checked_add(greatest, 1, "tensor end"), "tensor end: 18446744073709551615 + 1 overflows 64 bits");
}
