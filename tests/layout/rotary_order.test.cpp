// SPDX-License-Identifier: Apache-2.0
#include "crossdock/layout/rotary_order.hpp"

#include "support/catch.hpp"
#include "support/numbered_tensor.hpp"

using namespace crossdock;
using namespace crossdock::test;

TEST_CASE("halves_to_pairs brings rows i and i + d/2 of a head together", "[layout]") {
    CHECK(elements(halves_to_pairs(numbered({12}), 6)) ==
          std::vector<std::int32_t>{0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11});
    CHECK(elements(pairs_to_halves(numbered({12}), 6)) ==
          std::vector<std::int32_t>{0, 2, 4, 1, 3, 5, 6, 8, 10, 7, 9, 11});
    CHECK(elements(halves_to_pairs(numbered({4, 2}), 4)) == std::vector<std::int32_t>{0, 1, 4, 5, 2, 3, 6, 7});
}

TEST_CASE("halves_to_pairs and pairs_to_halves undo each other, and neither is the other", "[layout]") {
    for (const std::uint64_t head_rows : {2U, 4U, 6U, 8U, 64U})
        for (const std::uint64_t heads : {1U, 2U, 5U})
            for (const Shape& shape : {Shape{heads * head_rows}, Shape{heads * head_rows, 3}}) {
                INFO(heads << " heads of " << head_rows << " rows");
                const Tensor rows = numbered(shape);
                CHECK(elements(pairs_to_halves(halves_to_pairs(rows, head_rows), head_rows)) == elements(rows));
                CHECK(elements(halves_to_pairs(pairs_to_halves(rows, head_rows), head_rows)) == elements(rows));
                CHECK((elements(halves_to_pairs(rows, head_rows)) == elements(pairs_to_halves(rows, head_rows))) ==
                      (head_rows <= 4));
            }
}

TEST_CASE("the rotary order is changed for queries and keys, never for values", "[layout]") {
    const SeparateQkv parts{numbered({8}), numbered({4}), numbered({4})};
    const SeparateQkv pairs = halves_to_pairs(parts, {2, 4});
    CHECK(elements(pairs.query) == std::vector<std::int32_t>{0, 2, 1, 3, 4, 6, 5, 7});
    CHECK(elements(pairs.key) == std::vector<std::int32_t>{0, 2, 1, 3});
    CHECK(elements(pairs.value) == std::vector<std::int32_t>{0, 1, 2, 3});
}
