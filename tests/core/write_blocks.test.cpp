// SPDX-License-Identifier: Apache-2.0
#include "crossdock/core/write_blocks.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "crossdock/core/from_memory.hpp"
#include "support/catch.hpp"

using namespace crossdock;

namespace {

/// 0, 1, 2 … as a [rows, columns] matrix.
Tensor counting(std::uint64_t rows, std::uint64_t columns) {
    std::vector<std::int32_t> values(rows * columns);
    std::iota(values.begin(), values.end(), 0);
    return from_vector(std::move(values), {rows, columns});
}

struct Blocks {
    std::vector<std::size_t> sizes;
    std::vector<std::byte> bytes;  // of all
};

Blocks blocks_of(const Tensor& tensor, std::size_t block_bytes) {
    Blocks blocks;
    for_each_block(
        tensor,
        [&](std::span<const std::byte> block) {
            blocks.sizes.push_back(block.size());
            blocks.bytes.insert(blocks.bytes.end(), block.begin(), block.end());
        },
        block_bytes);
    return blocks;
}

}  // namespace

TEST_CASE("a tensor is visited in blocks of whole elements", "[core][write_blocks]") {
    const Tensor tensor = transpose(counting(3, 5));
    const Blocks blocks = blocks_of(tensor, 26);
    CHECK(blocks.sizes == std::vector<std::size_t>{24, 24, 12});
    CHECK(blocks.bytes == tensor.bytes());
}

TEST_CASE("a block holds at least one element and at most the tensor", "[core][write_blocks]") {
    CHECK(blocks_of(counting(1, 3), 1).sizes == std::vector<std::size_t>{4, 4, 4});
    CHECK(blocks_of(counting(1, 3), 1000).sizes == std::vector<std::size_t>{12});
    CHECK(blocks_of(counting(0, 3), 1000).sizes.empty());
}

TEST_CASE("a visitor's exception ends the walk", "[core][write_blocks]") {
    int visits = 0;
    const auto visit = [&](std::span<const std::byte>) {
        if (++visits == 2) throw 7;
    };
    CHECK_THROWS_AS(for_each_block(counting(1, 9), visit, 4), int);
    CHECK(visits == 2);
}

TEST_CASE("a tensor is written to a stream", "[core][write_blocks]") {
    const Tensor tensor = counting(700, 900);  // more than two megabytes
    std::ostringstream out;
    write_to(out, tensor);
    const std::string written = out.str();
    const std::vector<std::byte> expected = tensor.bytes();
    REQUIRE(written.size() == expected.size());
    CHECK(std::equal(expected.begin(), expected.end(), reinterpret_cast<const std::byte*>(written.data())));
}

TEST_CASE("a stream that fails is an error", "[core][write_blocks]") {
    std::ostringstream out;
    out.setstate(std::ios::badbit);
    CHECK_THROWS_WITH(write_to(out, counting(1, 1)), "a tensor cannot be written to its stream; is the disk full?");
}
