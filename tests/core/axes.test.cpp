// SPDX-License-Identifier: Apache-2.0
#include "crossdock/core/axes.hpp"

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "support/catch.hpp"

using namespace crossdock;

TEST_CASE("axes keep as many numbers as they are given, in copies of their own", "[core][axes]") {
    for (std::size_t count = 0; count <= 6; ++count) {
        std::vector<std::uint64_t> numbers;
        for (std::size_t axis = 0; axis < count; ++axis) numbers.push_back(axis + 7);
        const Axes axes(numbers);
        CHECK(axes.size() == count);
        CHECK(axes.empty() == numbers.empty());
        CHECK(std::vector<std::uint64_t>(axes.begin(), axes.end()) == numbers);
        Axes copy = axes;
        CHECK(copy == axes);
        if (count > 0) {
            copy[count - 1] = 1;
            CHECK(axes[count - 1] == count + 6);
            CHECK_FALSE(copy == axes);
        }
        Axes taken = std::move(copy);
        taken = axes;
        CHECK(taken == axes);
        taken = Axes{1, 2};
        CHECK(taken == std::vector<std::uint64_t>{1, 2});
    }
}
