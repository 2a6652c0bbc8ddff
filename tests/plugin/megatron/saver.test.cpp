// SPDX-License-Identifier: Apache-2.0
#include "crossdock/plugin/megatron/saver.hpp"

#include "crossdock/container/torch/reader.hpp"
#include "crossdock/family/llama/hub.hpp"
#include "crossdock/plugin/megatron.hpp"
#include "support/catch.hpp"
#include "support/conversion.hpp"
#include "support/synthetic_model.hpp"

using namespace crossdock;
using namespace crossdock::test;
using Catch::Matchers::ContainsSubstring;

namespace {

SyntheticLoader llama(std::uint64_t layers) {
    return SyntheticLoader(llama_header(layers, 4, 2, 8, 32, 48, 64, DType::bf16), 1);
}

pickle::Value rank_file(const std::filesystem::path& directory, const char* rank) {
    const auto iteration = std::filesystem::exists(directory / "release") ? "release" : "iter_0000001";
    return torch::read(directory / iteration / rank / "model_optim_rng.pt");
}

Json args_of(const pickle::Value& root) { return read_args(root.find("args")).values; }

/// The layers that a file's chunk holds, by their input norms' bytes: which of the source's they are.
template <Loader L>
std::vector<std::uint64_t> layers_in(L& source, const pickle::Value& root, const std::string& chunk,
                                     const std::string& pattern) {
    const TensorDict dict = torch::tensors(*root.find(chunk), chunk);
    std::vector<std::uint64_t> found;
    for (std::uint64_t index = 0;; ++index) {
        const NamedTensor* entry = dict.find(stored_name(pattern, index));
        if (!entry) return found;
        for (std::uint64_t layer = 0; layer < source.header().num_layers; ++layer)
            if (pull(Key<TransformerLayer>{layer}, source).input_norm_weight->bytes() == entry->tensor.bytes())
                found.push_back(layer);
    }
}

template <class Saver>
concept TakesDialect = requires(typename Saver::Options options) {
    options.dialect;
};
template <class Saver>
concept TakesTransformerImpl = requires(typename Saver::Options options) {
    options.transformer_impl;
};

// What would be ignored does not compile.
static_assert(TakesDialect<MegatronSaver> && !TakesDialect<MegatronCoreSaver>);
static_assert(TakesTransformerImpl<MegatronCoreSaver> && !TakesTransformerImpl<MegatronSaver>);

constexpr const char* llm_norm = "language_model.encoder.layers.{}.input_layernorm.weight";
constexpr const char* core_norm = "decoder.layers.{}.input_layernorm.weight";

}  // namespace

TEST_CASE("a virtual pipeline gives each stage chunks in turn, and is read back", "[plugin][megatron]") {
    SyntheticLoader source = llama(12);
    for (const auto& [saver, option] : {std::pair<std::string, OptionValues>{"megatron", {{"dialect", "llm"}}},
                                        {"megatron", {{"dialect", "lm"}}},
                                        {"mcore", {{"transformer_impl", "local"}}},
                                        {"mcore", {}}}) {
        const TemporaryDirectory scratch;
        OptionValues options{{"target_tensor_parallel_size", "2"},
                             {"target_pipeline_parallel_size", "2"},
                             {"target_virtual_pipeline_parallel_size", "3"}};
        options.insert(option.begin(), option.end());
        save(source, saver, scratch / "out", options);
        const auto back = load(saver, scratch / "out");
        CHECK(differences(source, *back) == none);
        save(*back, saver, scratch / "again", {{"target_pipeline_parallel_size", "1"}});
        CHECK(differences(source, *load(saver, scratch / "again")) == none);
    }
}

TEST_CASE("chunk i of stage p starts at layer i·(L/chunks) + p·(L/(stages·chunks))", "[plugin][megatron]") {
    const TemporaryDirectory scratch;
    SyntheticLoader source = llama(12);
    save(source, "megatron", scratch / "out",
         {{"target_pipeline_parallel_size", "2"}, {"target_virtual_pipeline_parallel_size", "3"}});
    const pickle::Value first = rank_file(scratch / "out", "mp_rank_00_000"),
                        last = rank_file(scratch / "out", "mp_rank_00_001");
    using Layers = std::vector<std::uint64_t>;
    CHECK(layers_in(source, first, "model0", llm_norm) == Layers{0, 1});
    CHECK(layers_in(source, last, "model0", llm_norm) == Layers{2, 3});
    CHECK(layers_in(source, first, "model1", llm_norm) == Layers{4, 5});
    CHECK(layers_in(source, last, "model1", llm_norm) == Layers{6, 7});
    CHECK(layers_in(source, first, "model2", llm_norm) == Layers{8, 9});
    CHECK(layers_in(source, last, "model2", llm_norm) == Layers{10, 11});
    CHECK(torch::tensors(*first.find("model0"), "").find("language_model.embedding.word_embeddings.weight"));
    CHECK(torch::tensors(*last.find("model2"), "").find("language_model.lm_head"));
    CHECK(args_of(first)["virtual_pipeline_model_parallel_size"] == 3);
    CHECK(args_of(first)["num_layers_per_virtual_pipeline_stage"] == 2);
    CHECK_FALSE(first.find("model"));
}

TEST_CASE("first and last pipeline stage may hold numbers of their own", "[plugin][megatron]") {
    using Layers = std::vector<std::uint64_t>;
    const TemporaryDirectory scratch;
    SyntheticLoader source = llama(9);
    save(source, "mcore", scratch / "out",
         {{"target_pipeline_parallel_size", "4"},
          {"num_layers_in_first_pipeline_stage", "1"},
          {"num_layers_in_last_pipeline_stage", "2"},
          {"transformer_impl", "local"}});
    const auto layers = [&](const char* rank) {
        return layers_in(source, rank_file(scratch / "out", rank), "model", core_norm);
    };
    CHECK(layers("mp_rank_00_000") == Layers{0});
    CHECK(layers("mp_rank_00_001") == Layers{1, 2, 3});
    CHECK(layers("mp_rank_00_002") == Layers{4, 5, 6});
    CHECK(layers("mp_rank_00_003") == Layers{7, 8});
    const Json args = args_of(rank_file(scratch / "out", "mp_rank_00_000"));
    CHECK(args["decoder_first_pipeline_num_layers"] == 1);
    CHECK(args["decoder_last_pipeline_num_layers"] == 2);
    CHECK(differences(source, *load("mcore", scratch / "out")) == none);

    save(source, "mcore", scratch / "first",
         {{"target_pipeline_parallel_size", "3"}, {"num_layers_in_first_pipeline_stage", "3"}});
    CHECK(differences(source, *load("mcore", scratch / "first")) == none);
    CHECK(args_of(rank_file(scratch / "first", "mp_rank_00_000"))["decoder_last_pipeline_num_layers"] == nullptr);
}

TEST_CASE("layers that do not divide into stages leave a number of its own to the first", "[plugin][megatron]") {
    const auto first = [](std::uint64_t layers, std::uint64_t stages) {
        return detail::uneven_first_stage(layers, stages).value_or(0);
    };
    CHECK(first(6, 3) == 0);
    CHECK(first(3, 2) == 2);
    CHECK(first(6, 4) == 3);
    CHECK(first(61, 16) == 1);
    CHECK(first(61, 8) == 5);
    CHECK(first(6, 7) == 0);
    const TemporaryDirectory scratch;
    SyntheticLoader source = llama(3);
    const auto told = save(source, "mcore", scratch / "out", {{"target_pipeline_parallel_size", "2"}});
    CHECK_THAT(told.front(), ContainsSubstring("give Megatron --decoder-first-pipeline-num-layers 2"));
    CHECK(args_of(rank_file(scratch / "out", "mp_rank_00_000"))["decoder_first_pipeline_num_layers"] == 2);
    CHECK(differences(source, *load("mcore", scratch / "out")) == none);
    CHECK_THAT(refusal([&] {
                   save(source, "megatron", scratch / "older", {{"target_pipeline_parallel_size", "2"}});
               }),
               ContainsSubstring("does not divide the model's 3 layers"));
}

TEST_CASE("pipelines that do not fit the model are refused", "[plugin][megatron]") {
    const TemporaryDirectory scratch;
    const auto why = [&](const OptionValues& options) {
        SyntheticLoader source = llama(6);
        const std::string text = refusal([&] { save(source, "mcore", scratch / "out", options); });
        CHECK_FALSE(std::filesystem::exists(scratch / "out"));
        return text;
    };
    const auto pp = [](const char* stages, OptionValues more) {
        more["target_pipeline_parallel_size"] = stages;
        return more;
    };
    CHECK(why(pp("7", {})) == "target_pipeline_parallel_size 7 does not divide the model's 6 layers; choose a divisor");
    CHECK(why(pp("0", {})) == "parallel sizes are at least 1");
    CHECK(why(pp("2", {{"target_virtual_pipeline_parallel_size", "2"}})) ==
          "target_virtual_pipeline_parallel_size 2 does not divide the 3 layers of a pipeline stage; choose a divisor");
    CHECK(why(pp("1", {{"target_virtual_pipeline_parallel_size", "2"}})) ==
          "target_virtual_pipeline_parallel_size needs at least 2 pipeline stages");
    CHECK(why(pp("3", {{"num_layers_in_first_pipeline_stage", "3"}})) ==
          "of the model's 6 layers, the first and last stage take 3, which leaves 3 for 2 other stages; choose numbers "
          "that leave each as many");
    CHECK_THAT(why(pp("2", {{"num_layers_in_first_pipeline_stage", "7"}})),
               ContainsSubstring("which leaves 0 for 1 other"));
    CHECK_THAT(why(pp("2", {{"num_layers_in_first_pipeline_stage", "3"}, {"num_layers_in_last_pipeline_stage", "2"}})),
               ContainsSubstring("which leaves 1 for 0 other"));
    CHECK(why(pp("2", {{"num_layers_in_last_pipeline_stage", "0"}})) == "a pipeline stage holds at least 1 layer");
    CHECK_THAT(why({{"num_layers_in_last_pipeline_stage", "2"}}), ContainsSubstring("need at least 2 pipeline stages"));
    CHECK(why({{"target_tensor_parallel_size", "8"}}) ==
          "target_tensor_parallel_size 8 does not divide the model's 4 attention heads; choose a divisor");
}

TEST_CASE("ranks share a key/value head where there are more of them, if their Megatron does", "[plugin][megatron]") {
    const TemporaryDirectory scratch;
    SyntheticLoader source = llama(2);
    for (const char* format : {"torch", "torch_dist"}) {
        const auto told =
            save(source, "mcore", scratch / format, {{"target_tensor_parallel_size", "4"}, {"ckpt_format", format}});
        REQUIRE_FALSE(told.empty());
        CHECK_THAT(told[0], ContainsSubstring("several of the 4 tensor-parallel ranks share a key/value head of 2"));
        CHECK(differences(*load("mcore", scratch / format), source) == none);
    }
    // Equal parts of the rows, through the middle of a group: (4 + 2 · 2) heads of 8 rows among 4 ranks.
    const TensorDict rank = torch::tensors(*rank_file(scratch / "torch", "mp_rank_01").find("model"), "rank 1");
    const Tensor rows = rank.find("decoder.layers.0.self_attention.linear_qkv.weight")->tensor;
    CHECK(rows.bytes() == slice(*source.layer(0).qkv_weight, 0, 16, 32).bytes());

    SyntheticLoader thrice(llama_header(2, 6, 3, 4, 24, 48, 64, DType::bf16), 1);
    const auto why = [&](auto& from, const char* saver, OptionValues options) {
        return refusal([&] { save(from, saver, scratch / "out", std::move(options)); });
    };
    CHECK(why(thrice, "mcore", {{"target_tensor_parallel_size", "2"}}) ==
          "target_tensor_parallel_size 2 does not divide the model's 3 key/value heads; choose a divisor");
    CHECK(why(source, "megatron", {{"dialect", "lm"}, {"target_tensor_parallel_size", "4"}}) ==
          "target_tensor_parallel_size 4 does not divide the model's 2 key/value heads; choose a divisor");
    ModelHeader pairs = llama_header(2, 4, 2, 8, 32, 48, 64, DType::bf16);
    pairs.attention.rotary_interleaved = true;
    SyntheticLoader interleaved(pairs, 1);
    CHECK_THAT(why(interleaved, "mcore", {{"target_tensor_parallel_size", "4"}}),
               ContainsSubstring("more tensor-parallel ranks than key/value heads, and rotary_interleaved"));
}

TEST_CASE("padding rows stay as they are when the padded size does, as the reference keeps them",
          "[plugin][megatron]") {
    const TemporaryDirectory scratch;
    const auto source = load("megatron", golden("megatron-lm/gpt"), {{"true_vocab_size", "500"}});
    save(*source, "megatron", scratch / "same", {{"target_tensor_parallel_size", "2"}});
    const auto same = load("megatron", scratch / "same");
    CHECK(same->header().true_vocab_size == 500U);
    CHECK(same->load<Embeddings>().word->shape()[0] == 512);
    CHECK(same->load<Embeddings>().word->bytes() == source->load<Embeddings>().word->bytes());
    save(*source, "megatron", scratch / "more", {{"make_vocab_size_divisible_by", "600"}});
    CHECK(load("megatron", scratch / "more")->load<Embeddings>().word->bytes() ==
          with_vocab_rows(*source->load<Embeddings>().word, 600).bytes());
    save(*source, "gpt2", scratch / "hub");
    CHECK(load("gpt2", scratch / "hub")->load<Embeddings>().word->shape()[0] == 500);
}

TEST_CASE("Megatron refuses a model by the property that it cannot express", "[plugin][megatron]") {
    const auto why = [](const OptionValues& options, const char* saver, const std::function<void(ModelHeader&)>& edit) {
        const TemporaryDirectory scratch;
        ModelHeader header = llama_header(2, 4, 2, 8, 32, 48, 64, DType::bf16);
        edit(header);
        SyntheticLoader source(header, 1);
        return refusal([&] { save(source, saver, scratch / "out", options); });
    };
    const auto all = [&](const std::function<void(ModelHeader&)>& edit, const std::string& property) {
        CHECK_THAT(why({{"dialect", "llm"}}, "megatron", edit), ContainsSubstring("the model has " + property));
        CHECK_THAT(why({{"dialect", "lm"}}, "megatron", edit), ContainsSubstring("the model has " + property));
        CHECK_THAT(why({}, "mcore", edit), ContainsSubstring("the model has " + property));
    };
    all([](ModelHeader& h) { h.positions = PositionKind::alibi; }, "ALiBi positions");
    all([](ModelHeader& h) { h.embedding_norm = true; }, "a norm behind its embeddings (embedding_norm)");
    all([](ModelHeader& h) { h.final_norm = false; }, "no final norm");
    all([](ModelHeader& h) { h.mlp.fc1_bias = true; }, "biases in some but not all of its linear layers");
    const OptionValues llm{{"dialect", "llm"}}, lm{{"dialect", "lm"}};
    CHECK_THAT(why(llm, "megatron", [](ModelHeader& h) { h.attention.rotary_percent = 0.5; }),
               ContainsSubstring("partial rotary"));
    CHECK_THAT(why(llm, "megatron", [](ModelHeader& h) { h.mlp.activation.reset(); }),
               ContainsSubstring("an activation that Megatron-LLM has no name for"));
    CHECK_THAT(why(llm, "megatron", [](ModelHeader& h) { h.positions = PositionKind::none; }),
               ContainsSubstring("no positions"));
    CHECK_THAT(why(lm, "megatron", [](ModelHeader& h) { h.positions = PositionKind::none; }),
               ContainsSubstring("no positions"));
    CHECK_THAT(why(lm, "megatron", [](ModelHeader& h) { h.norm_zero_centered = true; }),
               ContainsSubstring("zero-centred"));
    CHECK_THAT(why(lm, "megatron", [](ModelHeader& h) { h.embedding_multiplier = 2.0; }),
               ContainsSubstring("scaled embeddings"));
    CHECK_THAT(why({}, "mcore", [](ModelHeader& h) { h.post_norm = true; }),
               ContainsSubstring("norms after the blocks"));
}

TEST_CASE("a tensor without a row in the target's table is refused by name", "[plugin][megatron]") {
    ModelHeader header = llama_header(2, 4, 2, 8, 32, 48, 64, DType::bf16);
    header.bert.pooler = true;
    CHECK(refusal([&] { require_rows(llama_family().layouts.front().table(header), header, "a llama checkpoint"); }) ==
          "the model has a tensor 'weight' (pooler), which a llama checkpoint has no place for");
}

TEST_CASE("a number that a pickle would hold as another is refused", "[plugin][megatron]") {
    const TemporaryDirectory scratch;
    const auto copy = copied("hf/mistral-window8", scratch);
    const auto refused_with = [&](std::uint64_t window) {
        edit_json(copy / "config.json", [&](Json& config) { config["sliding_window"] = window; });
        std::string told;
        for (const char* saver : {"mcore", "megatron"})
            told += refusal([&] { save(*load("hf", copy), saver, scratch / to_text(saver, window)); });
        return told;
    };
    constexpr std::uint64_t most = std::uint64_t{1} << 63;
    CHECK(refused_with(most - 1).empty());
    CHECK_THAT(refused_with(most + 1), ContainsSubstring("is a larger number than Megatron's args can have here"));
}
