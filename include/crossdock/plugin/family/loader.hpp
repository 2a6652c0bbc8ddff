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
#include "crossdock/core/join_lists.hpp"
#include "crossdock/family/family.hpp"
#include "crossdock/family/hub/checks.hpp"
#include "crossdock/family/hub/config.hpp"
#include "crossdock/family/original/params.hpp"
#include "crossdock/plugin/companions.hpp"
#include "crossdock/plugin/family/description.hpp"
#include "crossdock/plugin/header_overrides.hpp"
#include "crossdock/plugin/hub/head.hpp"
#include "crossdock/plugin/hub/names.hpp"
#include "crossdock/plugin/ignored_statements.hpp"
#include "crossdock/plugin/options.hpp"
#include "crossdock/plugin/original/files.hpp"
#include "crossdock/plugin/original/tensors.hpp"
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
    std::vector<std::string> ignore{};  ///< names of statements to be taken as not made
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
        throw Error(to_text("model_type '", model_type, "' contradicts the loader '", family.name, "', which reads ",
                            joined_list(family.model_types)));
}

/// Throws Error when config.json belongs to another family.
inline void check_hub_type(const Family& family, const Json& config, const std::filesystem::path& file) {
    const std::string type = hub_type_of(config);
    if (type.empty())
        throw Error(to_text(file.string(), ": has no model_type, and 'architectures' does not tell it; expected ",
                            joined_list(family.hub_types)));
    const auto is_in = [&](const auto& types) { return std::find(types.begin(), types.end(), type) != types.end(); };
    if (!is_in(family.hub_types))
        throw Error(to_text(file.string(), ": model_type is '", type, "', ",
                            is_in(family.relatives) ? to_text("another architecture than ", family.name, "; ") : "",
                            "the loader '", family.name, "' reads ", joined_list(family.hub_types)));
}

/// Biases are where their tensors are, whatever the config says; a config that asks for missing ones is found later.
inline void find_biases(const TensorTable& table, const StageTensors& stage, const NameScope& layer,
                        ModelHeader& header) {
    using L = TransformerLayer;
    header.attention.qkv_bias |= has_stored(table, stage, layer, &L::qkv_bias);
    header.attention.dense_bias |= has_stored(table, stage, layer, &L::dense_bias);
    header.mlp.fc1_bias |=
        has_stored(table, stage, layer, &L::gate_bias) || has_stored(table, stage, layer, &L::fc1_bias);
    header.mlp.fc2_bias |= has_stored(table, stage, layer, &L::fc2_bias);
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
    const std::string pattern(table.rows<TransformerLayer>().front().names[0]);
    const std::uint64_t layers = count_layers(stage, "", pattern);
    if (layers != open.header.num_layers)
        throw Error(to_text(where, ": says ", open.header.num_layers, " layers, the checkpoint holds ", layers,
                            layers ? to_text(" (0 to ", layers - 1, ")") : std::string()));
    for (std::uint64_t index = 0; index < layers; ++index) open.layers.push_back({0, {"", index, layers}});
    find_biases(table, stage, open.layers.front().scope, open.header);
    open.header.params_dtype = prevailing_dtype(stage);
    open.header.origin.directory = description.parent_path();
    open.header.origin.companions = find_companions(description.parent_path(), open.notices);
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
    header.origin.format = std::move(source_format);
    header.true_vocab_size.reset();
    return header;
}

/// The header that config.json gives, before any tensor is looked at. Adds to `notices` what the user should know.
inline ModelHeader hub_header(const Family& family, const FamilyLoaderOptions& options,
                              std::vector<std::string>& notices) {
    const std::filesystem::path file = options.load_dir / "config.json";
    const std::string config_text = read_text(file);
    const Json config = parse_json(config_text, file.string());
    if (!config.is_object()) throw Error(to_text(file.string(), ": expected a JSON object"));
    check_hub_type(family, config, file);
    ModelHeader header = begun_header(family, options, to_text("Hugging Face (", family.name, ")"));
    notices = read_hub_config(family, config, header, file.string());
    header.origin.carried["config.json"] = config_text;
    if (!header.true_vocab_size) throw Error(to_text(file.string(), ": has no vocab_size"));
    header.vocab_rows = *header.true_vocab_size;
    if (options.true_vocab_size) header.true_vocab_size = options.true_vocab_size;
    apply_overrides(options.overrides, header);
    complete_sizes(header, file.string());
    return header;
}

/// Throws Error where the files hold biases that config.json does not ask for: transformers leaves them out, and says
/// so, where we would have to choose.
inline void check_biases(const TensorTable& table, const StageTensors& stage, const ModelHeader& header) {
    ModelHeader found;
    find_biases(table, stage, {}, found);
    const auto check = [](bool is_there, bool said, std::string_view what) {
        if (is_there && !said)
            throw Error(to_text("the files hold biases of ", what,
                                ", which config.json does not ask for and transformers "
                                "leaves out; remove them, or set the key that asks for them"));
    };
    check(found.attention.qkv_bias, header.attention.qkv_bias, "queries, keys and values");
    check(found.attention.dense_bias, header.attention.dense_bias, "the attention's output");
    check(found.mlp.fc1_bias || found.mlp.fc2_bias, header.mlp.fc1_bias || header.mlp.fc2_bias, "the MLP");
}

/// The stored tensors under the table's names; fills in what of the header only they tell.
inline TensorDict hub_tensors(const Family& family, const std::filesystem::path& directory, const TensorDict& stored,
                              ModelHeader& header, std::vector<std::string>& notices) {
    const TensorDict plain = unwrapped(stored, notices);
    refuse_other_heads(plain);
    refuse_quantized_tensors(plain);
    TensorDict tensors = in_table_spelling(plain, family.spellings, notices);
    in_context(directory.string(), [&] {
        if (family.from_tensors)
            for (std::string& line : family.from_tensors(header, std::span(&tensors, 1)))
                notices.push_back(std::move(line));
    });
    const TensorTable& table = family.hub_table(header);
    tensors = with_embeddings(std::move(tensors), table, header, notices);
    require_floating(tensors, table);
    header.headless = is_headless(tensors, table, header, first_architecture(carried_config(header)),
                                  names_base(plain, family.spellings));
    return tensors;
}

/// Opens a directory in the Hugging Face layout.
inline OpenCheckpoint open_hub(const Family& family, const FamilyLoaderOptions& options) {
    const std::filesystem::path file = options.load_dir / "config.json";
    std::vector<std::string> notices;
    ModelHeader header = hub_header(family, options, notices);
    sharded::Contents contents = sharded::read_directory(options.load_dir);
    for (std::string& line : contents.warnings) notices.push_back(std::move(line));
    StageTensors stage = one_rank(hub_tensors(family, options.load_dir, contents.tensors, header, notices));
    complete_sizes(header, file.string());
    const TensorTable& table = family.hub_table(header);
    in_context(options.load_dir.string(), [&] { check_biases(table, stage, header); });
    OpenCheckpoint open = single_stage(std::move(header), table, std::move(stage), file);
    open.keeps_differing_head = true;
    open.notices.insert(open.notices.begin(), notices.begin(), notices.end());
    return open;
}

/// The user's word, which leaves nothing to guess.
inline void override_header(const FamilyLoaderOptions& options, ModelHeader& header) {
    if (options.true_vocab_size) header.true_vocab_size = options.true_vocab_size;
    apply_overrides(options.overrides, header);
    for (const std::string& field : header.origin.given) header.origin.assumed.erase(field);
}

/// Opens a directory in the family's original layout.
inline OpenCheckpoint open_original(const Family& family, const FamilyLoaderOptions& options) {
    const std::filesystem::path file = options.load_dir / "params.json";
    const OriginalFormat& format = *family.original;
    ModelHeader header = begun_header(family, options, to_text("original ", family.name, " release"));
    read_config_beside(family, options.load_dir, header);
    const Json params = read_params(file);
    read_config(format.params, params, header, file.string());
    note_unknown_params(format, params, header);
    std::vector<std::string> notices = in_context(file.string(), [&] { return format.after_params(header, params); });
    header.origin.carried["params.json"] = json_text(params, 0);
    header.origin.given = given_fields(options.overrides);
    std::vector<TensorDict> parts = original_tensors(format, options.load_dir, header, notices);
    override_header(options, header);
    complete_sizes(header, file.string());
    const TensorTable& table = format.table(header);
    std::vector<std::string> mixed;
    TensorDict whole = in_context(options.load_dir.string(),
                                  [&] { return merge_original_parts(std::move(parts), table, header, mixed); });
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
        throw UsageError(to_text("--checkpoint_type is '", type, "', expected hf or meta"));
    if (type == "meta" && !family.original)
        throw Error(to_text("--checkpoint_type meta: ", family.name, " has no layout but Hugging Face's"));
    const std::string_view file = type == "hf" ? "config.json" : "params.json";
    if (!std::filesystem::exists(options.load_dir / file))
        throw Error(to_text(options.load_dir.string(), ": --checkpoint_type ", type, " asks for a ", file,
                            ", which is not there"));
}

}  // namespace detail

/// Opens any published layout of a family, which it tells apart by itself: Hugging Face where there is a config.json,
/// the original release otherwise, or where only its weights are there.
inline OpenCheckpoint open_family(const Family& family, const FamilyLoaderOptions& options) {
    detail::check_model_type(family, options.model_type);
    require_directory(options.load_dir);
    detail::check_checkpoint_type(family, options);
    const auto [is_original, notices] = options.checkpoint_type.empty()
                                            ? detail::find_description(family, options.load_dir)
                                            : detail::Description{.is_original = options.checkpoint_type == "meta"};
    if (!is_original && !std::filesystem::exists(options.load_dir / "config.json")) {
        if (const std::string what = foreign_directory(options.load_dir); !what.empty())
            throw Error(to_text(options.load_dir.string(), ": ", what));
        throw Error(to_text(options.load_dir.string(), ": holds no config.json",
                            family.original ? " and no params.json" : "", ", expected a ", family.name, " checkpoint"));
    }
    OpenCheckpoint open = is_original ? detail::open_original(family, options) : detail::open_hub(family, options);
    open.notices.insert(open.notices.begin(), notices.begin(), notices.end());
    for (std::string& line : detail::notices_beside(open, options.load_dir)) open.notices.push_back(std::move(line));
    detail::ignore_statements(options.ignore, open);
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
        return to_text("reads Hugging Face directories (safetensors or .bin, single or sharded)",
                       family().original ? " and the original release layout" : "");
    }
    /// The model types of config.json that it reads.
    static std::vector<std::string> hub_types() { return {family().hub_types.begin(), family().hub_types.end()}; }
    /// What a user may call a model of this family.
    static std::vector<std::string> model_types() { return {family().model_types.begin(), family().model_types.end()}; }
    /// Whether the directory's config.json or params.json is of this family.
    static bool recognises(const std::filesystem::path& directory) {
        if (detail::says_hub_type(directory))
            return has_hub_type(family(), read_json_object(directory / "config.json"));
        const auto params = directory / "params.json";
        return family().original && std::filesystem::exists(params) &&
               family().original->recognises(read_params(params));
    }
    static std::vector<OptionSpec<Options>> options() {
        return join_lists<OptionSpec<Options>>(
            {option<Options>("load_dir", "DIR", "the checkpoint", &Options::load_dir),
             option<Options>("model_type", "T", to_text("one of ", joined_list(family().model_types)),
                             &Options::model_type),
             option<Options>("true_vocab_size", "N", "words in the vocabulary, if fewer than it has rows",
                             &Options::true_vocab_size),
             option<Options>("checkpoint_type", "hf|meta", "which layout to read where a directory holds both",
                             &Options::checkpoint_type),
             option<Options>("ignore", "NAME,…", "statements to be taken as not made, where the target cannot say them",
                             &Options::ignore)},
            override_options(&Options::overrides));
    }
};

}  // namespace crossdock
