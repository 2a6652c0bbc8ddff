// SPDX-License-Identifier: Apache-2.0
#include "crossdock/family/header_json.hpp"

#include "support/catch.hpp"
#include "support/synthetic_model.hpp"

using namespace crossdock;

TEST_CASE("layers that differ are told in JSON, group by group, and read again", "[family][header_json]") {
    ModelHeader header = test::llama_header(4, 4, 2, 8, 24, 40, 50, DType::bf16);
    CHECK_FALSE(header_to_json(header).contains("other_layers"));
    header.other_layers[1].attention = header.attention;
    header.other_layers[1].attention->sliding_window = 512;
    header.other_layers[1].attention->rope_scaling = RopeScaling{.type = "linear", .factor = 2.0};
    header.other_layers[3].mlp = Mlp{.ffn_hidden_size = 12, .gated = false, .fc1_bias = true};
    const Json json = header_to_json(header);
    CHECK(json.at("other_layers").at("1").at("attention").at("sliding_window") == 512);
    CHECK_FALSE(json.at("other_layers").at("1").contains("mlp"));
    CHECK(json.at("other_layers").at("3").at("mlp").at("ffn_hidden_size") == 12);
    ModelHeader again;
    header_from_json(json, again);
    CHECK(again.other_layers == header.other_layers);
    CHECK(again.attention == header.attention);
}

TEST_CASE("a layer that is no number is refused", "[family][header_json]") {
    ModelHeader header;
    CHECK_THROWS_WITH(header_from_json(Json::parse(R"({"other_layers": {"1a": {}}})"), header),
                      "'other_layers': names a layer '1a', expected a number");
}
