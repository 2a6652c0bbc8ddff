// SPDX-License-Identifier: Apache-2.0
#include "crossdock/layout/tensor_parallel.hpp"

#include "support/catch.hpp"
#include "support/numbered_tensor.hpp"

using namespace crossdock;
using namespace crossdock::test;

TEST_CASE("shard cuts equal parts along an axis and unshard joins them", "[layout]") {
    const Tensor whole = numbered({4, 6});
    CHECK(elements(take_shard(whole, 0, 1, 2)) ==
          std::vector<std::int32_t>{12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23});
    CHECK(elements(take_shard(whole, 1, 2, 3)) == std::vector<std::int32_t>{4, 5, 10, 11, 16, 17, 22, 23});
    for (const std::size_t axis : {0U, 1U})
        for (const std::uint64_t size : {1U, 2U}) {
            std::vector<Tensor> shards;
            for (std::uint64_t rank = 0; rank < size; ++rank) shards.push_back(take_shard(whole, axis, rank, size));
            CHECK(join_shards(shards, axis).shape() == whole.shape());
            CHECK(elements(join_shards(shards, axis)) == elements(whole));
        }
}

TEST_CASE("padded_vocab_rows is the next multiple of divisor times ranks", "[layout]") {
    CHECK(padded_vocab_rows(32000, 128, 1) == 32000);
    CHECK(padded_vocab_rows(32000, 128, 2) == 32000);
    CHECK(padded_vocab_rows(32000, 128, 4) == 32256);
    CHECK(padded_vocab_rows(32000, 128, 8) == 32768);
    CHECK(padded_vocab_rows(50257, 128, 1) == 50304);
    CHECK_THROWS_AS(padded_vocab_rows(1, ~0ULL, 2), Error);
}

TEST_CASE("with_vocab_rows cuts the tail or repeats the last row", "[layout]") {
    const Tensor rows = numbered({3, 2});
    CHECK(elements(with_vocab_rows(rows, 2)) == std::vector<std::int32_t>{0, 1, 2, 3});
    CHECK(elements(with_vocab_rows(rows, 3)) == elements(rows));
    CHECK(elements(with_vocab_rows(rows, 5)) == std::vector<std::int32_t>{0, 1, 2, 3, 4, 5, 4, 5, 4, 5});
}
