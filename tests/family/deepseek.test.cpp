// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "crossdock/core/same_bytes.hpp"
#include "crossdock/family/deepseek/hub.hpp"
#include "crossdock/family/families.hpp"
#include "support/catch.hpp"
#include "support/conversion.hpp"
#include "support/megatron_rank_file.hpp"

using namespace crossdock;
using namespace crossdock::test;
using Catch::Matchers::ContainsSubstring;

namespace {

constexpr const char* hub = "hf/deepseek-v3";
constexpr const char* cut = "megatron-core/deepseek-v3-local-tp2";

/// A loader of the golden folder with its config.json changed.
std::unique_ptr<AnyLoader> changed(const TemporaryDirectory& scratch, const std::function<void(Json&)>& change) {
    const auto copy = copied(hub, scratch);
    edit_json(copy / "config.json", change);
    return load("deepseek", copy);
}

ModelHeader changed_header(const std::function<void(Json&)>& change) {
    const TemporaryDirectory scratch;
    return changed(scratch, change)->header();
}

std::string refused(const char* key, const Json& value) {
    return refusal([&] { changed_header([&](Json& config) { config[key] = value; }); });
}

/// What a saver says of the golden folder with its config.json changed.
std::string refused_by(const char* saver, const std::function<void(Json&)>& change) {
    const TemporaryDirectory scratch;
    return refusal([&] { save(*changed(scratch, change), saver, scratch / "out"); });
}

/// What a config.json beside released weights says besides.
void add_released_keys(Json& config) {
    config["scoring_func"] = "sigmoid";
    config["topk_method"] = "noaux_tc";
    config["moe_layer_freq"] = 1;
    config["ep_size"] = 1;
    config["aux_loss_alpha"] = 0.001;
    config["seq_aux"] = true;
    config["auto_map"] = {{"AutoConfig", "configuration_deepseek.DeepseekV3Config"}};
    Json rope = config.at("rope_parameters");
    config.erase("rope_parameters");
    config["rope_theta"] = rope.at("rope_theta");
    for (const char* key : {"rope_theta", "rope_type"}) rope.erase(key);
    rope["type"] = "yarn";
    rope["beta_fast"] = 32;
    rope["factor"] = 40;
    config["rope_scaling"] = rope;
    for (const char* key : {"head_dim", "qk_head_dim", "rope_interleave"}) config.erase(key);
}

}  // namespace

TEST_CASE("deepseek's header has the sizes of latents and what its router does", "[family][deepseek]") {
    const ModelHeader header = load("deepseek", golden(hub))->header();
    CHECK(header.attention.latent == LatentAttention{24, 16, 16, 8, 16});
    CHECK(header.attention.kv_channels == 16);
    CHECK(header.attention.num_query_groups == 4);
    const Experts& experts = header.mlp.experts;
    CHECK(experts.score == RouterScore::sigmoid);
    CHECK(experts.router_bias);
    CHECK_FALSE(experts.pre_softmax);
    CHECK(experts.num_groups == 4);
    CHECK(experts.group_topk == 2);
    CHECK(experts.scaling_factor == 2.5);
    CHECK(experts.shared_ffn_hidden_size == 24);
    CHECK_FALSE(has_experts(mlp_of(header, 0)));
    CHECK(has_experts(mlp_of(header, 1)));
}

TEST_CASE("deepseek's config.json of all releases means one model", "[family][deepseek]") {
    const TemporaryDirectory scratch;
    const auto released = changed(scratch, add_released_keys);
    CHECK(differences(*load("deepseek", golden(hub)), *released) == none);
    save(*released, "deepseek", scratch / "out");
    const Json written = read_json(scratch / "out/config.json");
    CHECK(written.at("topk_method") == "noaux_tc");
    CHECK(written.at("rope_scaling").at("rope_type") == "yarn");
    CHECK(written.at("num_nextn_predict_layers") == 0);
    CHECK_FALSE(written.contains("auto_map"));
    CHECK(differences(*released, *load("hf", scratch / "out")) == none);
}

TEST_CASE("Kimi K2 is a deepseek by another name", "[family][deepseek]") {
    const TemporaryDirectory scratch;
    const auto kimi = changed(scratch, [](Json& config) { config["model_type"] = "kimi_k2"; });
    save(*kimi, "hf", scratch / "out");
    CHECK(read_json(scratch / "out/config.json").at("model_type") == "deepseek_v3");
}

TEST_CASE("deepseek's defaults are those of its class", "[family][deepseek]") {
    const ModelHeader header = changed_header([](Json& config) {
        for (const char* key : {"n_group", "topk_group", "routed_scaling_factor", "norm_topk_prob", "n_shared_experts"})
            config.erase(key);
    });
    CHECK(header.mlp.experts.num_groups == 8);
    CHECK(header.mlp.experts.group_topk == 4);
    CHECK(header.mlp.experts.scaling_factor == 2.5);
    CHECK_FALSE(header.mlp.experts.pre_softmax);
    CHECK(header.mlp.experts.shared_ffn_hidden_size == 24);
}

TEST_CASE("what deepseek's class does not compute is refused by name", "[family][deepseek]") {
    CHECK_THAT(refused("scoring_func", "softmax"),
               ContainsSubstring("'scoring_func' is \"softmax\", expected \"sigmoid\""));
    CHECK_THAT(refused("topk_method", "greedy"), ContainsSubstring("'topk_method' is \"greedy\""));
    CHECK_THAT(refused("moe_layer_freq", 2), ContainsSubstring("'moe_layer_freq' is 2"));
    CHECK_THAT(refused("attention_bias", true), ContainsSubstring("'attention_bias' is true"));
    CHECK_THAT(refused("num_key_value_heads", 2), ContainsSubstring("'num_key_value_heads' is 2, expected 4"));
    CHECK_THAT(refused("model_type", "deepseek_v2"), ContainsSubstring("another architecture than deepseek"));
    CHECK_THAT(refused("v_head_dim", 24), ContainsSubstring("o_proj.weight' has shape [32, 64], expected [32, 96]"));
    CHECK_THAT(refused("qk_rope_head_dim", 7), ContainsSubstring("qk_pos_emb_head_dim is 7, expected an even one"));
}

TEST_CASE("what Megatron-Core does not compute of a deepseek is refused by name", "[family][deepseek][megatron]") {
    CHECK_THAT(refused_by("mcore", [](Json& config) { config["rope_interleave"] = false; }),
               ContainsSubstring("rope_interleave"));
    CHECK_THAT(refused_by("mcore", [](Json& config) { config["topk_group"] = 3; }),
               ContainsSubstring("groups of experts chosen by their best two"));
    CHECK_THAT(refused_by("mcore", [](Json& config) { config["norm_topk_prob"] = false; }),
               ContainsSubstring("norm_topk_prob false"));
    CHECK_THAT(refused_by("mcore", [](Json& config) { config["rope_parameters"]["rope_type"] = "linear"; }),
               ContainsSubstring("scaled otherwise than by yarn"));
    for (const Json& truncates : {Json(false), Json(nullptr)})
        CHECK_THAT(refused_by("mcore", [&](Json& config) { config["rope_parameters"]["truncate"] = truncates; }),
                   ContainsSubstring("does not truncate"));
    CHECK_THAT(refused_by("mcore", [](Json& config) { config["rope_parameters"]["attention_factor"] = 1.25; }),
               ContainsSubstring("attention_factor"));
    CHECK(refused_by("mcore", [](Json& config) { config["rope_parameters"]["attention_factor"] = 1.0; }).empty());
    CHECK_THAT(refused_by("mcore", [](Json& config) { config["rope_parameters"].erase("mscale"); }),
               ContainsSubstring("attention_factor is none that mscale and mscale_all_dim make"));
    for (const char* key : {"rope_interleave", "norm_topk_prob"})
        CHECK(refused_by("deepseek", [&](Json& config) { config[key] = false; }).empty());
}

TEST_CASE("every format without latents refuses a deepseek by name", "[family][deepseek]") {
    const auto source = load("deepseek", golden(hub));
    const TemporaryDirectory scratch;
    for (const Family* family : builtin_families()) {
        if (family->name == "deepseek") continue;
        INFO(family->name);
        CHECK_THAT(refusal([&] { save(*source, family->name, scratch / "out"); }),
                   ContainsSubstring("the model has latent attention (kv_lora_rank)"));
    }
    for (const char* dialect : {"llm", "lm"})
        CHECK_THAT(refusal([&] {
                       save(*source, "megatron", scratch / "out", {{"dialect", dialect}});
                   }),
                   ContainsSubstring("latent attention (kv_lora_rank)"));
    CHECK_THAT(refusal([&] { save(*load("qwen", golden("hf/qwen3-moe")), "deepseek", scratch / "out"); }),
               ContainsSubstring("attention without latents"));
}

TEST_CASE("the router's bias is float32 whatever the model's type, and is read in any", "[family][deepseek]") {
    const TemporaryDirectory scratch;
    const auto copy = copied(hub, scratch);
    edit_tensors(copy, [](NamedTensor& entry) {
        if (entry.name.ends_with("e_score_correction_bias")) entry.tensor = cast(entry.tensor, DType::bf16);
        return true;
    });
    const auto source = load("deepseek", copy);
    save(*source, "hf", scratch / "hub");
    save(*source, "mcore", scratch / "core");
    CHECK(differences(*source, *load("hf", scratch / "hub")) == none);
    for (const char* target : {"hub", "core"}) {
        const auto written = load(target == std::string("hub") ? "hf" : "mcore", scratch / target);
        const auto layer = written->load<TransformerLayer>(1);
        CHECK(layer.router_bias->dtype() == DType::f32);
        CHECK(layer.router_weight->dtype() == DType::bf16);
    }
}

TEST_CASE("deepseek goes to Megatron-Core and comes back at any size", "[family][deepseek][megatron]") {
    using Sizes = OptionValues;
    for (const Sizes& sizes :
         {Sizes{{"target_tensor_parallel_size", "2"},
                {"target_expert_parallel_size", "2"},
                {"target_pipeline_parallel_size", "3"}},
          Sizes{{"target_tensor_parallel_size", "4"}, {"transformer_impl", "local"}, {"ckpt_format", "torch"}},
          Sizes{{"ckpt_format", "torch_dist"}},
          Sizes{{"ckpt_format", "torch_dist"}, {"target_tensor_parallel_size", "2"}},
          Sizes{{"ckpt_format", "torch_dist"}, {"transformer_impl", "local"}}}) {
        const TemporaryDirectory scratch;
        const auto source = load("deepseek", golden(hub));
        save(*source, "mcore", scratch / "there", sizes);
        const auto there = load("mcore", scratch / "there");
        CHECK(differences(*source, *there) == none);
        save(*there, "hf", scratch / "back");
        CHECK(differences(*source, *load("hf", scratch / "back")) == none);
        CHECK(read_json(scratch / "back/config.json") == [&] {
            save(*source, "hf", scratch / "straight");
            return read_json(scratch / "straight/config.json");
        }());
    }
}

TEST_CASE("queries without a latent go to Megatron-Core and come back", "[family][deepseek][megatron]") {
    const TemporaryDirectory scratch;
    const auto copy = copied(hub, scratch);
    edit_json(copy / "config.json", [](Json& config) { config["q_lora_rank"] = nullptr; });
    edit_tensors(copy, [](NamedTensor& entry) {
        if (entry.name.ends_with("q_b_proj.weight")) {  // 96 × 24, where the input has 32 elements
            entry.name = entry.name.substr(0, entry.name.size() - 15) + "q_proj.weight";
            entry.tensor = concatenate(std::vector{entry.tensor, slice(entry.tensor, 1, 0, 8)}, 1);
        }
        return entry.name.find("q_a_") == std::string::npos;
    });
    const auto source = load("deepseek", copy);
    CHECK(source->header().attention.latent.q_lora_rank == 0);
    const auto told = save(*source, "mcore", scratch / "there", {{"target_tensor_parallel_size", "2"}});
    CHECK(told.back().find("--q-lora-rank") == std::string::npos);
    const auto there = load("mcore", scratch / "there");
    CHECK(differences(*source, *there) == none);
    save(*there, "hf", scratch / "back");
    CHECK(read_json(scratch / "back/config.json").at("q_lora_rank").is_null());
    CHECK(differences(*source, *load("hf", scratch / "back")) == none);
}

TEST_CASE("down projections are read whole and cut, whichever layers hold them", "[family][deepseek][megatron]") {
    const auto source = load("deepseek", golden(hub));
    for (const char* folder : {cut, "megatron-core/deepseek-v3-te-grouped-tp2ep2etp1"})
        CHECK(differences(*source, *load("mcore", golden(folder), {{"true_vocab_size", "160"}})) == none);
}

TEST_CASE("what Megatron-Core multiplies yarn's sines and cosines by, transformers does",
          "[family][deepseek][megatron]") {
    struct Factors {
        double mscale, mscale_all_dim, wanted;
    };
    const double growth = std::log(40.0) / 10;
    for (const Factors& factors : {Factors{1, 1, 1}, Factors{1, 0, growth + 1}, Factors{0.5, 0, 0.5 * growth + 1},
                                   Factors{0.5, 0.25, (0.5 * growth + 1) / (0.25 * growth + 1)},
                                   Factors{0, 1, 1 / (growth + 1)}, Factors{0, 0, 1}}) {
        const TemporaryDirectory scratch;
        const auto copy = copied(cut, scratch);
        for (const char* rank : {"mp_rank_00", "mp_rank_01"})
            edit_rank(rank_file(copy, rank), [&](RankFile& file) {
                file.set_arg("mscale", factors.mscale);
                file.set_arg("mscale_all_dim", factors.mscale_all_dim);
            });
        const auto source = load("mcore", copy);
        save(*source, "hf", scratch / "hub");
        const Json rope = read_json(scratch / "hub/config.json").at("rope_scaling");
        const double mscale = rope.value("mscale", 0.0), all_dim = rope.value("mscale_all_dim", 0.0);
        const bool has_both = mscale != 0 && all_dim != 0;
        const double inferred = has_both ? (mscale * growth + 1) / (all_dim * growth + 1) : growth + 1;
        CHECK(std::abs(rope.value("attention_factor", inferred) - factors.wanted) < 1e-12);
        CHECK(all_dim == factors.mscale_all_dim);  // scales the scores, in both
        const auto there = load("hf", scratch / "hub");
        save(*there, "mcore", scratch / "core", {{"transformer_impl", "local"}});
        CHECK(differences(*source, *load("mcore", scratch / "core")) == none);
    }
}

TEST_CASE("numbers of yarn that deepseek's config.json leaves out stay out on their way through Megatron-Core",
          "[family][deepseek][megatron]") {
    for (const std::vector<const char*>& keys : {std::vector{"beta_fast"}, {"beta_slow"}, {"mscale", "mscale_all_dim"}})
        for (const bool has_zero : {false, true}) {
            const TemporaryDirectory scratch;
            const auto source = changed(scratch, [&](Json& config) {
                for (const char* key : keys) config["rope_parameters"].erase(key);
                if (has_zero) config["rope_parameters"][keys.front()] = 0;
            });
            save(*source, "mcore", scratch / "core");
            CHECK(differences(*source, *load("mcore", scratch / "core")) == none);
        }
}

TEST_CASE("a size of ranks that latents do not divide into is refused", "[family][deepseek][megatron]") {
    const TemporaryDirectory scratch;
    const auto copy = copied(hub, scratch);
    edit_json(copy / "config.json", [](Json& config) { config["q_lora_rank"] = 23; });
    edit_tensors(copy, [](NamedTensor& entry) {
        for (const char* end : {"q_a_proj.weight", "q_a_layernorm.weight"})
            if (entry.name.ends_with(end)) entry.tensor = slice(entry.tensor, 0, 0, 23);
        if (entry.name.ends_with("q_b_proj.weight")) entry.tensor = slice(entry.tensor, 1, 0, 23);
        return true;
    });
    const auto source = load("deepseek", copy);
    const OptionValues two{{"target_tensor_parallel_size", "2"}};
    OptionValues local = two;
    local["transformer_impl"] = "local";
    CHECK_THAT(
        refusal([&] { save(*source, "mcore", scratch / "local", local); }),
        ContainsSubstring("target_tensor_parallel_size 2 does not divide the model's 23 elements of the queries' "
                          "latent (q_lora_rank)"));
    CHECK(refusal([&] { save(*source, "mcore", scratch / "engine", two); }).empty());
}

TEST_CASE("Megatron-Core's user is told the options of latent attention and what has none",
          "[family][deepseek][megatron]") {
    const TemporaryDirectory scratch;
    const auto source = changed(scratch, [](Json& config) { config["rms_norm_eps"] = 1e-5; });
    std::string told;
    for (const std::string& line : save(*source, "mcore", scratch / "out")) told += line + "\n";
    for (const char* option :
         {"--multi-latent-attention --q-lora-rank 24 --kv-lora-rank 16 --qk-head-dim 16 --qk-pos-emb-head-dim 8 "
          "--v-head-dim 16 --rope-type yarn --rotary-scaling-factor 40 --mscale 1 --mscale-all-dim 1",
          "--qk-layernorm", "--moe-router-num-groups 4 --moe-router-group-topk 2 --moe-router-dtype fp32",
          "yarn's original_max_position_embeddings 64, beta_fast 32 and beta_slow 1",
          "norm_epsilon for the norms of latents too"})
        CHECK_THAT(told, ContainsSubstring(option));
}
