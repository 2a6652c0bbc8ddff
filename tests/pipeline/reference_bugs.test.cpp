// SPDX-License-Identifier: Apache-2.0
// What Megatron's own converters get wrong (the numbers are those of docs/from-checkpoint-util.md), and we do not.
#include <filesystem>
#include <string>

#include "golden/checkpoint_files.hpp"
#include "support/catch.hpp"
#include "support/conversion.hpp"
#include "support/synthetic_model.hpp"

using namespace crossdock;
using namespace crossdock::test;

namespace {

const OptionValues two_by_two{{"target_tensor_parallel_size", "2"}, {"target_pipeline_parallel_size", "2"}};

OptionValues with(OptionValues options, const OptionValues& more) {
    options.insert(more.begin(), more.end());
    return options;
}

/// A model of any header in a Megatron dialect at TP 2 × PP 2, resharded to one rank, without what crossdock.json says.
std::vector<std::string> differences_after_reshard(const ModelHeader& header, const std::string& dialect) {
    TemporaryDirectory scratch;
    SyntheticLoader model(header, 7);
    save(model, "megatron", scratch / "many", with(two_by_two, {{"dialect", dialect}}));
    std::filesystem::remove(scratch / "many" / "crossdock.json");
    const auto many = load("megatron", scratch / "many", {{"true_vocab_size", std::to_string(header.vocab_rows)}});
    save(*many, "megatron", scratch / "one",
         {{"target_tensor_parallel_size", "1"}, {"target_pipeline_parallel_size", "1"}});
    std::filesystem::remove(scratch / "one" / "crossdock.json");
    const auto one = load("megatron", scratch / "one", {{"true_vocab_size", std::to_string(header.vocab_rows)}});
    SyntheticLoader again(header, 7);
    return differences(again, *one);
}

ModelHeader gpt_header() {
    ModelHeader header = llama_header(2, 4, 4, 8, 32, 64, 50, DType::f16);
    header.family = "gpt2";
    header.norm = NormKind::layer;
    header.positions = PositionKind::learned;
    header.mlp.gated = false;
    header.mlp.activation = Activation::gelu_tanh;
    header.tied_embeddings = true;
    header.attention.qkv_bias = header.attention.dense_bias = header.mlp.fc1_bias = header.mlp.fc2_bias = true;
    header.attention.rope_theta.reset();
    header.attention.rope_scaling.reset();
    header.attention.rotary_percent.reset();
    return header;
}

}  // namespace

TEST_CASE("position tables and biases survive resharding (1, 2)", "[pipeline][reference_bugs]") {
    TemporaryDirectory scratch;
    SyntheticLoader model(gpt_header(), 3);
    for (const char* dialect : {"llm", "lm"}) {
        const auto many = scratch / std::string(dialect), one = scratch / (std::string(dialect) + "1");
        save(model, "megatron", many, with(two_by_two, {{"dialect", dialect}}));
        save(*load("megatron", many), "megatron", one,
             {{"target_tensor_parallel_size", "1"}, {"target_pipeline_parallel_size", "1"}});
        SyntheticLoader again(gpt_header(), 3);
        const auto back = load("megatron", one);
        CHECK(back->header().positions == PositionKind::learned);
        CHECK(back->header().mlp.fc2_bias);
        std::vector<std::string> tensors = differences(again, *back);
        std::erase_if(tensors, [](const std::string& line) { return line.starts_with("header"); });
        CHECK(tensors == none);
    }
}

TEST_CASE("what the reference forgets in resharding stays (3)", "[pipeline][reference_bugs]") {
    ModelHeader header = llama_header(2, 4, 2, 12, 40, 64, 50, DType::bf16);
    header.attention.rope_theta = 1e6;
    header.norm_epsilon = 1e-6;
    header.attention.rope_scaling->type = "linear";
    header.attention.rope_scaling->factor = 4.0;
    header.attention.sliding_window = 512;
    for (const char* dialect : {"llm", "lm"}) CHECK(differences_after_reshard(header, dialect) == none);
}

TEST_CASE("dtypes are kept without being asked for (4)", "[pipeline][reference_bugs]") {
    for (const DType dtype : {DType::f32, DType::f16, DType::bf16})
        CHECK(differences_after_reshard(llama_header(2, 4, 2, 8, 32, 64, 50, dtype), "llm") == none);
}

TEST_CASE("BERT's heads, token types and vocabulary bias survive (5, 7)", "[pipeline][reference_bugs]") {
    TemporaryDirectory scratch;
    const OptionValues size{{"true_vocab_size", "500"}};
    const auto source = load("megatron", golden("megatron-lm/bert"), size);
    CHECK(source->header().num_token_types == 2);
    CHECK(source->header().bert.binary_head);
    save(*source, "megatron", scratch / "many", two_by_two);
    const auto again = load("megatron", golden("megatron-lm/bert"), size),
               many = load("megatron", scratch / "many", size);
    CHECK(differences(*again, *many) == none);
}

TEST_CASE("biases of gated MLPs are cut and joined by halves (6)", "[pipeline][reference_bugs]") {
    ModelHeader header = llama_header(2, 4, 2, 8, 32, 64, 50, DType::bf16);
    header.attention.qkv_bias = header.attention.dense_bias = header.mlp.fc1_bias = header.mlp.fc2_bias = true;
    for (const char* dialect : {"llm", "lm"}) CHECK(differences_after_reshard(header, dialect) == none);
}

TEST_CASE("the output layer is padded as the embeddings are (8)", "[pipeline][reference_bugs]") {
    TemporaryDirectory scratch;
    SyntheticLoader model(llama_header(2, 4, 2, 8, 32, 64, 50, DType::bf16), 5);
    save(model, "megatron", scratch / "lm",
         {{"dialect", "lm"}, {"target_tensor_parallel_size", "2"}, {"make_vocab_size_divisible_by", "8"}});
    const auto tensors = read_checkpoint(scratch / "lm");
    for (const char* rank : {"mp_rank_00", "mp_rank_01"}) {
        const std::string file = std::string(rank) + "/model_optim_rng.pt::model.language_model.";
        CHECK(tensors.at(file + "embedding.word_embeddings.weight").shape() == Shape{32, 32});
        CHECK(tensors.at(file + "output_layer.weight").shape() == Shape{32, 32});
    }
}

TEST_CASE("a tied model's last stage has a copy of the embeddings (9)", "[pipeline][reference_bugs]") {
    ModelHeader header = llama_header(2, 4, 2, 8, 32, 64, 48, DType::bf16);
    header.tied_embeddings = true;
    TemporaryDirectory scratch;
    SyntheticLoader model(header, 5);
    save(model, "mcore", scratch / "mcore",
         with(two_by_two, {{"make_vocab_size_divisible_by", "8"}, {"transformer_impl", "local"}}));
    const auto tensors = read_checkpoint(scratch / "mcore");
    CHECK(tensors.at("mp_rank_01_001/model_optim_rng.pt::model.output_layer.weight").bytes() ==
          tensors.at("mp_rank_01_000/model_optim_rng.pt::model.embedding.word_embeddings.weight").bytes());
    CHECK_FALSE(tensors.contains("mp_rank_01_001/model_optim_rng.pt::model.embedding.word_embeddings.weight"));
}

TEST_CASE("a virtual pipeline is read (14)", "[pipeline][reference_bugs]") {
    TemporaryDirectory scratch;
    const ModelHeader header = llama_header(8, 4, 2, 8, 32, 64, 50, DType::bf16);
    SyntheticLoader model(header, 5);
    save(model, "megatron", scratch / "lm",
         with(two_by_two, {{"dialect", "lm"}, {"target_virtual_pipeline_parallel_size", "2"}}));
    SyntheticLoader again(header, 5);
    CHECK(differences(again, *load("megatron", scratch / "lm")) == none);
}
