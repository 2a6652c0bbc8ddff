// SPDX-License-Identifier: Apache-2.0
#include <functional>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/conversion.hpp"
#include "support/megatron_rank_file.hpp"

using namespace crossdock;
using namespace crossdock::test;

namespace {

using Args = std::vector<std::pair<const char*, pickle::Value>>;

/// What a model of Hugging Face's is when it comes from Megatron-Core, whose training stated other args and left
/// crossdock.json where it was.
ModelHeader header_with(const char* hub, const Args& args) {
    const TemporaryDirectory scratch;
    save(*load("hf", golden(hub)), "mcore", scratch / "core", {{"ckpt_format", "torch"}});
    edit_rank(rank_file(scratch / "core", "mp_rank_00"), [&](RankFile& rank) {
        for (const auto& [name, value] : args) rank.set_arg(name, value);
    });
    return load("mcore", scratch / "core")->header();
}

const pickle::Value none_stated;

}  // namespace

TEST_CASE("args that state nothing of a router outdo what crossdock.json states of it", "[family][megatron]") {
    const ModelHeader header = header_with("hf/deepseek-v3", {{"moe_router_topk_scaling_factor", none_stated},
                                                              {"moe_router_num_groups", none_stated},
                                                              {"moe_router_group_topk", none_stated}});
    CHECK(header.mlp.experts.scaling_factor == 1.0);
    CHECK(header.mlp.experts.num_groups == 0);
    CHECK(header.mlp.experts.group_topk == 0);
    CHECK_FALSE(header_with("hf/qwen2-moe", {{"moe_router_pre_softmax", none_stated}}).mlp.experts.pre_softmax);
    CHECK(header_with("hf/mixtral", {{"moe_router_topk_scaling_factor", none_stated}}).mlp.experts ==
          header_with("hf/mixtral", {}).mlp.experts);
}

TEST_CASE("args without a kernel of gelu's tanh form mean the exact one, whatever crossdock.json states",
          "[family][megatron]") {
    CHECK(header_with("hf/gpt2", {}).mlp.activation == Activation::gelu_tanh);
    CHECK(header_with("hf/gpt2", {{"bias_gelu_fusion", false}}).mlp.activation == Activation::gelu_erf);
    CHECK(header_with("hf/gemma-mha", {{"bias_gelu_fusion", false}}).mlp.activation == Activation::gelu_tanh);
}
