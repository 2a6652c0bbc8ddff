// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/container/safetensors/writer.hpp"
#include "crossdock/container/sharded/reader.hpp"
#include "crossdock/container/sharded/writer.hpp"
#include "crossdock/family/evidence.hpp"
#include "crossdock/family/family.hpp"
#include "crossdock/family/hub/checks.hpp"
#include "crossdock/family/hub/config.hpp"
#include "crossdock/family/hub/head.hpp"
#include "crossdock/family/hub/names.hpp"
#include "crossdock/family/hub/quantization.hpp"
#include "crossdock/family/hub/type.hpp"

namespace crossdock {

// Directories as Hugging Face's transformers reads and writes them: config.json, and safetensors or pickles, in one
// file or in shards with an index.

namespace detail {

inline std::optional<bool> is_hub_config_of(const Layout& layout, const Json& config) {
    return hub_type_of(config).empty() ? std::nullopt : std::optional(has_hub_type(layout, config));
}

/// What config.json says, as transformers understands it.
inline Notices read_hub_config(const Family& family, const Layout& layout, const Json& config, ModelHeader& header) {
    check_hub_type(family, layout, config);
    refuse_quantization(config);
    refuse_other_class(config);
    Notices notices = class_notices(family, layout, config);
    const auto add = [&](Notices more) {
        for (std::string& line : more) notices.push_back(std::move(line));
    };
    add(contradictions(layout.config, config));
    read_config(layout.config, config, header);
    add(layout.after_config(header, config));
    find_switches(layout, config, header);
    add(unread_keys(family, layout, config));
    if (!header.true_vocab_size) throw Error("has no vocab_size");
    header.vocab_rows = *header.true_vocab_size;
    return notices;
}

inline StoredParts read_hub_tensors(const std::filesystem::path& directory) {
    sharded::Contents contents = sharded::read_directory(directory);
    StoredParts stored{.parts = {}, .warnings = std::move(contents.warnings)};
    stored.parts.push_back(std::move(contents.tensors));
    return stored;
}

/// Throws Error where a layer has biases in the files and none by config.json.
inline void check_stored_biases(const TensorTable& table, const StageTensors& stage, const ModelHeader& header) {
    for (const std::uint64_t layer : telling_layers(header)) {
        ModelHeader found;
        find_biases(table, stage, {"", layer}, layer, found);
        check_biases(found, header, layer);
    }
}

/// The tensors under the table's names, whatever release or training wrote them.
inline Notices understand_hub_tensors(const Family& family, const Layout& layout,
                                      const std::filesystem::path& directory, std::vector<TensorDict>& parts,
                                      ModelHeader& header) {
    Notices notices;
    parts.front() = unwrapped(std::move(parts.front()), notices);
    refuse_other_heads(parts.front());
    if (const auto block = fp8_blocks(carried_config(header)))
        parts.front() = dequantized(std::move(parts.front()), *block, notices);
    refuse_quantized_tensors(parts.front());
    const bool has_base = names_base(parts.front(), layout.spellings);
    parts.front() = in_table_spelling(std::move(parts.front()), layout.spellings, notices);
    parts.front() = separated(std::move(parts.front()), layout.spellings.stacked);
    for (std::string& line : ask_tensors(family, layout, directory, parts, header)) notices.push_back(std::move(line));
    const TensorTable& table = layout.table(header);
    parts.front() = with_embeddings(std::move(parts.front()), table, header, notices);
    require_floating(parts.front(), table);
    header.headless = is_headless(parts.front(), table, header, first_architecture(carried_config(header)), has_base);
    StageTensors stage(std::move(parts));
    in_context(directory.string(), [&] { check_stored_biases(table, stage, header); });
    parts = std::move(stage).ranks();
    return notices;
}

/// config.json of the same family keeps the switches that only its class reads.
inline bool hub_config_expresses(const Layout& layout, const ModelHeader& header, const std::string& name) {
    const Json& config = carried_config(header);
    return has_hub_type(layout, config) && config.contains(name) &&
           std::any_of(layout.switches.begin(), layout.switches.end(),
                       [&](const LayoutSwitch& known) { return known.key == name; });
}

/// What config.json says of a tokenizer, whatever the model is.
inline Json token_ids(const Json& config) {
    Json ids = Json::object();
    for (const char* key : {"bos_token_id", "eos_token_id", "pad_token_id"})
        if (const auto found = config.find(key); found != config.end()) ids[key] = *found;
    return ids;
}

/// Megatron's and Meta's formats hold no token ids; what config.json does not say, transformers takes from its
/// defaults.
inline Notices missing_token_ids(const Family& family, const Layout& layout, const ModelHeader& header) {
    const Json& config = carried_config(header);
    if (has_hub_type(layout, config) || !token_ids(config).empty()) return {};
    return {to_text("no source states ", layout.token_ids,
                    "; config.json is written without, which means transformers' defaults for ", family.name,
                    "; give the option config: the Hugging Face folder that the model comes from")};
}

/// Names without the base where a model of this kind is saved without.
inline std::pair<TensorTable, Notices> hub_target(const Family& family, const Layout& layout,
                                                  const ModelHeader& header) {
    auto [table, notices] = usual_target(family, layout, header);
    for (std::string& line : missing_token_ids(family, layout, header)) notices.push_back(std::move(line));
    const OtherSpellings& spellings = layout.spellings;
    const bool stands_alone = spellings.stands_alone && spellings.stands_alone(header);
    if (stands_alone || header.headless) table = renamed(std::move(table), spellings.base, "");
    return {std::move(table), std::move(notices)};
}

inline std::vector<std::unique_ptr<TensorWriter>> open_hub_writers(const TargetFiles& files) {
    const std::size_t capacity = files.header_capacity;
    std::vector<std::unique_ptr<TensorWriter>> writers;
    writers.push_back(std::make_unique<sharded::Writer>(
        files.directory, sharded::safetensors_names, files.max_shard_bytes,
        [capacity](const OutputPath& path, std::shared_ptr<NameTable> tensors) {
            return std::make_unique<safetensors::Writer>(path, capacity, std::move(tensors));
        }));
    return writers;
}

/// config.json: the source's own where the family is the same, with the header's fields written over it.
inline Json hub_config(const Layout& layout, const ModelHeader& header) {
    Json config = carried_config(header);
    if (!has_hub_type(layout, config)) config = token_ids(config);
    config.erase("auto_map");             // code that stood beside the source's weights
    config.erase("quantization_config");  // the weights are dequantized
    const std::string architecture = layout.architecture(header);
    if (!architecture.empty())
        config["architectures"] = {header.headless ? headless_architecture(architecture) : architecture};
    if (layout.type || !layout.types.empty())
        config["model_type"] = layout.type ? layout.type(header) : layout.types.front();
    if (!config.contains("use_cache")) config["use_cache"] = true;
    write_config(layout.config, header, config);
    return config;
}

/// config.json; and generation_config.json, which earlier versions kept in crossdock.json and is a file beside the
/// weights now.
inline std::vector<std::pair<std::string, std::string>> describe_for_hub(const Family&, const Layout& layout,
                                                                         const ModelHeader& header) {
    std::vector<std::pair<std::string, std::string>> files{
        {"config.json", json_text(hub_config(layout, header)) + "\n"}};
    const auto kept = header.origin.carried.find("generation_config.json");
    const auto& companions = header.origin.companions;
    const bool is_beside = std::any_of(companions.begin(), companions.end(), [](const Companion& companion) {
        return companion.name == "generation_config.json";
    });
    if (kept != header.origin.carried.end() && !is_beside) files.emplace_back(kept->first, kept->second.text());
    return files;
}

}  // namespace detail

/// Hugging Face's layout of any family: config.json and safetensors.
inline constexpr LayoutKind hugging_face{.name = "hf",
                                         .checkpoint_type = "hf",
                                         .description = "config.json",
                                         .weights = "the files of Hugging Face",
                                         .reads = "Hugging Face directories (safetensors or .bin, single or sharded)",
                                         .writes = "Hugging Face directories (safetensors)",
                                         .source = "Hugging Face ({})",
                                         .target = "a {} checkpoint",
                                         .one_part = "Hugging Face's layout has one part",
                                         .keeps_differing_head = true,
                                         .is_of = detail::is_hub_config_of,
                                         .holds_weights = sharded::holds_weights,
                                         .read_description = detail::read_hub_config,
                                         .read_tensors = detail::read_hub_tensors,
                                         .understand_tensors = detail::understand_hub_tensors,
                                         .expresses = detail::hub_config_expresses,
                                         .target_table = detail::hub_target,
                                         .open_writers = detail::open_hub_writers,
                                         .describe = detail::describe_for_hub};

}  // namespace crossdock
