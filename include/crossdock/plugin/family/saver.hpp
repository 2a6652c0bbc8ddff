// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "crossdock/container/safetensors/writer.hpp"
#include "crossdock/container/sharded/writer.hpp"
#include "crossdock/core/join_lists.hpp"
#include "crossdock/family/family.hpp"
#include "crossdock/family/hub/config.hpp"
#include "crossdock/plugin/companions.hpp"
#include "crossdock/plugin/header_overrides.hpp"
#include "crossdock/plugin/hub/head.hpp"
#include "crossdock/plugin/hub/reference.hpp"
#include "crossdock/plugin/options.hpp"
#include "crossdock/plugin/original/files.hpp"
#include "crossdock/plugin/table_saver.hpp"

namespace crossdock {

/// What the saver of any family is asked.
struct FamilySaverOptions {
    std::filesystem::path save_dir{};
    bool overwrite = false;
    std::string layout = "hf";                           ///< "hf" or "original"
    std::optional<std::string> max_shard_size{};         ///< Hugging Face layout
    std::optional<std::uint64_t> model_parallel_size{};  ///< original layout
    std::filesystem::path config{};                      ///< a Hugging Face folder that says what the source does not
    HeaderOverrides overrides{};
};

namespace detail {

/// An upper bound of the bytes that a safetensors header with all tensors of the model takes.
inline std::size_t header_capacity(const TensorTable& table, const ModelHeader& header) {
    constexpr std::size_t entry_bytes = 160;  // dtype, shape, two offsets of 20 digits and the punctuation
    std::size_t bytes = 1024;
    for_each_message(header, [&]<class M>(Key<M> key) {
        for (const Row<M>& row : table.rows<M>()) {
            const Parts fields = blank_fields(row, header, key.index);
            if (fields.empty()) continue;
            for (const std::string& name : row.names) bytes += element_count(row, fields) * (name.size() + entry_bytes);
        }
    });
    return bytes;
}

/// What config.json says of a tokenizer, whatever the model is.
inline Json token_ids(const Json& config) {
    Json ids = Json::object();
    for (const char* key : {"bos_token_id", "eos_token_id", "pad_token_id"})
        if (const auto found = config.find(key); found != config.end()) ids[key] = *found;
    return ids;
}

/// config.json: the source's own where the family is the same, with the header's fields written over it.
inline Json hub_config(const Family& family, const ModelHeader& header) {
    Json config = carried_config(header);
    if (!has_hub_type(family, config)) config = token_ids(config);
    config.erase("auto_map");  // code that stood beside the source's weights
    const std::string architecture = family.architecture(header);
    config["architectures"] = {header.headless ? headless_architecture(architecture) : architecture};
    config["model_type"] = family.hub_type ? family.hub_type(header) : family.hub_types.front();
    if (!config.contains("use_cache")) config["use_cache"] = true;
    write_config(family.config, header, config);
    return config;
}

}  // namespace detail

/// Writes a family's Hugging Face layout, or its original one.
class FamilySaverBase : public TableSaver {
public:
    FamilySaverBase(const Family& family, FamilySaverOptions options)
        : TableSaver(options.save_dir, options.overwrite, options.overrides),
          family_(family),
          options_(std::move(options)) {
        if (options_.layout != "hf" && options_.layout != "original")
            throw UsageError(to_text("--layout is '", options_.layout, "', expected hf or original"));
        if (is_original() && !family.original)
            throw UsageError(to_text("--layout original: ", family.name, " has no layout but Hugging Face's"));
        if (ranks() == 0) throw UsageError("--model_parallel_size is 0, expected at least 1");
        if (ranks() > 1 && (!is_original() || family.original->safetensors))
            throw UsageError(to_text("--model_parallel_size ", ranks(), ": ",
                                     is_original() ? "mistralai's layout has one part" : "needs --layout original"));
        if (options_.max_shard_size) max_shard_bytes_ = sharded::parse_size(*options_.max_shard_size);
    }

protected:
    void prepare() override {
        if (!options_.config.empty()) take_reference();
        if (header_.true_vocab_size)
            header_.vocab_rows = *header_.true_vocab_size;
        else
            notice(to_text("the true vocabulary size is not known; all ", header_.vocab_rows, " rows are kept"));
        const std::string format = to_text("a ", family_.name, " checkpoint");
        require_expressible(family_.requirements, header_, format);
        if (!family_.layers_may_differ) require_expressible({detail::require::equal_layers}, header_, format);
        if (is_original()) return prepare_original();
        table_ = family_.hub_table(header_);
        require_rows(table_, header_, format);
        if (family_.add_twins) family_.add_twins(table_, header_);
        warn_of_token_ids();
        const OtherSpellings& spellings = family_.spellings;
        const bool stands_alone = spellings.stands_alone && spellings.stands_alone(header_);
        if (stands_alone || header_.headless) table_ = renamed(table_, spellings.base, "");
    }

    /// config.json of the same family keeps the switches that only its class reads.
    bool expresses(const ModelHeader& header, const std::string& name) const override {
        const Json config = detail::carried_config(header);
        return !is_original() && has_hub_type(family_, config) && config.contains(name) &&
               std::any_of(family_.switches.begin(), family_.switches.end(),
                           [&](const HubSwitch& known) { return known.key == name; });
    }

    TargetCheckpoint open(const std::filesystem::path& directory) override {
        TargetCheckpoint target;
        for (std::uint64_t index = 0; index < header_.num_layers; ++index)
            target.layers.push_back({0, {"", index, header_.num_layers}});
        if (is_original()) {
            auto writers =
                make_original_writers(*family_.original, ranks(), detail::header_capacity(table_, header_), directory);
            for (std::uint64_t rank = 0; rank < writers.size(); ++rank)
                target.writers[{.tensor = rank}] = std::move(writers[rank]);
        } else {
            const std::size_t capacity = detail::header_capacity(table_, header_);
            target.writers[{}] = std::make_unique<sharded::Writer>(
                directory, sharded::safetensors_names, max_shard_bytes_, [capacity](const std::filesystem::path& path) {
                    return std::make_unique<safetensors::Writer>(path, capacity);
                });
        }
        return target;
    }

    void close(TargetCheckpoint&, const std::filesystem::path& directory) override {
        if (is_original()) {
            Json params = Json::object();
            write_config(family_.original->params, header_, params);
            write_text(directory / "params.json", json_text(params) + "\n");
        } else {
            write_text(directory / "config.json", json_text(detail::hub_config(family_, header_)) + "\n");
            write_generation_config(directory);
        }
        write_sidecar(directory, header_, {});
    }

private:
    void take_reference() {
        const auto directory =
            std::filesystem::is_directory(options_.config) ? options_.config : options_.config.parent_path();
        for (std::string& line : apply_hub_reference(family_, options_.config, header_)) notice(std::move(line));
        require_separate(directory.empty() ? "." : directory, options_.save_dir);
    }

    /// Earlier versions kept it in crossdock.json; it is a file beside the weights now.
    void write_generation_config(const std::filesystem::path& directory) const {
        const auto found = header_.origin.carried.find("generation_config.json");
        if (found != header_.origin.carried.end() && !find_companion(header_, found->first))
            write_text(directory / found->first, found->second);
    }

    /// Megatron's and Meta's formats hold no token ids; what config.json does not say, transformers takes from its
    /// defaults.
    void warn_of_token_ids() {
        const Json config = detail::carried_config(header_);
        if (has_hub_type(family_, config) || !detail::token_ids(config).empty()) return;
        const std::string_view ids =
            family_.name == "bert" ? "pad_token_id" : "bos_token_id, eos_token_id, pad_token_id";
        notice(to_text("no source states ", ids,
                       "; config.json is written without, which means transformers' defaults for ", family_.name,
                       "; give --config DIR, the Hugging Face folder that the model comes from"));
    }

    void prepare_original() {
        const OriginalFormat& original = *family_.original;
        const std::string format = to_text("the original ", family_.name, " layout");
        require_expressible(original.requirements, header_, format);
        require_expressible({detail::require::head, detail::require::equal_layers}, header_, format);
        table_ = original.table(header_);
        require_rows(table_, header_, format);
        require_divisible(header_, ranks(), "model_parallel_size");
        if (header_.tied_embeddings)
            notice(to_text(format, " knows no tied models; the head is written as a copy of the embeddings"));
        if (original.caveats)
            for (std::string& line : original.caveats(header_)) notice(std::move(line));
    }

    bool is_original() const { return options_.layout == "original"; }
    std::uint64_t ranks() const { return options_.model_parallel_size.value_or(1); }

    const Family& family_;
    FamilySaverOptions options_;
    std::uint64_t max_shard_bytes_ = sharded::default_shard_bytes;
};

/// The saver of one family; `family` is llama_family and its like.
template <const Family& (*family)()>
class FamilySaver final : public FamilySaverBase {
public:
    using Options = FamilySaverOptions;

    explicit FamilySaver(Options options) : FamilySaverBase(family(), std::move(options)) {}

    static std::string name() { return std::string(family().name); }
    static std::string summary() {
        return to_text("writes Hugging Face directories (safetensors)",
                       family().original ? " or the original release layout" : "");
    }
    static std::vector<OptionSpec<Options>> options() {
        auto specs = join_lists<OptionSpec<Options>>(
            {option<Options>("save_dir", "DIR", "where to write", &Options::save_dir),
             option<Options>("overwrite", "", "replace an existing target once the new one is complete",
                             &Options::overwrite),
             option<Options>("config", "DIR", "a Hugging Face folder or its config.json: says what the source does not",
                             &Options::config),
             option<Options>("max_shard_size", "SIZE", "largest file, 5GB unless given", &Options::max_shard_size)},
            override_options(&Options::overrides));
        if (family().original) {
            specs.push_back(option<Options>("layout", "hf|original", "hf unless given", &Options::layout));
            if (!family().original->safetensors)
                specs.push_back(option<Options>("model_parallel_size", "N",
                                                "parts of the original layout, 1 unless given",
                                                &Options::model_parallel_size));
        }
        return specs;
    }
};

}  // namespace crossdock
