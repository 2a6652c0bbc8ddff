// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/container/path_kind.hpp"
#include "crossdock/core/compiled.hpp"
#include "crossdock/core/join_lists.hpp"
#include "crossdock/family/megatron/dialects.hpp"
#include "crossdock/plugin/companions.hpp"
#include "crossdock/plugin/megatron/apply_options.hpp"
#include "crossdock/plugin/megatron/args_in_pickle.hpp"
#include "crossdock/plugin/megatron/choose_dialect.hpp"
#include "crossdock/plugin/megatron/content.hpp"
#include "crossdock/plugin/megatron/contradictions.hpp"
#include "crossdock/plugin/megatron/dist_files.hpp"
#include "crossdock/plugin/megatron/entry_points.hpp"
#include "crossdock/plugin/megatron/evidence.hpp"
#include "crossdock/plugin/megatron/files.hpp"
#include "crossdock/plugin/megatron/ignored_arguments.hpp"
#include "crossdock/plugin/megatron/latent_sizes.hpp"
#include "crossdock/plugin/megatron/model_type.hpp"
#include "crossdock/plugin/megatron/mtp.hpp"
#include "crossdock/plugin/megatron/rank_files.hpp"
#include "crossdock/plugin/megatron/ranks.hpp"
#include "crossdock/plugin/megatron/sizes.hpp"
#include "crossdock/plugin/sidecar.hpp"
#include "crossdock/plugin/table_loader.hpp"
#include "crossdock/protocol/header_fields.hpp"

namespace crossdock {

namespace detail {

/// Notes which fields no description states, but a default of the tool.
inline void mark_assumed(const MegatronDialect& dialect, const Json& args, const MegatronFiles& files,
                         ModelHeader& header) {
    ModelHeader stated;
    dialect.constants(stated);
    read_config(config::without_defaults(dialect.args), args, stated, "args");
    read_sidecar(files.root, stated);
    for_each_header_field(header_fields, [&](const auto& field) {
        if constexpr (requires { field(header).has_value(); })
            if (field(header) && !field(stated)) header.origin.assumed.emplace(field.name);
    });
}

/// What a crossdock.json states of the model, over the args with the tool's defaults.
inline ModelHeader known_header(const MegatronContent& content, const MegatronDialect& dialect,
                                const MegatronFiles& files, const std::string& where) {
    ModelHeader header;
    header.origin.format = to_text("Megatron (", dialect.name, files.torch_dist ? ", torch_dist)" : ")");
    header.origin.megatron = dialect.code;
    header.origin.torch_dist = files.torch_dist;
    header.origin.may_ignore = true;
    dialect.constants(header);
    require_understood(with_other_args(dialect.args, dialect.other_args), content.args.not_understood, where);
    read_config(dialect.args, content.args.values, header, where);
    read_sidecar(files.root, header);
    return header;
}

/// What the checkpoint states, in the order of trust: its args, then what is `known` without them.
inline ModelHeader megatron_header(ModelHeader known, const MegatronContent& content, const MegatronDialect& dialect,
                                   const MegatronFiles& files, const std::string& where) {
    ModelHeader header = std::move(known);
    read_config(config::without_defaults(dialect.args), content.args.values, header, where);
    const auto iteration = content.iteration ? content.iteration : files.iteration;
    header.training.release = iteration && iteration->release;
    if (iteration && !iteration->release) header.training.iteration = iteration->number;
    header.origin.carried["args"] = json_text(content.args.kept, 0);
    mark_assumed(dialect, content.args.values, files, header);
    // Args without the option are of a Megatron that did not have it yet.
    if (content.args.stated && !header.norm_zero_centered) header.norm_zero_centered = false;
    return header;
}

/// Which order of q, k and v rows the files have; what states none is of version 0.
inline double qkv_version(const MegatronSizeOptions& options, const MegatronContent& content) {
    if (options.checkpoint_version) return static_cast<double>(*options.checkpoint_version);
    return content.checkpoint_version.value_or(0);
}

/// Throws Error when a model has grouped queries and its files an order of rows that was before these.
inline void require_multi_head(const OpenCheckpoint& open, const MegatronDialect& dialect, double version) {
    if (open.table != &dialect.table && !require::multi_head.holds(open.header))
        throw Error(to_text(open.description, ": checkpoint_version ", Json(version).dump(),
                            " knows no grouped queries, and the model has them; if its files are newer, give the "
                            "option checkpoint_version"));
}

/// The tensors under the names that the dialect's tables have.
inline TensorDict in_latest_spelling(std::vector<NamedTensor> tensors, const MegatronDialect& dialect) {
    for (NamedTensor& entry : tensors)
        for (const auto& [older, latest] : dialect.older_spellings)
            entry.name = replaced(std::move(entry.name), older, latest);
    return separated(TensorDict(std::move(tensors)), dialect.stacked);
}

/// Opens the stages under the names of the dialect's tables, and places their layers.
inline void open_stages(MegatronContent& content, const MegatronDialect& dialect, const MegatronFiles& files,
                        OpenCheckpoint& open) {
    for (auto rank = content.ranks.begin(); rank != content.ranks.end();) {
        std::vector<TensorDict> tensors;
        std::vector<RankCoordinates> places;
        for (const std::uint64_t stage = rank->at.pipeline; rank != content.ranks.end() && rank->at.pipeline == stage;
             ++rank) {
            tensors.push_back(in_context(files.directory.string(),
                                         [&] { return in_latest_spelling(std::move(rank->tensors), dialect); }));
            places.push_back(rank->at);
        }
        open.stages.emplace_back(std::move(tensors), std::move(places));
    }
    open.first.prefix = chunk_prefix(content.chunks.front(), '/');
    open.last.prefix = chunk_prefix(content.chunks.back(), '/');
    open.layers = place_layers(open.stages, content.chunks, *open.table);
    if (open.layers.empty()) throw Error(to_text(files.directory.string(), ": holds no transformer layers"));
}

/// Sizes that the tensors tell.
inline void complete_from_tensors(const MegatronContent& content, const MegatronFiles& files, OpenCheckpoint& open) {
    ModelHeader& header = open.header;
    const std::string where = to_text("args of ", files.directory.string());
    const TensorSizes sizes(open, files.directory);
    if (!files.torch_dist) require_all_ranks(files, content, sizes.is_cut(header), open.layers.size());
    if (header.num_layers != 0 && header.num_layers != open.layers.size())
        throw Error(to_text(where, ": say ", header.num_layers, " layers, the files hold ", open.layers.size()));
    header.num_layers = open.layers.size();
    find_sizes(sizes, content.args.stated, where, header);
}

/// How many ranks there were. A distributed checkpoint looks the same whatever saved it, so that only args can tell;
/// what no model of this size is cut into is not believed.
inline void note_ranks(const OpenCheckpoint& open, ModelHeader& header) {
    Training& training = header.training;
    auto &ranks = training.previous_tensor_parallel_size, &stages = training.previous_pipeline_parallel_size;
    if (!header.origin.torch_dist) {
        ranks = open.stages.front().count(Group::tensor);
        training.previous_expert_parallel_size = open.stages.front().count(Group::expert);
        stages = open.stages.size();
        return;
    }
    const auto is_sound = [](const std::optional<std::uint64_t>& size, std::uint64_t most) {
        return size && *size >= 1 && *size <= most && most % *size == 0;
    };
    if (!is_sound(ranks, header.attention.num_attention_heads)) ranks = 1;
    if (!is_sound(stages, header.num_layers)) stages = 1;
}

/// What the user is told of the files.
inline void add_notices(const MegatronContent& content, const MegatronFiles& files,
                        const std::vector<std::string>& ignored, std::vector<std::string>& notices) {
    notices.insert(notices.end(), ignored.begin(), ignored.end());
    if (!content.args.left_out.empty())
        notices.push_back(to_text("arguments that hold objects of Python classes are not kept: ",
                                  joined_list(content.args.left_out)));
    notices.insert(notices.end(), content.notices.begin(), content.notices.end());
    notices.insert(notices.end(), files.notices.begin(), files.notices.end());
}

/// What args say of the activation, or the first one that Megatron had where they say nothing.
inline void settle_activation(const Json& args, const MegatronDialect& dialect, const std::filesystem::path& root,
                              ModelHeader& header) {
    if (!header.mlp.gated && !header.mlp.activation) {  // unless told otherwise
        header.mlp.activation = Activation::gelu_erf;
        header.origin.assumed.insert("activation");
    }
    forget_ungated_activation(args, dialect, root, header);
}

/// Compares args with the model that was found; where the positions were not given as an option, these, too. `known` is
/// what is known of it without args.
inline void check_args(const Json& args, const MegatronDialect& dialect, const std::string& where,
                       bool has_own_positions, const ModelHeader& known, ModelHeader& header) {
    const Contradictions contradictions(args, dialect, where);
    if (has_own_positions) contradictions.check_positions(header);
    contradictions.check(header);
    in_context(where, [&] { dialect.read_of_layers(args, known, header); });
}

}  // namespace detail

/// Opens a Megatron checkpoint of any dialect, size and age.
inline OpenCheckpoint open_megatron(const MegatronLoaderOptions& options) {
    const MegatronFiles files = find_megatron_files(options.load_dir, options.load_iters);
    detail::MegatronContent content =
        files.torch_dist ? detail::read_dist_files(files) : detail::read_rank_files(files);
    const MegatronDialect& dialect = detail::choose_dialect(options.source_dialect, content, files.directory);
    detail::require_agreement(content, with_other_args(dialect.args, dialect.other_args));
    std::vector<std::string> ignored = detail::ignore_arguments(options.ignore, dialect, content);
    if (options.drop_mtp) detail::drop_mtp_arguments(content);
    const double version = detail::qkv_version(options.sizes, content);
    const std::string where = to_text("args of ", files.directory.string());
    const ModelHeader known = detail::known_header(content, dialect, files, where);
    OpenCheckpoint open{.header = detail::megatron_header(known, content, dialect, files, where),
                        .table = &table_of_version(dialect, version),
                        .distributed = std::move(content.distributed),
                        .beside = std::move(content.beside)};
    ModelHeader& header = open.header;
    detail::apply_sizes(options.sizes, header);
    detail::open_stages(content, dialect, files, open);
    detail::complete_from_tensors(content, files, open);
    detail::place_mtp_layers(content, open);
    detail::LatentSizes(open, files.directory).apply(dialect);
    detail::TensorEvidence(open).apply(files.directory);
    if (options.drop_mtp) detail::drop_mtp_layers(open);
    detail::note_given(options, header);
    detail::assume_defaults(content.args.stated || is_anything_at(files.root / sidecar_name), where, header,
                            open.notices);
    detail::settle_activation(content.args.values, dialect, files.root, header);
    detail::check_args(content.args.values, dialect, where, options.position_embedding_type.empty(), known, header);
    detail::apply_options(options, header);
    find_other_args(content.args.values, dialect.other_args, header);
    detail::check_megatron_type(header, options.model_type);
    complete_sizes(header, where);
    detail::note_ranks(open, header);
    if (has_experts(header.mlp) && !files.torch_dist) header.origin.expert_layout = dialect.expert_layout;
    header.origin.directory = options.load_dir;
    header.origin.companions = find_companions(files.root, open.notices);
    open.description = where;
    detail::require_multi_head(open, dialect, version);
    detail::add_notices(content, files, ignored, open.notices);
    if (!options.megatron_path.empty())
        open.notices.push_back("the option megatron_path has no effect: Megatron's code is not needed");
    return open;
}

namespace detail {

CROSSDOCK_ENTRY_POINT std::unique_ptr<AnyLoader> megatron_loader(const MegatronLoaderOptions& options) {
    return make_any_loader<TableLoader>(open_megatron(options));
}

/// Folders of steps may stand in others' checkpoints too: what transformers trains with DeepSpeed has a config.json
/// beside them.
CROSSDOCK_ENTRY_POINT bool recognises_megatron(const std::filesystem::path& directory) {
    if (is_anything_at(directory / tracker_name) || is_iteration_directory(directory) || weights_in(directory))
        return true;
    return !is_anything_at(directory / "config.json") &&
           (!iteration_folders(directory).empty() || other_formats(directory).any());
}

inline OptionSpec<MegatronLoaderOptions> size_option(std::string name, std::string value, std::string help,
                                                     std::optional<std::uint64_t> MegatronSizeOptions::*member) {
    auto inner = option<MegatronSizeOptions>(std::move(name), std::move(value), std::move(help), member);
    return {std::move(inner.info),
            [set = std::move(inner.set)](MegatronLoaderOptions& options, const std::string& given) {
                set(options.sizes, given);
            }};
}

CROSSDOCK_ENTRY_POINT std::vector<OptionSpec<MegatronLoaderOptions>> megatron_loader_options() {
    using Options = MegatronLoaderOptions;
    return join_lists<OptionSpec<Options>>(
        {option<Options>("load_dir", "DIR", "the checkpoint: its root or the directory of an iteration",
                         &Options::load_dir),
         option<Options>("model_type", "T", "what the model is, where it matters to the saver", &Options::model_type),
         option<Options>("load_iters", "N", "which of several iterations, or release", &Options::load_iters),
         option<Options>("source_dialect", "llm|lm|mcore", "overrides what the files tell", &Options::source_dialect),
         option<Options>("true_vocab_size", "N", "words in the vocabulary, without padding", &Options::true_vocab_size),
         option<Options>("vocab_file", "FILE", "a vocabulary whose words are counted: JSON, or one a line",
                         &Options::vocab_file),
         size_option("kv_channels", "N", "rows of one attention head", &MegatronSizeOptions::kv_channels),
         size_option("num_attention_heads", "N", "where args do not state them",
                     &MegatronSizeOptions::num_attention_heads),
         size_option("num_query_groups", "N", "key/value heads, where args do not state them",
                     &MegatronSizeOptions::num_query_groups),
         size_option("checkpoint_version", "0|1|2|3", "the order of qkv rows, where the files do not state it",
                     &MegatronSizeOptions::checkpoint_version),
         option<Options>("position_embedding_type", "T", "overrides what the files tell",
                         &Options::position_embedding_type),
         option<Options>("ignore", "ARG,…", "arguments to be taken as not stated, where the target cannot say them",
                         &Options::ignore),
         drop_mtp_option<Options>(),
         option<Options>("megatron_path", "DIR", "accepted, has no effect", &Options::megatron_path)},
        override_options(&Options::overrides));
}

}  // namespace detail

}  // namespace crossdock
