// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "crossdock/container/safetensors/reader.hpp"
#include "crossdock/container/tensor_dict.hpp"
#include "crossdock/core/recipe.hpp"
#include "crossdock/core/same_bytes.hpp"
#include "support/altered_loader.hpp"
#include "support/catch.hpp"
#include "support/conversion.hpp"
#include "support/megatron_rank_file.hpp"
#include "support/synthetic_model.hpp"

using namespace crossdock;
using namespace crossdock::test;
using Catch::Matchers::ContainsSubstring;

namespace {

/// A model of GLM-4.5's kind: four layers, of which the first is dense, and two that predict further tokens.
ModelHeader glm_header(std::uint64_t mtp_layers = 2) {
    ModelHeader header = llama_header(4, 4, 2, 8, 32, 48, 96, DType::bf16);
    header.family = "glm";
    header.model_type = "glm4_moe";
    header.mtp_num_layers = mtp_layers;
    header.attention.qk_norm = header.attention.qkv_bias = true;
    header.attention.rotary_percent = 0.5;
    const Mlp dense = header.mlp;
    header.other_layers[0].mlp = dense;
    header.mlp.experts = {.num_experts = 4,
                          .router_topk = 2,
                          .ffn_hidden_size = 24,
                          .shared_ffn_hidden_size = 24,
                          .router_bias = true,
                          .score = RouterScore::sigmoid,
                          .scaling_factor = 1.5};
    return header;
}

SyntheticLoader glm_model(std::uint64_t mtp_layers = 2) { return SyntheticLoader(glm_header(mtp_layers), 5); }

/// All that Megatron-Core's saver can be asked of the same model.
const std::vector<OptionValues>& core_targets() {
    static const std::vector<OptionValues> all{
        {{"ckpt_format", "torch"}},
        {{"ckpt_format", "torch"}, {"transformer_impl", "local"}, {"target_tensor_parallel_size", "2"}},
        {{"ckpt_format", "torch"},
         {"target_tensor_parallel_size", "2"},
         {"target_pipeline_parallel_size", "2"},
         {"target_virtual_pipeline_parallel_size", "2"},
         {"target_expert_parallel_size", "2"}},
        {{"ckpt_format", "torch_dist"}, {"target_tensor_parallel_size", "2"}}};
    return all;
}

std::vector<std::string> names_of(const std::filesystem::path& file) {
    std::vector<std::string> names;
    const TensorDict dict = torch::tensors(*torch::read(file).find("model"), file.string());
    for (const NamedTensor& entry : dict.entries()) names.push_back(entry.name);
    return names;
}

bool has(const std::vector<std::string>& names, std::string_view name) {
    return std::find(names.begin(), names.end(), name) != names.end();
}

/// The only folder of weights, as Hugging Face would have it.
const Tensor& tensor_in(const TensorDict& dict, std::string_view name) {
    const NamedTensor* found = dict.find(name);
    if (!found) throw Error(to_text("no ", name));
    return found->tensor;
}

/// GLM-4.5 in Hugging Face's layout, with two layers that predict further tokens.
std::filesystem::path hub_folder(const TemporaryDirectory& scratch) {
    auto model = glm_model();
    save(model, "hf", scratch / "hf");
    return scratch / "hf";
}

}  // namespace

TEST_CASE("layers that predict further tokens are messages behind the model's own", "[family][mtp]") {
    const ModelHeader header = glm_header();
    CHECK(message_count<TransformerLayer>(header) == 6);
    CHECK_FALSE(is_mtp_layer(header, 3));
    CHECK(is_mtp_layer(header, 4));
    CHECK_FALSE(is_mtp_layer(glm_header(0), 4));
    auto model = glm_model();
    CHECK_FALSE(model.layer(3).mtp_projection_weight);
    CHECK(model.layer(5).mtp_projection_weight->shape() == Shape{32, 64});
    CHECK(model.layer(5).router_weight);
}

TEST_CASE("Hugging Face numbers them behind the others, with the embeddings and the head again", "[family][mtp]") {
    const TemporaryDirectory scratch;
    const auto folder = hub_folder(scratch);
    const TensorDict dict = safetensors::read(folder / "model.safetensors");
    auto model = glm_model();
    for (const std::string& layer : {std::string("model.layers.4."), std::string("model.layers.5.")}) {
        CHECK(tensor_in(dict, layer + "eh_proj.weight").shape() == Shape{32, 64});
        for (const char* norm : {"enorm", "hnorm", "shared_head.norm", "input_layernorm"})
            CHECK(tensor_in(dict, layer + norm + ".weight").shape() == Shape{32});
        CHECK(same_bytes(tensor_in(dict, layer + "embed_tokens.weight"), *model.embeddings().word));
        CHECK(same_bytes(tensor_in(dict, layer + "shared_head.head.weight"), *model.output_layer().weight));
    }
    CHECK_FALSE(dict.find("model.layers.3.enorm.weight"));
    CHECK(same_bytes(tensor_in(dict, "model.layers.5.enorm.weight"), *model.layer(5).embedding_norm_weight));
    CHECK(same_bytes(tensor_in(dict, "model.layers.5.hnorm.weight"), *model.layer(5).hidden_norm_weight));
    CHECK(read_json(folder / "config.json").at("num_nextn_predict_layers") == Json(2));
    CHECK(read_json(folder / "config.json").at("num_hidden_layers") == Json(4));
    CHECK(differences(model, *load("hf", folder)) == none);
}

TEST_CASE("Megatron-Core has them on its last stage, with the embeddings", "[family][mtp]") {
    const TemporaryDirectory scratch;
    auto model = glm_model();
    save(model, "mcore", scratch / "ranks",
         {{"ckpt_format", "torch"}, {"target_pipeline_parallel_size", "2"}, {"transformer_impl", "local"}});
    const auto first = names_of(rank_file(scratch / "ranks", "mp_rank_00_000")),
               last = names_of(rank_file(scratch / "ranks", "mp_rank_00_001"));
    CHECK(std::none_of(first.begin(), first.end(), [](const std::string& name) { return name.starts_with("mtp."); }));
    for (const char* name :
         {"embedding.word_embeddings.weight", "mtp.layers.0.enorm.weight", "mtp.layers.1.hnorm.weight",
          "mtp.layers.1.eh_proj.weight", "mtp.layers.1.final_layernorm.weight",
          "mtp.layers.1.transformer_layer.input_layernorm.weight",
          "mtp.layers.1.transformer_layer.self_attention.linear_qkv.bias",
          "mtp.layers.1.transformer_layer.mlp.router.expert_bias",
          "mtp.layers.1.transformer_layer.mlp.experts.local_experts.3.linear_fc2.weight"}) {
        INFO(name);
        CHECK(has(last, name));
    }
    CHECK_FALSE(has(last, "mtp.layers.2.enorm.weight"));
}

TEST_CASE("they come back from every form of Megatron-Core's", "[family][mtp]") {
    for (std::size_t i = 0; i < core_targets().size(); ++i) {
        CAPTURE(i);
        const TemporaryDirectory scratch;
        auto model = glm_model();
        save(model, "mcore", scratch / "core", core_targets()[i]);
        const auto core = load("mcore", scratch / "core");
        CHECK(differences(model, *core) == none);
        save(*core, "hf", scratch / "hub");
        CHECK(differences(model, *load("hf", scratch / "hub")) == none);
    }
}

TEST_CASE("a tied model's heads are its embeddings in these layers too", "[family][mtp]") {
    const TemporaryDirectory scratch;
    ModelHeader header = glm_header(1);
    header.tied_embeddings = true;
    SyntheticLoader model(header, 6);
    save(model, "hf", scratch / "hub");
    const TensorDict dict = safetensors::read(scratch / "hub/model.safetensors");
    CHECK(same_bytes(tensor_in(dict, "model.layers.4.shared_head.head.weight"), *model.embeddings().word));
    CHECK(differences(model, *load("hf", scratch / "hub")) == none);
    save(model, "mcore", scratch / "core", {{"ckpt_format", "torch"}, {"target_pipeline_parallel_size", "2"}});
    CHECK(differences(model, *load("mcore", scratch / "core")) == none);
}

TEST_CASE("the newer name of the layer inside is read, and written where the source has it", "[family][mtp]") {
    const TemporaryDirectory scratch;
    auto model = glm_model();
    save(model, "mcore", scratch / "older", {{"ckpt_format", "torch"}});
    edit_rank(rank_file(scratch / "older", "mp_rank_00"), [](RankFile& rank) {
        for (NamedTensor& entry : rank.tensors)
            if (const auto at = entry.name.find("transformer_layer"); at != std::string::npos)
                entry.name.replace(at, 17, "mtp_model_layer");
    });
    const auto newer = load("mcore", scratch / "older");
    CHECK(differences(model, *newer) == none);
    save(*newer, "mcore", scratch / "again", {{"ckpt_format", "torch"}});
    CHECK(has(names_of(rank_file(scratch / "again", "mp_rank_00")), "mtp.layers.0.mtp_model_layer.mlp.router.weight"));
    save(*newer, "mcore", scratch / "dist", {{"ckpt_format", "torch_dist"}});
    CHECK(differences(model, *load("mcore", scratch / "dist")) == none);
}

TEST_CASE("no target without a place for them is written, and drop_mtp is named", "[family][mtp]") {
    for (const char* saver : {"megatron", "hf", "llama", "mistral", "falcon", "gemma", "qwen", "gpt2", "bert"}) {
        INFO(saver);
        const TemporaryDirectory scratch;
        ModelHeader header = small_header();
        header.mtp_num_layers = 1;
        SyntheticLoader model(header, 7);
        CHECK_THAT(refusal([&] { save(model, saver, scratch / "target"); }),
                   ContainsSubstring("the model has layers that predict further tokens (mtp_num_layers 1), which a ") &&
                       ContainsSubstring("give the option drop_mtp"));
        CHECK_FALSE(std::filesystem::exists(scratch / "target"));
    }
    for (const OptionValues& options : {OptionValues{{"dialect", "lm"}}, OptionValues{{"dialect", "llm"}}}) {
        const TemporaryDirectory scratch;
        auto model = glm_model();
        CHECK_THAT(refusal([&] { save(model, "megatron", scratch / "target", options); }),
                   ContainsSubstring("give the option drop_mtp"));
    }
}

TEST_CASE("drop_mtp leaves them out and says so", "[family][mtp]") {
    auto without = glm_model(0);
    const TemporaryDirectory scratch;
    const auto folder = hub_folder(scratch);
    const auto dropped = load("hf", folder, {{"drop_mtp", ""}});
    CHECK(differences(without, *dropped) == none);
    const std::vector<std::string> notices = dropped->notices();
    CHECK(std::find(notices.begin(), notices.end(),
                    "drop_mtp: the layers that predict further tokens (mtp_num_layers 2) are left out") !=
          notices.end());
    save(*dropped, "hf", scratch / "target");
    CHECK(read_json(scratch / "target/config.json").at("num_nextn_predict_layers") == Json(0));
    for (std::size_t i = 0; i < core_targets().size(); ++i) {
        CAPTURE(i);
        const TemporaryDirectory ranks;
        auto model = glm_model();
        save(model, "mcore", ranks / "core", core_targets()[i]);
        const auto core = load("mcore", ranks / "core", {{"drop_mtp", ""}});
        CHECK(differences(without, *core) == none);
        save(*core, "mcore", ranks / "again");
        CHECK(differences(without, *load("mcore", ranks / "again")) == none);
    }
}

TEST_CASE("the files, not config.json, tell how many there are", "[family][mtp]") {
    const TemporaryDirectory scratch;
    auto without = glm_model(0);
    save(without, "hf", scratch / "none");
    edit_json(scratch / "none/config.json", [](Json& config) { config["num_nextn_predict_layers"] = 1; });
    const auto none_there = load("hf", scratch / "none");
    CHECK(differences(without, *none_there) == none);
    CHECK_THAT(none_there->notices().front(),
               ContainsSubstring("says mtp_num_layers 1, the files hold 0 layers that predict further tokens"));
    const auto folder = hub_folder(scratch);
    edit_json(folder / "config.json", [](Json& config) { config["num_nextn_predict_layers"] = 0; });
    auto model = glm_model();
    CHECK(differences(model, *load("hf", folder)) == none);
}

TEST_CASE("what they repeat must be the same", "[family][mtp]") {
    for (const char* name : {"model.layers.4.embed_tokens.weight", "model.layers.5.shared_head.head.weight"}) {
        const TemporaryDirectory scratch;
        const auto folder = hub_folder(scratch);
        edit_tensors(folder, [&](NamedTensor& entry) {
            if (entry.name == name) entry.tensor = *SyntheticLoader(glm_header(), 99).embeddings().word;
            return true;
        });
        CHECK_THAT(refusal([&] { load("hf", folder)->begin(); }), ContainsSubstring(name) &&
                                                                      ContainsSubstring("which it should repeat") &&
                                                                      ContainsSubstring("drop_mtp"));
        auto without = glm_model(0);
        CHECK(differences(without, *load("hf", folder, {{"drop_mtp", ""}})) == none);
    }
    const TemporaryDirectory scratch;
    auto model = glm_model();
    save(model, "mcore", scratch / "core", {{"ckpt_format", "torch"}, {"target_pipeline_parallel_size", "2"}});
    edit_rank(rank_file(scratch / "core", "mp_rank_00_001"), [](RankFile& rank) {
        Tensor& word = rank.tensor("embedding.word_embeddings.weight").tensor;
        word = repeat_last_row(slice(word, 0, 1, word.shape()[0]), word.shape()[0]);
    });
    CHECK_THAT(refusal([&] { load("mcore", scratch / "core")->begin(); }), ContainsSubstring("which it should repeat"));
}

TEST_CASE("args that count others than the files hold are contradicted", "[family][mtp]") {
    const TemporaryDirectory scratch;
    auto model = glm_model();
    save(model, "mcore", scratch / "core", {{"ckpt_format", "torch"}});
    edit_rank(rank_file(scratch / "core", "mp_rank_00"),
              [](RankFile& rank) { rank.set_arg("mtp_num_layers", std::int64_t{3}); });
    CHECK_THAT(refusal([&] { load("mcore", scratch / "core"); }),
               ContainsSubstring("'mtp_num_layers' is 3, but the tensors have another number of layers that predict "
                                 "further tokens"));
    auto without = glm_model(0);
    CHECK(differences(without, *load("mcore", scratch / "core", {{"drop_mtp", ""}})) == none);
    CHECK(differences(model, *load("mcore", scratch / "core", {{"ignore", "mtp_num_layers"}})) == none);
}
