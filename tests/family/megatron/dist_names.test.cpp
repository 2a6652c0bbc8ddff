// SPDX-License-Identifier: Apache-2.0
#include "crossdock/family/megatron/dist_names.hpp"

#include "support/catch.hpp"

using crossdock::dist_name;
using crossdock::DistName;
using crossdock::rank_file_name;

TEST_CASE("a layer's tensor is named without its number, which is its place", "[family][megatron]") {
    CHECK(dist_name("decoder.layers.7.mlp.linear_fc1.weight") == DistName{"decoder.layers.mlp.linear_fc1.weight", 7});
    CHECK(dist_name("encoder.layers.0.self_attention.linear_qkv.bias") ==
          DistName{"encoder.layers.self_attention.linear_qkv.bias", 0});
    CHECK(dist_name("layers.12.mlp.linear_fc2.bias") == DistName{"layers.mlp.linear_fc2.bias", 12});
    for (const char* name :
         {"output_layer.weight", "embedding.word_embeddings.weight", "decoder.final_layernorm.weight",
          "decoder.layers.mlp.linear_fc1.weight", "decoder.layers.7", "sublayers.7.weight",
          "decoder.layers.-1.mlp.weight", "decoder.layers.99999999999999999999.mlp.weight"}) {
        CHECK(dist_name(name) == DistName{name, {}});
        CHECK(rank_file_name({name, {}}) == name);
    }
}

TEST_CASE("norms are spelt as Transformer Engine's layers do", "[family][megatron]") {
    CHECK(dist_name("decoder.layers.3.input_layernorm.weight") ==
          DistName{"decoder.layers.self_attention.linear_qkv.layer_norm_weight", 3});
    CHECK(dist_name("decoder.layers.3.pre_mlp_layernorm.bias") ==
          DistName{"decoder.layers.mlp.linear_fc1.layer_norm_bias", 3});
    CHECK(rank_file_name({"decoder.layers.pre_mlp_layernorm.bias", 3}) ==
          "decoder.layers.3.mlp.linear_fc1.layer_norm_bias");
}

TEST_CASE("the names of rank files come back", "[family][megatron]") {
    for (const char* name :
         {"decoder.layers.0.self_attention.linear_qkv.layer_norm_weight", "decoder.layers.125.mlp.linear_fc1.weight",
          "encoder.layers.3.self_attention.linear_proj.bias", "output_layer.bias"})
        CHECK(rank_file_name(dist_name(name)) == name);
}

TEST_CASE("layers that predict further tokens keep their numbers, and one name for the layer inside",
          "[family][megatron][mtp]") {
    const auto alone = [](const char* name) { return DistName{name, {}}; };
    CHECK(dist_name("mtp.layers.1.eh_proj.weight") == alone("mtp.layers.1.eh_proj.weight"));
    CHECK(dist_name("mtp.layers.1.transformer_layer.input_layernorm.weight") ==
          alone("mtp.layers.1.transformer_layer.self_attention.linear_qkv.layer_norm_weight"));
    CHECK(dist_name("mtp.layers.1.transformer_layer.mlp.experts.local_experts.3.linear_fc1.weight") ==
          DistName{"mtp.layers.1.transformer_layer.mlp.experts.experts.linear_fc1.weight", {}, 3});
    CHECK(rank_file_name({"mtp.layers.0.transformer_layer.mlp.experts.experts.linear_fc2.weight", {}, 12}) ==
          "mtp.layers.0.transformer_layer.mlp.experts.local_experts.12.linear_fc2.weight");
}
