// SPDX-License-Identifier: Apache-2.0
#include "crossdock/protocol/check_header.hpp"

#include <functional>
#include <limits>
#include <string>

#include "support/catch.hpp"
#include "support/synthetic_model.hpp"

using namespace crossdock;
using Catch::Matchers::ContainsSubstring;

namespace {

/// The text of the error about a header that is sound but for `alter`.
std::string error_after(const std::function<void(ModelHeader&)>& alter) {
    ModelHeader header = test::llama_header(2, 4, 2, 8, 24, 40, 50, DType::bf16);
    alter(header);
    try {
        check_header(header);
    } catch (const Error& error) {
        return error.what();
    }
    return {};
}

}  // namespace

TEST_CASE("sizes that nothing divides by 0 for must be there", "[protocol][check_header]") {
    CHECK(error_after([](ModelHeader&) {}).empty());
    CHECK(error_after([](ModelHeader& h) { h.num_layers = 0; }) == "the number of layers is missing or 0");
    CHECK(error_after([](ModelHeader& h) { h.hidden_size = 0; }) == "the hidden size is missing or 0");
    CHECK(error_after([](ModelHeader& h) { h.attention.num_attention_heads = 0; }) ==
          "the number of attention heads is missing or 0");
    CHECK(error_after([](ModelHeader& h) { h.attention.num_query_groups = 0; }) ==
          "the number of key/value heads is missing or 0");
    CHECK(error_after([](ModelHeader& h) { h.attention.kv_channels = 0; }) == "the head size is missing or 0");
}

TEST_CASE("heads share key/value heads evenly, and rotary heads have pairs", "[protocol][check_header]") {
    CHECK(error_after([](ModelHeader& h) { h.attention.num_query_groups = 3; }) ==
          "4 attention heads do not divide into 3 key/value heads");
    CHECK_THAT(error_after([](ModelHeader& h) { h.attention.kv_channels = 7; }),
               ContainsSubstring("the head size is 7, expected an even one"));
    CHECK(error_after([](ModelHeader& h) {
              h.attention.kv_channels = 7;
              h.positions = PositionKind::learned;
          }).empty());
}

TEST_CASE("sizes whose products no number holds are refused", "[protocol][check_header]") {
    static constexpr std::uint64_t large = std::uint64_t{1} << 62;
    CHECK_THAT(error_after([](ModelHeader& h) { h.attention.kv_channels = large; }), ContainsSubstring("attention"));
    CHECK_THAT(error_after([](ModelHeader& h) { h.mlp.ffn_hidden_size = large; }), ContainsSubstring("MLP"));
    CHECK_THAT(error_after([](ModelHeader& h) { h.vocab_rows = large; }), ContainsSubstring("vocabulary"));
    CHECK_THAT(error_after([](ModelHeader& h) { h.max_position_embeddings = large; }), ContainsSubstring("position"));
}

TEST_CASE("numbers that are divided by, or whose powers are taken, are positive", "[protocol][check_header]") {
    const double none = std::numeric_limits<double>::quiet_NaN();
    for (const double value : {-1.0, 0.0, none}) {
        INFO(value);
        CHECK_THAT(error_after([&](ModelHeader& h) { h.norm_epsilon = value; }),
                   ContainsSubstring("the epsilon of norms is ") && ContainsSubstring(", expected a number above 0"));
        CHECK_THAT(error_after([&](ModelHeader& h) { h.attention.rope_theta = value; }),
                   ContainsSubstring("the base of rotary positions is "));
        CHECK_THAT(error_after([&](ModelHeader& h) {
                       h.attention.rope_scaling = RopeScaling{};
                       h.attention.rope_scaling->factor = value;
                   }),
                   ContainsSubstring("the factor of the rotary scaling is "));
    }
    CHECK(error_after([](ModelHeader& h) { h.norm_epsilon = -0.5; }) ==
          "the epsilon of norms is -0.5, expected a number above 0");
    CHECK(error_after([](ModelHeader& h) { h.norm_epsilon = 1e-12; }).empty());
    CHECK(error_after([](ModelHeader& h) { h.norm_epsilon.reset(); }).empty());
}

TEST_CASE("layers that differ are checked as all others", "[protocol][check_header]") {
    const auto differ = [](ModelHeader& h, std::uint64_t layer, std::uint64_t groups) {
        h.other_layers[layer].attention = h.attention;
        h.other_layers[layer].attention->num_query_groups = groups;
    };
    CHECK(error_after([&](ModelHeader& h) { differ(h, 1, 4); }).empty());
    CHECK(error_after([&](ModelHeader& h) { differ(h, 2, 4); }) == "layer 2 is said to differ, there are only 2");
    CHECK(error_after([&](ModelHeader& h) { differ(h, 1, 3); }) ==
          "layer 1: 4 attention heads do not divide into 3 key/value heads");
    CHECK(error_after([&](ModelHeader& h) { differ(h, 1, 0); }) ==
          "layer 1: the number of key/value heads is missing or 0");
}
