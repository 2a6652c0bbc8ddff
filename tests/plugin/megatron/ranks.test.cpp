// SPDX-License-Identifier: Apache-2.0
#include "crossdock/plugin/megatron/ranks.hpp"

#include <filesystem>
#include <functional>
#include <string>

#include "support/catch.hpp"
#include "support/conversion.hpp"
#include "support/megatron_rank_file.hpp"

using namespace crossdock;
using namespace crossdock::test;
using Catch::Matchers::ContainsSubstring;

namespace {

/// The tensor with its elements in the other order: as a damaged copy, of the same size.
Tensor changed(const Tensor& tensor) {
    const std::uint64_t rows = tensor.shape()[0];
    return concatenate(std::vector<Tensor>{slice(tensor, 0, 1, rows), slice(tensor, 0, 0, 1)}, 0);
}

/// What converting a golden checkpoint says after one of its ranks was edited.
std::string refused(const char* name, const char* rank, const std::function<void(RankFile&)>& edit) {
    const TemporaryDirectory scratch;
    const auto copy = copied(name, scratch);
    edit_rank(rank_file(copy, rank), edit);
    return refusal([&] { save(*load("megatron", copy), "mcore", scratch / "out"); });
}

}  // namespace

TEST_CASE("ranks that agree are converted, whatever each says of its own place", "[plugin][megatron]") {
    const auto nothing = [](RankFile&) {};
    CHECK(refused("megatron-core/llama2-gqa-local-tp2pp2", "mp_rank_01_001", nothing).empty());
    CHECK(refused("megatron-core/llama2-gqa-local-tp2", "mp_rank_01", [](RankFile& rank) {
              rank.set_arg("rank", 1);
              rank.set_arg("consumed_train_samples", 17);
          }).empty());
    CHECK(refused("megatron-core/llama2-gqa-local-tp2", "mp_rank_01", [](RankFile& rank) { rank.args = {}; }).empty());
}

TEST_CASE("a tensor that all ranks hold and that differs is refused by its name", "[plugin][megatron]") {
    const auto why = [](const char* name, const char* rank, const char* tensor) {
        return refused(name, rank, [&](RankFile& file) {
            NamedTensor& entry = file.tensor(tensor);
            entry.tensor = changed(entry.tensor);
        });
    };
    const std::string norm =
        why("megatron-core/llama2-gqa-local-tp2pp2", "mp_rank_01_001", "decoder.layers.0.input_layernorm.weight");
    CHECK_THAT(norm, ContainsSubstring("tensor 'model.decoder.layers.0.input_layernorm.weight' differs between "
                                       "tensor-parallel ranks 0 and 1 ("));
    CHECK_THAT(norm, ContainsSubstring("mp_rank_01_001/model_optim_rng.pt"));
    for (const auto& [name, tensor] :
         {std::pair("megatron-core/gpt-tp2", "decoder.layers.0.self_attention.linear_proj.bias"),
          std::pair("megatron-core/gpt-tp2", "embedding.position_embeddings.weight"),
          std::pair("megatron-llm/llama2-gqa-tp2", "language_model.encoder.final_layernorm.weight"),
          std::pair("megatron-lm/gpt-tp2", "language_model.encoder.layers.1.mlp.dense_4h_to_h.bias")})
        CHECK_THAT(why(name, "mp_rank_01", tensor), ContainsSubstring(to_text("'model.", tensor, "' differs between")));
}

TEST_CASE("verify compares what all ranks hold, too", "[plugin][megatron]") {
    const TemporaryDirectory scratch;
    const auto copy = copied("megatron-core/gpt-tp2", scratch);
    CHECK(differences(*load("mcore", golden("megatron-core/gpt-tp2")), *load("mcore", copy)) == none);
    edit_rank(rank_file(copy, "mp_rank_01"), [](RankFile& rank) {
        NamedTensor& entry = rank.tensor("decoder.final_layernorm.weight");
        entry.tensor = changed(entry.tensor);
    });
    CHECK_THAT(refusal([&] { differences(*load("mcore", golden("megatron-core/gpt-tp2")), *load("mcore", copy)); }),
               ContainsSubstring("'model.decoder.final_layernorm.weight' differs between"));
}

TEST_CASE("a tied model's copy of its embeddings on the last stage is that of the first", "[plugin][megatron]") {
    CHECK_THAT(refused("megatron-core/llama3.2-tied-local-pp2", "mp_rank_00_001",
                       [](RankFile& rank) {
                           NamedTensor& entry = rank.tensor("output_layer.weight");
                           entry.tensor = changed(entry.tensor);
                       }),
               ContainsSubstring("'output_layer.weight' differs from the word embeddings"));
}

TEST_CASE("ranks that state different things are refused", "[plugin][megatron]") {
    const char* name = "megatron-core/llama2-gqa-local-tp2pp2";
    const char* rank = "mp_rank_01_001";
    CHECK_THAT(refused(name, rank, [](RankFile& file) { file.iteration = 99; }),
               ContainsSubstring("ranks disagree on the iteration: "));
    CHECK_THAT(refused(name, rank, [](RankFile& file) { file.version = 1.0; }),
               ContainsSubstring("ranks disagree on checkpoint_version: "));
    const std::string heads = refused(name, rank, [](RankFile& file) { file.set_arg("num_attention_heads", 2); });
    CHECK_THAT(heads, ContainsSubstring("ranks disagree on num_attention_heads: "));
    CHECK_THAT(heads, ContainsSubstring("mp_rank_01_001/model_optim_rng.pt says 2"));
    CHECK_THAT(refused(name, rank, [](RankFile& file) { file.set_arg("rotary_base", 77); }),
               ContainsSubstring("ranks disagree on rotary_base: "));
}

TEST_CASE("ranks that are missing at the end are told by args and tensors", "[plugin][megatron]") {
    const TemporaryDirectory scratch;
    const auto copy = copied("megatron-core/llama2-gqa-local-tp2pp2", scratch);
    const auto remove = [&](std::string_view folder) {
        std::vector<std::filesystem::path> found;
        for (const auto& file : std::filesystem::recursive_directory_iterator(copy))
            if (file.path().filename() == folder) found.push_back(file.path());
        for (const auto& path : found) std::filesystem::remove_all(path);
    };
    remove("mp_rank_00_001");
    remove("mp_rank_01_001");
    CHECK_THAT(refusal([&] { load("megatron", copy); }),
               ContainsSubstring("2 of 4 ranks are missing: mp_rank_00_001, mp_rank_01_001; args say "
                                 "tensor_model_parallel_size 2 and pipeline_model_parallel_size 2"));
    remove("mp_rank_01_000");
    CHECK_THAT(refusal([&] { load("megatron", copy); }),
               ContainsSubstring("3 of 4 ranks are missing: mp_rank_01_000, mp_rank_00_001, mp_rank_01_001"));
}

TEST_CASE("args that a script left as they were before it merged ranks do no harm", "[plugin][megatron]") {
    CHECK(refused("megatron-core/llama2-gqa-local-tp1", "mp_rank_00", [](RankFile& rank) {
              rank.set_arg("tensor_model_parallel_size", 8);
              rank.set_arg("pipeline_model_parallel_size", 2);
          }).empty());
}
