// SPDX-License-Identifier: Apache-2.0
#include "crossdock/core/merge_sequences.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "support/catch.hpp"

using crossdock::detail::merge_sequences;

namespace {

/// As many ascending sequences as asked for, of different lengths.
std::vector<int> sequences(std::size_t count, std::size_t length) {
    std::vector<int> out;
    std::uint32_t state = 7;
    for (std::size_t i = 0; i < count; ++i) {
        int value = static_cast<int>(i % 3);
        for (std::size_t j = 0; j < length + i % 4; ++j) {
            state = state * 1664525U + 1013904223U;
            out.push_back(value += static_cast<int>(state >> 29));
        }
    }
    return out;
}

}  // namespace

TEST_CASE("sequences are merged into one, however many there are", "[core][merge_sequences]") {
    const std::size_t count = GENERATE(0U, 1U, 2U, 3U, 4U, 5U, 7U, 8U, 9U, 64U);
    const std::size_t length = GENERATE(1U, 2U, 50U);
    auto items = sequences(count, length), expected = items, spare = std::vector<int>{1, 2, 3};
    std::sort(expected.begin(), expected.end());
    merge_sequences(items, spare, std::less<>());
    CHECK(items == expected);
}

TEST_CASE("what stands the wrong way round is sorted as well", "[core][merge_sequences]") {
    std::vector<int> items(1000), spare;
    for (std::size_t i = 0; i < items.size(); ++i) items[i] = static_cast<int>(items.size() - i);
    merge_sequences(items, spare, std::less<>());
    CHECK(std::is_sorted(items.begin(), items.end()));
    CHECK(items.front() == 1);
    CHECK(items.size() == 1000);
}

TEST_CASE("what is in order already is only looked at", "[core][merge_sequences]") {
    auto items = sequences(1, 100), spare = std::vector<int>();
    const auto* const place = items.data();
    merge_sequences(items, spare, std::less<>());
    CHECK(items.data() == place);
    CHECK(spare.capacity() == 0);
}
