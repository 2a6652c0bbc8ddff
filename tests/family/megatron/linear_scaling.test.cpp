// SPDX-License-Identifier: Apache-2.0
#include "crossdock/family/megatron/args.hpp"
#include "support/catch.hpp"

using namespace crossdock;

namespace {

/// The scaling of a model of which a crossdock.json states `known`, and args a linear factor.
RopeScaling scaling_after(const RopeScaling& known, const Json& factor) {
    ModelHeader header;
    header.attention.rope_scaling = known;
    detail::read_linear_scaling(factor, header);
    return *header.attention.rope_scaling;
}

}  // namespace

TEST_CASE("a linear factor in args leaves what is known of the same scaling beyond it", "[family][megatron]") {
    const RopeScaling known{.type = "linear", .factor = 2.0, .others = {{"more", "5"}}};
    CHECK(scaling_after(known, 2.0) == known);
    CHECK(scaling_after(known, 4.0) == RopeScaling{.type = "linear", .factor = 4.0});
    CHECK(scaling_after(known, 1.0) == RopeScaling{});
    CHECK(scaling_after(known, nullptr) == RopeScaling{});
    const RopeScaling llama3{.type = "llama3", .factor = 8.0};
    CHECK(scaling_after(llama3, 1.0) == llama3);
    CHECK(scaling_after(llama3, 8.0) == RopeScaling{.type = "linear", .factor = 8.0});
}
