// SPDX-License-Identifier: Apache-2.0
#include "crossdock/layout/grouped_qkv.hpp"

#include "support/catch.hpp"
#include "support/numbered_tensor.hpp"

using namespace crossdock;
using namespace crossdock::test;

TEST_CASE("group_qkv puts each group's query heads, key head and value head together", "[layout]") {
    // 4 query heads and 2 key/value heads of 2 rows; the tens name the head.
    const SeparateQkv parts{int_tensor({8}, {0, 1, 10, 11, 20, 21, 30, 31}), int_tensor({4}, {100, 101, 110, 111}),
                            int_tensor({4}, {200, 201, 210, 211})};
    const Tensor grouped = group_qkv(parts, {.queries_per_group = 2, .head_rows = 2});
    CHECK(grouped.shape() == Shape{16});
    CHECK(elements(grouped) == std::vector<std::int32_t>{0, 1, 10, 11, 100, 101, 200, 201,  //
                                                         20, 21, 30, 31, 110, 111, 210, 211});
}

TEST_CASE("ungroup_qkv undoes group_qkv for every head ratio, weights and biases", "[layout]") {
    for (const std::uint64_t groups : {1U, 2U, 3U, 4U})
        for (const std::uint64_t ratio : {1U, 2U, 3U, 8U})
            for (const std::uint64_t head_rows : {1U, 2U, 5U})
                for (const std::uint64_t columns : {0U, 1U, 3U}) {  // 0: a bias
                    INFO(groups << " groups of " << ratio << " heads of " << head_rows << " rows, columns " << columns);
                    const auto shaped = [&](std::uint64_t rows) {
                        return columns ? Shape{rows, columns} : Shape{rows};
                    };
                    const SeparateQkv parts{numbered(shaped(groups * ratio * head_rows)),
                                            numbered(shaped(groups * head_rows)), numbered(shaped(groups * head_rows))};
                    const HeadGeometry heads{ratio, head_rows};
                    const Tensor grouped = group_qkv(parts, heads);
                    const SeparateQkv back = ungroup_qkv(grouped, heads);
                    CHECK(grouped.shape() == shaped(groups * (ratio + 2) * head_rows));
                    CHECK(back.query.shape() == parts.query.shape());
                    CHECK(back.key.shape() == parts.key.shape());
                    CHECK(elements(back.query) == elements(parts.query));
                    CHECK(elements(back.key) == elements(parts.key));
                    CHECK(elements(back.value) == elements(parts.value));
                }
}
