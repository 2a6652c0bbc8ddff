// SPDX-License-Identifier: Apache-2.0
#include "crossdock/layout/qkv_version.hpp"

#include <numeric>

#include "support/catch.hpp"
#include "support/numbered_tensor.hpp"

using namespace crossdock;
using namespace crossdock::test;

namespace {

/// Row `row` of head `head` of part `part` (q, k, v), as a number that says so.
std::int32_t label(std::uint64_t head, std::uint64_t part, std::uint64_t row) {
    return static_cast<std::int32_t>(head * 1000 + part * 100 + row);
}

/// The rows of n heads with d rows each, in the order [n, 3, d] of version 2.0.
std::vector<std::int32_t> latest(std::uint64_t n, std::uint64_t d) {
    std::vector<std::int32_t> rows;
    for (std::uint64_t head = 0; head < n; ++head)
        for (std::uint64_t part = 0; part < 3; ++part)
            for (std::uint64_t row = 0; row < d; ++row) rows.push_back(label(head, part, row));
    return rows;
}

}  // namespace

TEST_CASE("rows of version 0 stand as [3, heads, rows of a head]", "[layout]") {
    for (const std::uint64_t n : {1U, 2U, 5U})
        for (const std::uint64_t d : {1U, 4U}) {
            std::vector<std::int32_t> rows;
            for (std::uint64_t part = 0; part < 3; ++part)
                for (std::uint64_t head = 0; head < n; ++head)
                    for (std::uint64_t row = 0; row < d; ++row) rows.push_back(label(head, part, row));
            CHECK(elements(qkv_from_version_0(int_tensor({3 * n * d}, rows), d)) == latest(n, d));
        }
}

TEST_CASE("rows of version 1.0 stand as [heads, rows of a head, 3]", "[layout]") {
    for (const std::uint64_t n : {1U, 2U, 5U})
        for (const std::uint64_t d : {1U, 4U}) {
            std::vector<std::int32_t> rows;
            for (std::uint64_t head = 0; head < n; ++head)
                for (std::uint64_t row = 0; row < d; ++row)
                    for (std::uint64_t part = 0; part < 3; ++part) rows.push_back(label(head, part, row));
            CHECK(elements(qkv_from_version_1(int_tensor({3 * n * d}, rows), d)) == latest(n, d));
        }
}

TEST_CASE("older rows keep their columns", "[layout]") {
    const Tensor rows = numbered({6, 2});  // one head of 2 rows
    CHECK(elements(qkv_from_version_0(rows, 2)) == elements(rows));
    CHECK(elements(qkv_from_version_1(rows, 2)) == std::vector<std::int32_t>{0, 1, 6, 7, 2, 3, 8, 9, 4, 5, 10, 11});
}

TEST_CASE("rows of older versions come back as they were", "[layout]") {
    std::vector<std::int32_t> numbers(3 * 4 * 2 * 5);
    std::iota(numbers.begin(), numbers.end(), 0);
    const Tensor rows = int_tensor({3 * 4 * 2, 5}, numbers);
    CHECK(elements(qkv_to_version_0(qkv_from_version_0(rows, 2), 2)) == numbers);
    CHECK(elements(qkv_to_version_1(qkv_from_version_1(rows, 2), 2)) == numbers);
    CHECK(elements(qkv_to_version_0(rows, 2)) != numbers);
    CHECK(elements(qkv_to_version_1(rows, 2)) != numbers);
}
