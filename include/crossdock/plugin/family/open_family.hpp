// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/container/foreign_directory.hpp"
#include "crossdock/core/compiled.hpp"
#include "crossdock/core/join_lists.hpp"
#include "crossdock/core/source.hpp"
#include "crossdock/family/evidence.hpp"
#include "crossdock/family/family.hpp"
#include "crossdock/family/hub/layout.hpp"
#include "crossdock/family/parts.hpp"
#include "crossdock/plugin/apply_overrides.hpp"
#include "crossdock/plugin/companions.hpp"
#include "crossdock/plugin/family/choose_layout.hpp"
#include "crossdock/plugin/family/entry_points.hpp"
#include "crossdock/plugin/ignored_statements.hpp"
#include "crossdock/plugin/mtp.hpp"
#include "crossdock/plugin/sidecar.hpp"
#include "crossdock/plugin/table_loader.hpp"

namespace crossdock {

namespace detail {

/// The reference's GPT is any decoder, NVIDIA's tool knows no other name for one.
inline bool is_any_decoder(const Family& family, std::string_view model_type) {
    return model_type == "GPT" && family.is_decoder;
}

/// Whether `model_type` (the reference's) is one of this family's.
inline bool is_of_model_type(const Family& family, std::string_view model_type) {
    return std::find(family.model_types.begin(), family.model_types.end(), model_type) != family.model_types.end();
}

/// Throws Error when `model_type` is not one of this family's.
inline void check_model_type(const Family& family, const std::string& model_type) {
    if (!model_type.empty() && !is_any_decoder(family, model_type) && !is_of_model_type(family, model_type))
        throw Error(to_text("model_type '", model_type, "' contradicts the loader '", family.name, "', which reads ",
                            joined_list(family.model_types)));
}

/// Completes a header from the tensors of a single stage and makes a checkpoint of them.
inline OpenCheckpoint single_stage(ModelHeader header, const TensorTable& table, StageTensors stage,
                                   const std::filesystem::path& description) {
    const std::string where = description.string();
    OpenCheckpoint open{.header = std::move(header), .table = &table, .notices = {}};
    const std::uint64_t layers =
        count_layers(stage, "", in_context(where, [&] { return counted_name(table, open.header); }));
    const std::uint64_t said =
        std::exchange(open.header.mtp_num_layers, count_mtp_layers(table, stage, open.header.num_layers, layers));
    if (layers != all_layers(open.header))
        throw Error(to_text(where, ": says ", open.header.num_layers, " layers, the checkpoint holds ", layers,
                            layers ? to_text(" (0 to ", layers - 1, ")") : std::string()));
    for (std::uint64_t index = 0; index < layers; ++index) open.layers.push_back({0, {"", index, layers}});
    for (const std::uint64_t layer : telling_layers(open.header))
        find_biases(table, stage, open.layers[layer].scope, layer, open.header);
    open.header.params_dtype = prevailing_dtype(stage);
    open.header.origin.directory = description.parent_path();
    open.header.origin.companions = find_companions(description.parent_path(), open.notices);
    open.description = where;
    open.stages.push_back(std::move(stage));
    if (said != open.header.mtp_num_layers)
        open.notices.push_back(to_text(where, ": says mtp_num_layers ", said, ", the files hold ",
                                       open.header.mtp_num_layers,
                                       " layers that predict further tokens, with which the model is converted",
                                       open.header.mtp_num_layers == 0 ? "; transformers does not save them" : ""));
    take_mtp_twins(open);
    return open;
}

/// The one part of a checkpoint as a stage.
inline StageTensors one_rank(TensorDict dict) {
    std::vector<TensorDict> ranks;
    ranks.push_back(std::move(dict));
    return StageTensors(std::move(ranks));
}

/// A header before the model's description is read: what a conversion to this directory kept, and what the user says.
inline ModelHeader begun_header(const Family& family, const Layout& layout, const FamilyLoaderOptions& options) {
    ModelHeader header;
    family.defaults(header);
    read_sidecar(options.load_dir, header);
    header.mtp_num_layers = 0;
    header.family = family.name;
    if (!options.model_type.empty() && !is_any_decoder(family, options.model_type))
        header.model_type = options.model_type;
    header.origin.format = for_family(layout.kind->source, family.name);
    header.origin.may_ignore = true;
    header.true_vocab_size.reset();
    return header;
}

/// The header that the description gives, before any tensor is looked at. Adds to `notices` what the user should know.
inline ModelHeader described_header(const Family& family, const Layout& layout, const FamilyLoaderOptions& options,
                                    Notices& notices) {
    const LayoutKind& kind = *layout.kind;
    const std::filesystem::path file = options.load_dir / kind.description;
    const CarriedText description = kind.open_description(file);
    ModelHeader header = begun_header(family, layout, options);
    kind.read_beside(layout, options.load_dir, header);
    notices = join_lists(std::move(notices), in_context(file.string(), [&] {
                             return kind.read_description(family, layout, json_of_text(description), header);
                         }));
    header.origin.carried[std::string(kind.description)] = description;
    if (kind.states_sizes) complete_sizes(header, file.string());
    return header;
}

/// The user's word, which leaves nothing to guess.
inline void override_header(const FamilyLoaderOptions& options, ModelHeader& header) {
    if (options.true_vocab_size) header.true_vocab_size = options.true_vocab_size;
    apply_overrides(options.overrides, header);
    for (const std::string& field : header.origin.given) header.origin.assumed.erase(field);
}

/// Opens a directory in one of the family's layouts.
inline OpenCheckpoint open_layout(const Family& family, const Layout& layout, const FamilyLoaderOptions& options) {
    const LayoutKind& kind = *layout.kind;
    Notices notices, mixed;
    ModelHeader header = described_header(family, layout, options, notices);
    header.origin.given = given_fields(options.overrides);
    StoredParts stored = kind.read_tensors(options.load_dir);
    notices = join_lists(std::move(notices), stored.warnings,
                         kind.understand_tensors(family, layout, options.load_dir, stored.parts, header));
    override_header(options, header);
    const std::filesystem::path file = options.load_dir / kind.description;
    complete_sizes(header, file.string());
    const TensorTable& table = layout.table(header);
    TensorDict whole = in_context(options.load_dir.string(),
                                  [&] { return merge_parts(std::move(stored.parts), table, header, mixed); });
    OpenCheckpoint open = single_stage(std::move(header), table, one_rank(std::move(whole)), file);
    open.notices = join_lists(std::move(notices), open.notices);
    open.mixed = std::move(mixed);
    open.keeps_differing_head = kind.keeps_differing_head;
    if (options.drop_mtp) drop_mtp_layers(open);
    return open;
}

/// What lies beside the model and is not read, or is not what its name says.
inline Notices notices_beside(const OpenCheckpoint& open, const std::filesystem::path& directory) {
    Notices notices;
    for (const std::string& name : names_in(directory))
        if (matches(name, "adapter_config.json") || matches(name, "adapter_model*"))
            notices.push_back(to_text((directory / name).string(),
                                      ": the adapter beside the model is not applied; merge it "
                                      "first (peft: merge_and_unload()) if it should be"));
    if (notices.size() > 1) notices.resize(1);
    for (const Companion& companion : open.header.origin.companions) {
        const FileSource file(companion.file);
        if (const std::string what = foreign_content(file); what.find("Git LFS") != what.npos || file.size() == 0)
            notices.push_back(to_text(file.name(), ": ", what, "; it is copied as it is"));
    }
    return notices;
}

}  // namespace detail

/// Opens a directory in whichever of the family's published layouts it is (choose_layout). Throws Error, or UsageError
/// for an option that does not fit.
inline OpenCheckpoint open_family(const Family& family, const FamilyLoaderOptions& options) {
    detail::check_model_type(usable(family), options.model_type);
    require_directory(options.load_dir);
    LayoutChoice choice = choose_layout(family, options.load_dir, options.checkpoint_type);
    OpenCheckpoint open = detail::open_layout(family, *choice.layout, options);
    open.notices = join_lists(std::move(choice.notices), open.notices, detail::notices_beside(open, options.load_dir));
    detail::ignore_statements(options.ignore, open);
    if (open.header.model_type.empty())
        open.header.model_type =
            family.guessed_model_type ? family.guessed_model_type(open.header) : family.model_types.front();
    return open;
}

namespace detail {

CROSSDOCK_ENTRY_POINT std::string family_name(const Family& family) { return std::string(family.name); }

CROSSDOCK_ENTRY_POINT std::unique_ptr<AnyLoader> family_loader(const Family& family,
                                                               const FamilyLoaderOptions& options) {
    return make_any_loader<TableLoader>(open_family(family, options));
}

CROSSDOCK_ENTRY_POINT std::string family_loader_summary(const Family& family) {
    std::vector<std::string_view> ends;
    for (const Layout& layout : usable(family).layouts) ends.push_back(layout.kind->reads);
    return to_text("reads ", joined_list(ends, " and "));
}

/// The options of a loader of families; the arguments are what the help says of two of them.
inline std::vector<OptionSpec<FamilyLoaderOptions>> family_loader_options(std::string model_type,
                                                                          std::string checkpoint_types) {
    using Options = FamilyLoaderOptions;
    return join_lists<OptionSpec<Options>>(
        {option<Options>("load_dir", "DIR", "the checkpoint", &Options::load_dir),
         option<Options>("model_type", "T", std::move(model_type), &Options::model_type),
         option<Options>("true_vocab_size", "N", "words in the vocabulary, if fewer than it has rows",
                         &Options::true_vocab_size),
         option<Options>("checkpoint_type", std::move(checkpoint_types),
                         "which layout to read where a directory holds several", &Options::checkpoint_type),
         option<Options>("ignore", "NAME,…", "statements to be taken as not made, where the target cannot say them",
                         &Options::ignore),
         drop_mtp_option<Options>()},
        override_options(&Options::overrides));
}

CROSSDOCK_ENTRY_POINT std::vector<OptionSpec<FamilyLoaderOptions>> family_loader_options(const Family& family) {
    std::vector<std::string_view> checkpoint_types;
    for (const Layout& layout : usable(family).layouts) checkpoint_types.push_back(layout.kind->checkpoint_type);
    return family_loader_options(to_text("one of ", joined_list(family.model_types)),
                                 joined_list(checkpoint_types, "|"));
}

CROSSDOCK_ENTRY_POINT std::vector<std::string> family_model_types(const Family& family) {
    return {family.model_types.begin(), family.model_types.end()};
}

CROSSDOCK_ENTRY_POINT std::vector<std::string> family_hub_types(const Family& family) {
    const Layout* hub = find_layout(usable(family), hugging_face);
    return hub ? std::vector<std::string>(hub->types.begin(), hub->types.end()) : std::vector<std::string>();
}

CROSSDOCK_ENTRY_POINT bool recognises_family(const Family& family, const std::filesystem::path& directory) {
    return is_of_family(usable(family), directory);
}

}  // namespace detail

}  // namespace crossdock
