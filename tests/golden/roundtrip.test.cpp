// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "crossdock/pipeline/convert.hpp"
#include "golden/checkpoint_files.hpp"
#include "support/catch.hpp"
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
    trial.header.qkv_bias = trial.header.dense_bias = random() % 3 == 0;
    trial.header.fc1_bias = trial.header.fc2_bias = random() % 3 == 0;
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

void save(Loader& loader, const std::string& saver, OptionValues options, const std::filesystem::path& target) {
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
    for (std::uint32_t number = 0; number < 120; ++number) {
        const Trial trial = random_trial(random);
        INFO("trial " << number << ": " << trial.saver << " TP " << trial.ranks << " PP " << trial.stages << " heads "
                      << trial.header.num_attention_heads << " groups " << trial.header.num_query_groups
                      << " head size " << trial.header.kv_channels << " hidden " << trial.header.hidden_size
                      << " vocabulary " << trial.header.vocab_rows);
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

TEST_CASE("a Megatron checkpoint of any size reshards to any other and back", "[roundtrip]") {
    std::mt19937 random(20260802);
    for (std::uint32_t number = 0; number < 60; ++number) {
        Trial first = random_trial(random), second = random_trial(random);
        const std::uint64_t ranks = std::lcm(first.ranks, second.ranks);
        ModelHeader header = first.header;
        header.num_layers = std::lcm(first.stages, second.stages);
        header.num_query_groups = ranks;
        header.num_attention_heads = ranks * between(random, 1, 2);
        header.ffn_hidden_size = ranks * between(random, 1, 9);
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
