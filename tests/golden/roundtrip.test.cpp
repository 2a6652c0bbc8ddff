// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <cstdint>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "crossdock/pipeline/convert.hpp"
#include "golden/checkpoint_files.hpp"
#include "support/catch.hpp"
#include "support/one_in.hpp"
#include "support/plugins.hpp"
#include "support/synthetic_model.hpp"
#include "support/temporary_directory.hpp"

using namespace crossdock;
using namespace crossdock::test;

namespace {

template <class T>
T pick(std::mt19937& random, const std::vector<T>& choices) {
    return choices[random() % choices.size()];
}

std::uint64_t between(std::mt19937& random, std::uint64_t least, std::uint64_t most) {
    return least + random() % (most - least + 1);
}

/// Parallel sizes and a model that they divide; nothing else is round.
struct Trial {
    ModelHeader header;
    std::uint64_t ranks, stages;
    std::string saver;
    OptionValues options;
};

Trial random_trial(std::mt19937& random) {
    Trial trial;
    trial.ranks = pick<std::uint64_t>(random, {1, 2, 4, 8});
    trial.stages = pick<std::uint64_t>(random, {1, 2, 3, 4});
    const std::uint64_t groups = trial.ranks * between(random, 1, 16 / trial.ranks);
    const std::uint64_t heads = groups * between(random, 1, 16 / groups);
    trial.header = llama_header(trial.stages * between(random, 1, 2), heads, groups, 2 * between(random, 1, 9),
                                between(random, 3, 70), trial.ranks * between(random, 1, 20), between(random, 3, 400),
                                pick<DType>(random, {DType::bf16, DType::f16, DType::f32}));
    trial.header.tied_embeddings = random() % 2 == 0;
    ModelHeader& header = trial.header;  // Megatron knows biases everywhere or nowhere
    header.attention.qkv_bias = header.attention.dense_bias = header.mlp.fc1_bias = header.mlp.fc2_bias =
        random() % 3 == 0;
    trial.saver = pick<std::string>(random, {"megatron", "mcore"});
    trial.options = {{"target_tensor_parallel_size", std::to_string(trial.ranks)},
                     {"target_pipeline_parallel_size", std::to_string(trial.stages)},
                     {"make_vocab_size_divisible_by", std::to_string(between(random, 1, 9))}};
    if (trial.saver == "megatron")
        trial.options["dialect"] = pick<std::string>(random, {"llm", "lm"});
    else
        trial.options["transformer_impl"] = pick<std::string>(random, {"local", "transformer_engine"});
    return trial;
}

template <Loader L>
void save(L& loader, const std::string& saver, OptionValues options, const std::filesystem::path& target) {
    options["save_dir"] = target.string();
    convert(loader, *make_saver(saver, options));
}

void save(const std::filesystem::path& source, const std::string& loader, const std::string& saver,
          const OptionValues& options, const std::filesystem::path& target) {
    save(*make_loader(loader, {{"load_dir", source.string()}}), saver, options, target);
}

}  // namespace

TEST_CASE("a model of any shape comes back from Megatron as it was", "[roundtrip]") {
    std::mt19937 random(20260801);
    for (std::uint32_t number = 0; number < 24 / one_in; ++number) {
        const Trial trial = random_trial(random);
        INFO("trial " << number << ": " << trial.saver << " TP " << trial.ranks << " PP " << trial.stages << " heads "
                      << trial.header.attention.num_attention_heads << " groups "
                      << trial.header.attention.num_query_groups << " head size " << trial.header.attention.kv_channels
                      << " hidden " << trial.header.hidden_size << " vocabulary " << trial.header.vocab_rows);
        TemporaryDirectory scratch;
        SyntheticLoader model(trial.header, number);
        save(model, "llama", {}, scratch / "hub");
        save(scratch / "hub", "llama", trial.saver, trial.options, scratch / "megatron");
        save(scratch / "megatron", trial.saver, "llama", {}, scratch / "back");
        CHECK(differences(scratch / "hub", scratch / "back") == std::vector<std::string>{});
        save(scratch / "back", "llama", trial.saver, trial.options, scratch / "again");
        CHECK(differences(scratch / "megatron", scratch / "again") == std::vector<std::string>{});
    }
}

namespace {

/// A model of a family with its own switches and random sizes, and the Megatron formats that can express it.
struct FamilyTrial {
    std::string family;
    ModelHeader header;
    std::uint64_t ranks;
    std::vector<std::string> dialects;
};

void make_layer_norm_model(ModelHeader& header, Activation activation) {
    header.norm = NormKind::layer;
    header.mlp.gated = false;
    header.mlp.activation = activation;
    header.tied_embeddings = true;
}

FamilyTrial random_family_trial(std::mt19937& random) {
    FamilyTrial trial;
    trial.family = pick<std::string>(
        random, {"mistral", "gemma", "qwen2", "qwen3", "falcon-7b", "falcon-40b", "falcon-11b", "gpt2", "bert"});
    trial.ranks = trial.family == "falcon-7b" ? 1 : pick<std::uint64_t>(random, {1, 2, 4});
    std::uint64_t groups = trial.family == "falcon-7b" ? 1 : trial.ranks * between(random, 2, 3);
    const std::uint64_t heads = groups * between(random, trial.family == "falcon-7b" ? 2 : 1, 3);
    const bool is_multi_head = trial.family == "gpt2" || trial.family == "bert";
    if (is_multi_head) groups = heads;
    const std::uint64_t head_size = 2 * between(random, 1, 7);
    const bool has_own_head_size = trial.family == "mistral" || trial.family == "gemma" || trial.family == "qwen3";
    const std::uint64_t hidden = has_own_head_size ? between(random, 5, 60) : heads * head_size;
    ModelHeader header = llama_header(4, heads, groups, head_size, hidden, trial.ranks * between(random, 3, 30),
                                      between(random, 20, 300), pick<DType>(random, {DType::bf16, DType::f32}));
    header.family = trial.family.substr(0, trial.family.find('-'));
    header.max_position_embeddings = 64;
    trial.dialects = {"lm", "mcore"};
    if (trial.family == "mistral") {
        header.attention.sliding_window = random() % 2 ? 16 : 0;
        trial.dialects = {"llm", "lm", "mcore"};
    } else if (trial.family == "gemma") {
        header.norm_zero_centered = true;
        header.mlp.activation = Activation::gelu_tanh;
        header.embedding_multiplier = std::sqrt(static_cast<double>(hidden));
        header.tied_embeddings = true;
        trial.dialects = {"mcore"};
    } else if (trial.family.starts_with("qwen")) {
        header.family = "qwen";
        header.attention.qk_norm = trial.family == "qwen3";
        header.attention.qkv_bias = trial.family == "qwen2";
        trial.dialects = {"mcore"};
    } else if (header.family == "falcon") {
        make_layer_norm_model(header, Activation::gelu_erf);
        header.parallel_attention = true;
        header.parallel_norm = trial.family == "falcon-40b";
        header.attention.qkv_bias = header.attention.dense_bias = header.mlp.fc1_bias = header.mlp.fc2_bias =
            random() % 2 == 0;
        trial.dialects = {"llm"};
    } else {
        make_layer_norm_model(header, trial.family == "gpt2" ? Activation::gelu_tanh : Activation::gelu_erf);
        header.positions = PositionKind::learned;
        header.attention.qkv_bias = header.attention.dense_bias = header.mlp.fc1_bias = header.mlp.fc2_bias = true;
        header.attention.rope_theta.reset();
        header.attention.rope_scaling.reset();
        header.attention.rotary_percent.reset();
        if (trial.family == "bert") {
            header.num_token_types = 2;
            header.bert.pooler = header.bert.lm_head = header.bert.binary_head = true;
        }
    }
    trial.header = header;
    return trial;
}

}  // namespace

TEST_CASE("models of every family and any shape come back from Megatron as they were", "[roundtrip]") {
    std::mt19937 random(20260803);
    for (std::uint32_t number = 0; number < 16 / one_in; ++number) {
        const FamilyTrial trial = random_family_trial(random);
        const std::string plugin = trial.header.family, dialect = pick(random, trial.dialects);
        INFO("trial " << number << ": " << trial.family << " to " << dialect << " TP " << trial.ranks << " heads "
                      << trial.header.attention.num_attention_heads << " groups "
                      << trial.header.attention.num_query_groups << " head size " << trial.header.attention.kv_channels
                      << " hidden " << trial.header.hidden_size);
        TemporaryDirectory scratch;
        SyntheticLoader model(trial.header, number);
        save(model, plugin, {}, scratch / "hub");
        const std::string saver = dialect == "mcore" ? "mcore" : "megatron";
        OptionValues options{{"target_tensor_parallel_size", std::to_string(trial.ranks)},
                             {"target_pipeline_parallel_size", "2"},
                             {"make_vocab_size_divisible_by", "4"}};
        if (saver == "megatron") options["dialect"] = dialect;
        save(scratch / "hub", plugin, saver, options, scratch / "megatron");
        save(scratch / "megatron", saver, plugin, {}, scratch / "back");
        CHECK(differences(scratch / "hub", scratch / "back") == std::vector<std::string>{});
    }
}

TEST_CASE("a Megatron checkpoint of any size reshards to any other and back", "[roundtrip]") {
    std::mt19937 random(20260802);
    for (std::uint32_t number = 0; number < 16 / one_in; ++number) {
        Trial first = random_trial(random), second = random_trial(random);
        const std::uint64_t ranks = std::lcm(first.ranks, second.ranks);
        ModelHeader header = first.header;
        header.num_layers = std::lcm(first.stages, second.stages);
        header.attention.num_query_groups = ranks;
        header.attention.num_attention_heads = ranks * between(random, 1, 2);
        header.mlp.ffn_hidden_size = ranks * between(random, 1, 9);
        INFO("trial " << number << ": TP " << first.ranks << " PP " << first.stages << " to TP " << second.ranks
                      << " PP " << second.stages);
        TemporaryDirectory scratch;
        SyntheticLoader model(header, number);
        save(model, first.saver, first.options, scratch / "first");
        save(scratch / "first", first.saver, second.saver, second.options, scratch / "second");
        save(scratch / "second", second.saver, first.saver, first.options, scratch / "back");
        CHECK(differences(scratch / "first", scratch / "back") == std::vector<std::string>{});
    }
}
