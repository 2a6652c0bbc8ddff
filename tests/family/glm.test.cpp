// SPDX-License-Identifier: Apache-2.0
#include <functional>
#include <optional>
#include <string>

#include "crossdock/container/json.hpp"
#include "support/catch.hpp"
#include "support/conversion.hpp"

using namespace crossdock;
using namespace crossdock::test;
using Catch::Matchers::ContainsSubstring;

namespace {

/// What GLM-4.5 is with its config.json changed.
ModelHeader changed_glm(const std::function<void(Json&)>& change) {
    const TemporaryDirectory scratch;
    const auto copy = copied("hf/glm4.5", scratch);
    edit_json(copy / "config.json", change);
    return load("glm", copy)->header();
}

/// With another share of each head that turns, stated in one of two places.
std::optional<double> turned(const Json& inner, const Json& outer) {
    return changed_glm([&](Json& config) {
               config["rope_parameters"].erase("partial_rotary_factor");
               config.erase("partial_rotary_factor");
               if (!inner.is_null()) config["rope_parameters"]["partial_rotary_factor"] = inner;
               if (!outer.is_null()) config["partial_rotary_factor"] = outer;
           })
        .attention.rotary_percent;
}

}  // namespace

TEST_CASE("GLM-4.5's config.json says what its layers are", "[family][glm]") {
    const ModelHeader header = load("hf", golden("hf/glm4.5"))->header();
    CHECK(header.family == "glm");
    CHECK(header.model_type == "glm4_moe");
    CHECK(header.attention.qk_norm);
    CHECK(header.attention.qkv_bias);
    CHECK_FALSE(header.attention.dense_bias);
    CHECK(header.attention.rotary_percent == 0.5);
    CHECK(header.mlp.experts.score == RouterScore::sigmoid);
    CHECK(header.mlp.experts.router_bias);
    CHECK(header.mlp.experts.num_groups == 0);
    CHECK_FALSE(has_experts(mlp_of(header, 0)));
    CHECK(has_experts(mlp_of(header, 1)));
}

TEST_CASE("a half of each of GLM's heads turns unless config.json says otherwise, the inner key before the outer",
          "[family][glm]") {
    CHECK(turned(nullptr, nullptr) == 0.5);
    CHECK(turned(nullptr, 0.25) == 0.25);
    CHECK(turned(0.25, nullptr) == 0.25);
    CHECK(turned(0.25, 1.0) == 0.25);
    CHECK_THAT(refusal([] { turned(0.0, nullptr); }), ContainsSubstring("expected a number above 0"));
}

TEST_CASE("GLM has norms of queries and keys and biases of q, k and v only where config.json asks for them",
          "[family][glm]") {
    CHECK_THAT(refusal([] { changed_glm([](Json& config) { config.erase("attention_bias"); }); }),
               ContainsSubstring("the files hold biases of queries, keys and values"));
    const TemporaryDirectory scratch;
    const auto copy = copied("hf/glm4.5", scratch);
    edit_json(copy / "config.json", [](Json& config) { config.erase("use_qk_norm"); });
    CHECK_THAT(refusal([&] { load("glm", copy)->begin(); }), ContainsSubstring("q_norm.weight"));
    edit_tensors(copy, [](NamedTensor& entry) { return entry.name.find("_norm.weight") == std::string::npos; });
    const auto plain = load("glm", copy);
    CHECK_FALSE(plain->header().attention.qk_norm);
    save(*plain, "glm", scratch / "target");
    CHECK(read_json(scratch / "target/config.json").at("use_qk_norm") == Json(false));
}

TEST_CASE("what GLM's config.json cannot say is refused", "[family][glm]") {
    const auto refused = [](const char* name, std::string_view what) {
        const TemporaryDirectory scratch;
        const auto loader = load("hf", golden(name));
        CHECK_THAT(refusal([&] { save(*loader, "glm", scratch / "target"); }),
                   ContainsSubstring(to_text("the model has ", what, ", which a glm checkpoint cannot express")));
    };
    refused("hf/llama2-gqa", "no experts");
    refused("hf/qwen3-moe", "a router without sigmoid scores or without a bias");
}

TEST_CASE("GLM goes through Megatron-Core and comes back as GLM", "[family][glm]") {
    const TemporaryDirectory scratch;
    const auto original = load("hf", golden("hf/glm4.5"));
    const auto core = load("mcore", golden("megatron-core/glm4.5-local-tp2"), {{"true_vocab_size", "160"}});
    CHECK(core->header().attention.rotary_percent == 0.5);
    save(*core, "hf", scratch / "hub");
    const Json config = read_json(scratch / "hub/config.json"), wanted = read_json(golden("hf/glm4.5") / "config.json");
    for (const char* key : {"model_type", "partial_rotary_factor", "use_qk_norm", "attention_bias", "n_group",
                            "n_shared_experts", "first_k_dense_replace", "routed_scaling_factor", "norm_topk_prob",
                            "num_nextn_predict_layers", "n_routed_experts", "architectures"}) {
        INFO(key);
        CHECK(config.at(key) == wanted.at(key));
    }
    CHECK(differences(*original, *load("hf", scratch / "hub")) == none);
}
