// SPDX-License-Identifier: Apache-2.0
#include "crossdock/family/arrangement.hpp"

#include "support/catch.hpp"
#include "support/numbered_tensor.hpp"

using namespace crossdock;
using namespace crossdock::test;

namespace {

ModelHeader header_of(std::uint64_t heads, std::uint64_t groups, std::uint64_t rows) {
    ModelHeader header;
    header.attention.num_attention_heads = heads;
    header.attention.num_query_groups = groups;
    header.attention.kv_channels = rows;
    return header;
}

}  // namespace

TEST_CASE("stacked_qkv has all q rows, then all k rows, then all v rows of grouped heads", "[family]") {
    const ModelHeader header = header_of(4, 2, 1);  // the tens name q, k or v
    const Parts joined = stacked_qkv.join({int_tensor({8}, {10, 11, 12, 13, 20, 21, 30, 31})}, header, 0);
    REQUIRE(joined.size() == 1);
    CHECK(elements(joined[0]) == std::vector<std::int32_t>{10, 11, 20, 30, 12, 13, 21, 31});
}

TEST_CASE("stacked_qkv split undoes join for every grouping, on whole tensors and on a rank's shard", "[family]") {
    for (const std::uint64_t groups : {1U, 2U, 3U, 6U})
        for (const std::uint64_t ratio : {1U, 2U, 4U})
            for (const std::uint64_t ranks : {std::uint64_t{1}, groups}) {
                INFO(groups << " groups of " << ratio << " heads on " << ranks << " ranks");
                const ModelHeader header = header_of(groups * ratio, groups, 2);
                const Tensor stored = numbered({groups / ranks * (ratio + 2) * 2, 3});
                const Parts back = stacked_qkv.split(stacked_qkv.join({stored}, header, 0), header, 0);
                REQUIRE(back.size() == 1);
                CHECK(back[0].shape() == stored.shape());
                CHECK(elements(back[0]) == elements(stored));
            }
}

TEST_CASE("stacked_qkv refuses rows that q, k and v cannot share", "[family]") {
    CHECK_THROWS_AS(stacked_qkv.join({numbered({7, 3})}, header_of(4, 2, 1), 0), Error);
}
