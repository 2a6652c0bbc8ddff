// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <regex>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/container/json.hpp"
#include "crossdock/layout/tensor_parallel.hpp"
#include "golden/checkpoint_files.hpp"
#include "support/plugins.hpp"

// Every pair of folders under tests/data that real tools wrote from the same weights, and the conversion that must
// lead from the one to the other, bit for bit.

namespace crossdock::test {

/// One conversion between two golden folders.
struct GoldenCase {
    std::string name;
    std::string family;  ///< the family's plugin, or gpt and bert for Megatron's own models
    std::string loader, saver;
    OptionValues from, to;
    std::optional<DType> dtype;
    std::filesystem::path expected;
};

/// What the name of a Megatron folder says: llama2-gqa-bf16-local-tp2pp2, mixtral-te-grouped-tp2ep2etp1.
struct GoldenFolder {
    std::string kind, name, base{}, implementation{}, expert_layout{};
    std::uint64_t ranks = 1, stages = 1, expert_ranks = 1;
    std::string expert_tensor_ranks{};  ///< empty: as many as the tensor-parallel ranks
    bool named_sizes = false;
    std::filesystem::path path;

    bool is_core() const { return kind == "megatron-core"; }
    std::string place() const { return kind + "/" + name; }
};

inline std::filesystem::path golden_root() { return CROSSDOCK_TEST_DATA; }

inline std::vector<std::filesystem::path> golden_folders(const std::string& kind) {
    std::vector<std::filesystem::path> folders;
    for (const auto& entry : std::filesystem::directory_iterator(golden_root() / kind)) folders.push_back(entry.path());
    std::sort(folders.begin(), folders.end());
    return folders;
}

inline GoldenFolder parse_golden(const std::string& kind, const std::filesystem::path& path) {
    static const std::regex pattern(
        R"((.+?)(-(?:bf16|fp32|fp16))?(?:-(local|te))?(-grouped)?(?:-(?:tp(\d+))?(?:pp(\d+))?(?:ep(\d+))?(?:etp(\d+))?)?)");
    GoldenFolder folder{.kind = kind, .name = path.filename().string(), .path = path};
    std::smatch match;
    std::regex_match(folder.name, match, pattern);
    folder.base = match[1];
    folder.implementation = match[3] == "te" ? "transformer_engine" : "local";
    folder.expert_layout = !match[4].matched ? "sequential" : match[3] == "te" ? "te_grouped" : "grouped";
    folder.named_sizes = match[5].matched || match[6].matched || match[7].matched;
    if (match[5].matched) folder.ranks = std::stoull(match[5]);
    if (match[6].matched) folder.stages = std::stoull(match[6]);
    if (match[7].matched) folder.expert_ranks = std::stoull(match[7]);
    folder.expert_tensor_ranks = match[8];
    return folder;
}

/// The plugin that reads a Hugging Face folder of this name.
inline std::string golden_family(const std::string& base) {
    constexpr std::array<std::pair<std::string_view, std::string_view>, 11> families{{{"llama", "llama"},
                                                                                      {"codellama", "llama"},
                                                                                      {"mistral", "mistral"},
                                                                                      {"mixtral", "mistral"},
                                                                                      {"falcon", "falcon"},
                                                                                      {"gemma", "gemma"},
                                                                                      {"qwen", "qwen"},
                                                                                      {"deepseek", "deepseek"},
                                                                                      {"glm", "glm"},
                                                                                      {"gpt2", "gpt2"},
                                                                                      {"bert", "bert"}}};
    for (const auto& [beginning, family] : families)
        if (base.starts_with(beginning)) return std::string(family);
    return base;
}

inline std::string golden_model_type(const std::string& base) {
    if (base.starts_with("gemma3")) return "gemma3_text";
    if (base.starts_with("qwen") && base.ends_with("-moe")) return base.substr(0, base.size() - 4) + "_moe";
    if (base.starts_with("deepseek")) return "deepseek_v3";
    if (base.starts_with("glm")) return "glm4_moe";
    for (const char* type :
         {"llama3", "codellama", "llama2", "falcon", "mistral", "mixtral", "gemma2", "gemma", "qwen2", "qwen3"})
        if (base.starts_with(type)) return type;
    if (base.starts_with("gpt")) return "GPT";
    if (base.starts_with("bert")) return "BERT";
    return "llama2";
}

inline std::uint64_t golden_vocab(const std::filesystem::path& folder) {
    return read_json_object(folder / "config.json").at("vocab_size").get<std::uint64_t>();
}

/// Embedding rows of all tensor-parallel ranks, and their type.
inline std::pair<std::uint64_t, DType> golden_embeddings(const std::filesystem::path& folder) {
    std::uint64_t rows = 0;
    DType dtype = DType::f32;
    std::set<std::string> ranks;  // those that differ in their experts alone hold the same rows
    for (const auto& [name, tensor] : read_checkpoint(folder)) {
        const bool is_hub = name.ends_with("embed_tokens.weight") || name.ends_with("wte.weight") ||
                            name.ends_with("word_embeddings.weight");
        if (!is_hub || name.find("word_embeddings_for_head") != std::string::npos) continue;
        const std::size_t rank = name.find("mp_rank_");
        if (rank != std::string::npos && !ranks.insert(name.substr(rank, 10)).second) continue;
        rows += tensor.shape()[0];
        dtype = tensor.dtype();
    }
    return {rows, dtype};
}

/// The conversions to and from Megatron folders of one set of weights, and those to and from Hugging Face.
class GoldenCases {
public:
    GoldenCases() {
        for (const auto& path : golden_folders("hf")) {
            const std::string base = path.filename().string();
            if (golden_family(base) != base || base == "gpt2" || base == "bert") hub_[base] = path;
        }
        for (const char* kind : {"megatron-llm", "megatron-lm", "megatron-core"})
            for (const auto& path : golden_folders(kind)) megatron_.push_back(parse_golden(kind, path));
        for (const GoldenFolder& folder : megatron_) add_megatron(folder);
        for (const auto& path : golden_folders("meta")) add_original(path);
        for (const auto& [base, path] : hub_) add_hub_copy(base, path);
    }

    const std::vector<GoldenCase>& all() const { return cases_; }

private:
    static bool is_megatron_own(const std::string& base) { return base == "gpt" || base == "bert"; }
    bool has_hub(const std::string& base) const { return hub_.contains(base) && !is_megatron_own(base); }

    static OptionValues source_options(const GoldenFolder& folder) {
        return {{"load_dir", folder.path.string()}, {"model_type", golden_model_type(folder.base)}};
    }
    static OptionValues target_options(const GoldenFolder& folder) {
        OptionValues options{{"target_tensor_parallel_size", std::to_string(folder.ranks)},
                             {"target_pipeline_parallel_size", std::to_string(folder.stages)}};
        if (!folder.is_core()) {
            options["dialect"] = folder.kind.substr(9);
            return options;
        }
        options["transformer_impl"] = folder.implementation;
        options["expert_layout"] = folder.expert_layout;
        options["target_expert_parallel_size"] = std::to_string(folder.expert_ranks);
        if (!folder.expert_tensor_ranks.empty())
            options["target_expert_tensor_parallel_size"] = folder.expert_tensor_ranks;
        return options;
    }
    static std::string plugin(const GoldenFolder& folder) { return folder.is_core() ? "mcore" : "megatron"; }

    void add(GoldenCase test, DType from, DType to) {
        if (from != to) test.dtype = to;
        cases_.push_back(std::move(test));
    }

    void add_megatron(const GoldenFolder& folder) {
        if (!hub_.contains(folder.base) && !is_megatron_own(folder.base)) return;
        const auto [rows, dtype] = golden_embeddings(folder.path);
        if (has_hub(folder.base)) add_hub_pair(folder, rows, dtype);
        const bool written_by_saver = folder.kind != "megatron-llm" || folder.named_sizes;
        if (!written_by_saver) return;
        for (const GoldenFolder& source : megatron_) add_reshard(source, folder, rows, dtype);
    }

    /// What the tool that made the folder padded the vocabulary to a multiple of, for each rank.
    static std::string divisor(const GoldenFolder& folder, std::uint64_t rows, std::uint64_t vocab) {
        for (const std::uint64_t multiple : {1U, 32U, 128U})
            if (padded_vocab_rows(vocab, multiple, folder.ranks) == rows) return std::to_string(multiple);
        return "none";
    }

    void add_hub_pair(const GoldenFolder& folder, std::uint64_t rows, DType dtype) {
        const std::filesystem::path& hub = hub_.at(folder.base);
        const std::string family = golden_family(folder.base);
        const std::uint64_t vocab = golden_vocab(hub);
        const DType hub_dtype = golden_embeddings(hub).second;
        if (folder.kind != "megatron-llm" || folder.named_sizes) {
            OptionValues target = target_options(folder);
            target["make_vocab_size_divisible_by"] = divisor(folder, rows, vocab);
            add({"hf/" + folder.base + " -> " + folder.place(),
                 family,
                 family,
                 plugin(folder),
                 {{"load_dir", hub.string()}, {"model_type", golden_model_type(folder.base)}},
                 target,
                 {},
                 folder.path},
                hub_dtype, dtype);
        }
        if (dtype == DType::bf16 && hub_dtype != DType::bf16) return;  // rounded when it was made
        OptionValues source = source_options(folder);
        source["true_vocab_size"] = std::to_string(vocab);
        add({folder.place() + " -> hf/" + folder.base, family, plugin(folder), family, source, {}, {}, hub}, dtype,
            hub_dtype);
    }

    void add_reshard(const GoldenFolder& source, const GoldenFolder& target, std::uint64_t rows, DType dtype) {
        if (source.base != target.base || source.place() == target.place()) return;
        const bool to_core = target.is_core() && source.kind == "megatron-lm";
        if (source.kind != target.kind && !to_core) return;
        const DType source_dtype = golden_embeddings(source.path).second;
        if (source_dtype == DType::bf16 && dtype != DType::bf16) return;
        OptionValues from = source_options(source), to = target_options(target);
        const std::uint64_t vocab = has_hub(target.base) ? golden_vocab(hub_.at(target.base)) : 500;
        from["true_vocab_size"] = std::to_string(vocab);
        if (has_hub(target.base)) to["make_vocab_size_divisible_by"] = divisor(target, rows, vocab);
        add({source.place() + " -> " + target.place(),
             golden_family(target.base),
             plugin(source),
             plugin(target),
             from,
             to,
             {},
             target.path},
            source_dtype, dtype);
    }

    void add_original(const std::filesystem::path& path) {
        const std::string name = path.filename().string();
        const bool is_native = name.ends_with("-native");
        const std::string base = std::regex_replace(name, std::regex("(-mp[0-9]+|-native)$"), "");
        const std::string family = golden_family(base), type = golden_model_type(base);
        OptionValues target{{"layout", "original"}};
        if (!is_native) target["model_parallel_size"] = name.ends_with("-mp2") ? "2" : "1";
        cases_.push_back({"meta/" + name + " -> hf/" + base,
                          family,
                          family,
                          family,
                          {{"load_dir", path.string()}, {"model_type", type}},
                          {},
                          {},
                          hub_.at(base)});
        cases_.push_back({"hf/" + base + " -> meta/" + name,
                          family,
                          family,
                          family,
                          {{"load_dir", hub_.at(base).string()}, {"model_type", type}},
                          target,
                          {},
                          path});
    }

    void add_hub_copy(const std::string& base, const std::filesystem::path& path) {
        const std::string family = golden_family(base);
        const std::string weights = base.substr(0, base.find("-bin"));
        cases_.push_back(
            {"hf/" + base + " -> hf", family, family, family, {{"load_dir", path.string()}}, {}, {}, hub_.at(weights)});
    }

    std::map<std::string, std::filesystem::path> hub_;
    std::vector<GoldenFolder> megatron_;
    std::vector<GoldenCase> cases_;
};

}  // namespace crossdock::test
