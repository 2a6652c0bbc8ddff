// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/container/sharded/reader.hpp"
#include "crossdock/core/chained.hpp"
#include "crossdock/family/family.hpp"
#include "crossdock/plugin/companions.hpp"
#include "crossdock/plugin/header_overrides.hpp"
#include "crossdock/plugin/options.hpp"
#include "crossdock/plugin/original_files.hpp"
#include "crossdock/plugin/sidecar.hpp"
#include "crossdock/plugin/table_loader.hpp"

namespace crossdock {

/// What the loader of any family is asked.
struct FamilyLoaderOptions {
    std::filesystem::path load_dir{};
    std::string model_type{};  ///< checked against the source where given
    std::optional<std::uint64_t> true_vocab_size{};
    std::string checkpoint_type{};  ///< hf or meta, where a directory holds both; empty: hf if it is there
    HeaderOverrides overrides{};
};

namespace detail {

/// The reference's GPT is any decoder, NVIDIA's tool knows no other name for one.
inline bool is_any_decoder(const Family& family, std::string_view model_type) {
    return model_type == "GPT" && family.model_types.front() != "BERT";
}

/// Throws Error when `model_type` (the reference's) is not one of this family's.
inline void check_model_type(const Family& family, const std::string& model_type) {
    const bool fits =
        model_type.empty() || is_any_decoder(family, model_type) ||
        std::find(family.model_types.begin(), family.model_types.end(), model_type) != family.model_types.end();
    if (!fits)
        throw Error(text("model_type '", model_type, "' contradicts the loader '", family.name, "', which reads ",
                         joined(family.model_types)));
}

/// Throws Error when config.json belongs to another family.
inline void check_hub_type(const Family& family, const Json& config, const std::filesystem::path& file) {
    const auto found = config.find("model_type");
    if (found == config.end() || !found->is_string())
        throw Error(text(file.string(), ": has no model_type, expected ", joined(family.hub_types)));
    const auto type = found->get<std::string>();
    const auto is_in = [&](const auto& types) { return std::find(types.begin(), types.end(), type) != types.end(); };
    if (!is_in(family.hub_types))
        throw Error(text(file.string(), ": model_type is '", type, "', ",
                         is_in(family.relatives) ? text("another architecture than ", family.name, "; ") : "",
                         "the loader '", family.name, "' reads ", joined(family.hub_types)));
}

/// The tensors under the names that the family's table has. Adds to `notices` what is dropped on the way.
inline TensorDict in_table_spelling(const TensorDict& from, const OtherSpellings& spellings,
                                    std::vector<std::string>& notices) {
    const auto& entries = from.entries();
    const auto begins = [](const std::string& name) {
        return [&name](std::string_view beginning) { return name.starts_with(beginning); };
    };
    const bool has_base = std::any_of(entries.begin(), entries.end(),
                                      [&](const NamedTensor& entry) { return entry.name.starts_with(spellings.base); });
    TensorDict dict;
    for (NamedTensor entry : entries) {
        for (const auto& [older, latest] : spellings.older) entry.name = replaced(std::move(entry.name), older, latest);
        if (!has_base && std::none_of(spellings.heads.begin(), spellings.heads.end(), begins(entry.name)))
            entry.name.insert(0, spellings.base);
        const auto alias = std::find_if(spellings.aliases.begin(), spellings.aliases.end(),
                                        [&](const auto& pair) { return pair.first == entry.name; });
        if (alias != spellings.aliases.end()) {
            if (const NamedTensor* twin = from.find(alias->second)) {
                if (twin->tensor.shape() != entry.tensor.shape() || twin->tensor.bytes() != entry.tensor.bytes())
                    notices.push_back(text("'", entry.name, "' differs from '", twin->name,
                                           "', which it should repeat; the latter is used"));
                continue;
            }
            entry.name = alias->second;
        }
        dict.add(std::move(entry));
    }
    return dict;
}

/// Biases are where their tensors are, whatever the config says; a config that asks for missing ones is found later.
inline void find_biases(const TensorTable& table, const StageTensors& stage, const NameScope& layer,
                        ModelHeader& header) {
    using L = TransformerLayer;
    header.qkv_bias |= holds(table, stage, layer, &L::qkv_bias);
    header.dense_bias |= holds(table, stage, layer, &L::dense_bias);
    header.fc1_bias |= holds(table, stage, layer, &L::gate_bias) || holds(table, stage, layer, &L::fc1_bias);
    header.fc2_bias |= holds(table, stage, layer, &L::fc2_bias);
}

/// The element type that most bytes have.
inline DType prevailing_dtype(const StageTensors& stage) {
    std::map<DType, std::uint64_t> bytes;
    for (const NamedTensor& entry : stage.rank(0).entries()) bytes[entry.tensor.dtype()] += entry.tensor.byte_count();
    const auto most =
        std::max_element(bytes.begin(), bytes.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
    return most == bytes.end() ? DType::f32 : most->first;
}

/// Completes a header from the tensors of a single stage and makes a checkpoint of them: what the Hugging Face and the
/// original layouts have in common.
inline OpenCheckpoint single_stage(ModelHeader header, const TensorTable& table, StageTensors stage,
                                   const std::filesystem::path& description) {
    const std::string where = description.string();
    OpenCheckpoint open{.header = std::move(header), .table = &table, .notices = {}};
    const std::string pattern(table.layer.front().names[0]);
    const std::uint64_t layers = count_layers(stage, "", pattern);
    if (layers != open.header.num_layers)
        throw Error(text(where, ": says ", open.header.num_layers, " layers, the checkpoint holds ", layers,
                         layers ? text(" (0 to ", layers - 1, ")") : std::string()));
    for (std::uint64_t index = 0; index < layers; ++index) open.layers.push_back({0, {"", index}});
    find_biases(table, stage, open.layers.front().scope, open.header);
    open.header.params_dtype = prevailing_dtype(stage);
    open.header.source_directory = description.parent_path();
    open.header.companions = find_companions(description.parent_path(), open.notices);
    open.description = where;
    open.stages.push_back(std::move(stage));
    return open;
}

/// The one part of a checkpoint as a stage.
inline StageTensors one_rank(TensorDict dict) {
    std::vector<TensorDict> ranks;
    ranks.push_back(std::move(dict));
    return StageTensors(std::move(ranks));
}

/// A header before the model's description is read: what a conversion to this directory kept, and what the user says.
inline ModelHeader begun_header(const Family& family, const FamilyLoaderOptions& options, std::string source_format) {
    ModelHeader header;
    family.before_config(header);
    read_sidecar(options.load_dir, header);
    header.family = family.name;
    if (!options.model_type.empty() && !is_any_decoder(family, options.model_type))
        header.model_type = options.model_type;
    header.source_format = std::move(source_format);
    header.true_vocab_size.reset();
    return header;
}

/// The header that config.json gives, before any tensor is looked at.
inline ModelHeader hub_header(const Family& family, const FamilyLoaderOptions& options) {
    const std::filesystem::path file = options.load_dir / "config.json";
    const std::string config_text = read_text(file);
    const Json config = parse_json(config_text, file.string());
    if (!config.is_object()) throw Error(text(file.string(), ": expected a JSON object"));
    check_hub_type(family, config, file);
    ModelHeader header = begun_header(family, options, text("Hugging Face (", family.name, ")"));
    read_config(family.config, config, header, file.string());
    header.carried["config.json"] = config_text;
    if (!header.true_vocab_size) throw Error(text(file.string(), ": has no vocab_size"));
    header.vocab_rows = *header.true_vocab_size;
    if (options.true_vocab_size) header.true_vocab_size = options.true_vocab_size;
    within(file.string(), [&] { family.after_config(header, config); });
    apply_overrides(options.overrides, header);
    complete_sizes(header, file.string());
    return header;
}

/// Opens a directory in the Hugging Face layout.
inline OpenCheckpoint open_hub(const Family& family, const FamilyLoaderOptions& options) {
    const std::filesystem::path file = options.load_dir / "config.json";
    ModelHeader header = hub_header(family, options);
    sharded::Contents contents = sharded::read_directory(options.load_dir);
    std::vector<std::string> notices = std::move(contents.warnings);
    TensorDict tensors = in_table_spelling(contents.tensors, family.spellings, notices);
    if (family.from_tensors)
        within(options.load_dir.string(), [&] {
            for (std::string& line : family.from_tensors(header, std::span(&tensors, 1)))
                notices.push_back(std::move(line));
        });
    complete_sizes(header, file.string());
    const TensorTable& table = family.hub_table(header);
    OpenCheckpoint open = single_stage(std::move(header), table, one_rank(std::move(tensors)), file);
    open.notices.insert(open.notices.begin(), notices.begin(), notices.end());
    return open;
}

/// Opens a directory in the family's original layout.
inline OpenCheckpoint open_original(const Family& family, const FamilyLoaderOptions& options) {
    const std::filesystem::path file = options.load_dir / "params.json";
    const OriginalFormat& format = *family.original;
    ModelHeader header = begun_header(family, options, text("original ", family.name, " release"));
    read_config(format.params, read_params(file), header, file.string());
    header.carried["params.json"] = json_text(read_params(file), 0);
    std::vector<TensorDict> parts = read_original_parts(options.load_dir);
    std::vector<std::string> notices;
    within(options.load_dir.string(), [&] { notices = format.from_tensors(header, parts); });
    if (options.true_vocab_size) header.true_vocab_size = options.true_vocab_size;
    apply_overrides(options.overrides, header);
    complete_sizes(header, file.string());
    const TensorTable& table = format.table(header);
    std::vector<std::string> mixed;
    TensorDict whole =
        within(options.load_dir.string(), [&] { return merge_original_parts(std::move(parts), table, header, mixed); });
    OpenCheckpoint open = single_stage(std::move(header), table, one_rank(std::move(whole)), file);
    open.notices.insert(open.notices.begin(), notices.begin(), notices.end());
    open.mixed = std::move(mixed);
    return open;
}

/// Throws Error where the directory does not hold the layout that --checkpoint_type names.
inline void check_checkpoint_type(const Family& family, const FamilyLoaderOptions& options) {
    const std::string& type = options.checkpoint_type;
    if (type.empty()) return;
    if (type != "hf" && type != "meta")
        throw UsageError(text("--checkpoint_type is '", type, "', expected hf or meta"));
    if (type == "meta" && !family.original)
        throw Error(text("--checkpoint_type meta: ", family.name, " has no layout but Hugging Face's"));
    const std::string_view file = type == "hf" ? "config.json" : "params.json";
    if (!std::filesystem::exists(options.load_dir / file))
        throw Error(text(options.load_dir.string(), ": --checkpoint_type ", type, " asks for a ", file,
                         ", which is not there"));
}

}  // namespace detail

/// Opens any published layout of a family, which it tells apart by itself: Hugging Face where there is a config.json,
/// the original release otherwise.
inline OpenCheckpoint open_family(const Family& family, const FamilyLoaderOptions& options) {
    detail::check_model_type(family, options.model_type);
    if (!std::filesystem::is_directory(options.load_dir))
        throw Error(text(options.load_dir.string(), ": is not a directory"));
    detail::check_checkpoint_type(family, options);
    const bool is_asked_for_original = options.checkpoint_type == "meta";
    OpenCheckpoint open = [&] {
        if (!is_asked_for_original && std::filesystem::exists(options.load_dir / "config.json"))
            return detail::open_hub(family, options);
        if (family.original && std::filesystem::exists(options.load_dir / "params.json"))
            return detail::open_original(family, options);
        throw Error(text(options.load_dir.string(), ": holds no config.json",
                         family.original ? " and no params.json" : "", ", expected a ", family.name, " checkpoint"));
    }();
    if (open.header.model_type.empty())
        open.header.model_type =
            family.guessed_model_type ? family.guessed_model_type(open.header) : family.model_types.front();
    return open;
}

/// The loader of one family; `family` is llama_family and its like.
template <const Family& (*family)()>
class FamilyLoader final : public TableLoader {
public:
    using Options = FamilyLoaderOptions;

    explicit FamilyLoader(const Options& options) : TableLoader(open_family(family(), options)) {}

    static std::string name() { return std::string(family().name); }
    static std::string summary() {
        return text("reads Hugging Face directories (safetensors or .bin, single or sharded)",
                    family().original ? " and the original release layout" : "");
    }
    /// Whether the directory's config.json or params.json is of this family.
    static bool recognises(const std::filesystem::path& directory) {
        if (std::filesystem::exists(directory / "config.json")) {
            const Json config = read_json_object(directory / "config.json");
            return has_hub_type(family(), config);
        }
        const auto params = directory / "params.json";
        return family().original && std::filesystem::exists(params) &&
               family().original->recognises(read_params(params));
    }
    static std::vector<OptionSpec<Options>> options() {
        return chained<OptionSpec<Options>>(
            {option<Options>("load_dir", "DIR", "the checkpoint", &Options::load_dir),
             option<Options>("model_type", "T", text("one of ", joined(family().model_types)), &Options::model_type),
             option<Options>("true_vocab_size", "N", "words in the vocabulary, if fewer than it has rows",
                             &Options::true_vocab_size),
             option<Options>("checkpoint_type", "hf|meta", "which layout to read where a directory holds both",
                             &Options::checkpoint_type)},
            override_options(&Options::overrides));
    }
};

}  // namespace crossdock
