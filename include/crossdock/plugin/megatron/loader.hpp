// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/core/join_lists.hpp"
#include "crossdock/family/megatron/dialect.hpp"
#include "crossdock/plugin/companions.hpp"
#include "crossdock/plugin/family/loader.hpp"
#include "crossdock/plugin/header_overrides.hpp"
#include "crossdock/plugin/megatron/args_in_pickle.hpp"
#include "crossdock/plugin/megatron/choose_dialect.hpp"
#include "crossdock/plugin/megatron/content.hpp"
#include "crossdock/plugin/megatron/evidence.hpp"
#include "crossdock/plugin/megatron/files.hpp"
#include "crossdock/plugin/megatron/ranks.hpp"
#include "crossdock/plugin/megatron/sizes.hpp"
#include "crossdock/plugin/megatron/statements.hpp"
#include "crossdock/plugin/options.hpp"
#include "crossdock/plugin/sidecar.hpp"
#include "crossdock/plugin/table_loader.hpp"
#include "crossdock/protocol/header_fields.hpp"

namespace crossdock {

/// What the loaders of Megatron checkpoints are asked.
struct MegatronLoaderOptions {
    std::filesystem::path load_dir{};
    std::string model_type{};
    std::string load_iters{};      ///< which of several iterations; empty: the tracker's
    std::string source_dialect{};  ///< llm, lm or mcore; empty: told from the files
    std::string position_embedding_type{};
    std::filesystem::path vocab_file{};
    std::string megatron_path{};  ///< the reference needs Megatron's code; we do not
    std::optional<std::uint64_t> true_vocab_size{};
    MegatronSizeOptions sizes{};
    std::vector<std::string> ignore{};  ///< names of arguments to be taken as not stated
    HeaderOverrides overrides{};
};

namespace detail {

/// The words in a vocabulary: the entries of a JSON object or array, or else the lines of a text. Empty where the file
/// is neither (a SentencePiece model, a directory).
inline std::optional<std::uint64_t> count_words(const std::filesystem::path& file) {
    if (!std::filesystem::is_regular_file(file)) return std::nullopt;
    const std::string content = read_text(file);
    const std::size_t begin = std::min(content.find_first_not_of(" \t\r\n"), content.size());
    if (begin < content.size() && (content[begin] == '{' || content[begin] == '['))
        return parse_json(content, file.string()).size();
    if (content.find('\0') != std::string::npos) return std::nullopt;
    const auto lines = static_cast<std::uint64_t>(std::count(content.begin(), content.end(), '\n'));
    return lines + (!content.empty() && content.back() != '\n' ? 1 : 0);
}

/// How many words the options say there are; as the reference does, the file is not needed where the number is given.
inline std::optional<std::uint64_t> stated_words(const MegatronLoaderOptions& options) {
    const auto& number = options.true_vocab_size;
    if (options.vocab_file.empty()) return number;
    const std::string file = options.vocab_file.string();
    const auto words = count_words(options.vocab_file);
    if (!words && !number)
        throw Error(
            to_text("--vocab_file ", file, ": is no list of words (JSON, or a word a line); give --true_vocab_size"));
    if (words && number && words != number)
        throw Error(to_text("--vocab_file ", file, ": holds ", *words, " words, --true_vocab_size says ", *number,
                            "; give one of them"));
    return number ? number : words;
}

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

/// What the checkpoint states, in the order of trust: its args, then crossdock.json, then the defaults of the tool.
inline ModelHeader megatron_header(const MegatronContent& content, const MegatronDialect& dialect,
                                   const MegatronFiles& files) {
    const std::string where = to_text("args of ", files.directory.string());
    ModelHeader header;
    header.origin.format = to_text("Megatron (", dialect.name, ")");
    dialect.constants(header);
    require_understood(with_other_args(dialect.args), content.not_understood, where);
    read_config(dialect.args, content.args, header, where);
    read_sidecar(files.root, header);
    read_config(config::without_defaults(dialect.args), content.args, header, where);
    const auto iteration = content.iteration ? content.iteration : files.iteration;
    header.training.release = iteration && iteration->release;
    if (iteration && !iteration->release) header.training.iteration = iteration->number;
    header.origin.carried["args"] = json_text(content.kept_args, 0);
    mark_assumed(dialect, content.args, files, header);
    return header;
}

inline void apply_options(const MegatronLoaderOptions& options, ModelHeader& header) {
    if (const auto words = stated_words(options)) header.true_vocab_size = words;
    if (!options.position_embedding_type.empty())
        in_context("--position_embedding_type", [&] { read_positions(options.position_embedding_type, header); });
    const bool is_any_decoder = options.model_type == "GPT" && !header.model_type.empty();
    if (!options.model_type.empty() && !is_any_decoder) header.model_type = options.model_type;
    apply_overrides(options.overrides, header);
}

/// Which fields the options state, before their values are taken.
inline void note_given(const MegatronLoaderOptions& options, ModelHeader& header) {
    header.origin.given = given_fields(options.overrides);
    if (!options.position_embedding_type.empty()) header.origin.given.insert("positions");
    if (options.true_vocab_size || !options.vocab_file.empty()) header.origin.given.insert("true_vocab_size");
}

/// Throws Error when --model_type is unknown, or speaks of a model that the tensors are not of.
inline void check_megatron_type(const ModelHeader& header, const std::string& type) {
    const auto contradict = [&](std::string_view what) {
        throw Error(to_text("--model_type ", type, " contradicts the checkpoint, which has ", what));
    };
    if (type.empty()) return;
    if (type == "BERT") return is_bert(header) ? void() : contradict("none of BERT's heads and no token types");
    if (is_bert(header)) contradict("BERT's heads or token types");
    if (type == "GPT") return;
    if (header.positions == PositionKind::learned) contradict("learned positions");
    if (type == "falcon") {
        if (header.norm != NormKind::layer) contradict("RMS norms");
        if (header.mlp.gated) contradict("a gated MLP");
        return;
    }
    constexpr std::array llamas{"llama", "llama2", "llama3", "codellama", "mistral", "gemma"};
    if (std::find(llamas.begin(), llamas.end(), type) == llamas.end())
        throw UsageError(
            to_text("--model_type is '", type, "', expected one of GPT, BERT, falcon, ", joined_list(llamas)));
    if (header.norm != NormKind::rms) contradict("layer norms");
    if (!header.mlp.gated) contradict("an MLP without a gate");
    if (header.parallel_attention) contradict("parallel attention");
}

/// In which order rows of q, k and v stand; Megatron-Core has only the latest.
inline double qkv_version(const MegatronSizeOptions& options, const MegatronContent& content,
                          const MegatronDialect& dialect) {
    if (dialect.name == "mcore") return 3.0;
    if (options.checkpoint_version) return static_cast<double>(*options.checkpoint_version);
    return content.checkpoint_version.value_or(0);
}

inline void reorder_qkv(std::vector<StageTensors>& stages, double version, const ModelHeader& header,
                        const std::filesystem::path& directory) {
    if (version >= 2.0) return;
    for (StageTensors& stage : stages) {
        std::vector<TensorDict> ranks;
        for (std::size_t rank = 0; rank < stage.size(); ++rank)
            ranks.push_back(
                in_context(directory.string(), [&] { return in_latest_order(stage.rank(rank), version, header); }));
        stage = StageTensors(std::move(ranks));
    }
}

/// Opens the stages under the names of the dialect's table, and places their layers.
inline void open_stages(const MegatronContent& content, const MegatronDialect& dialect, const MegatronFiles& files,
                        OpenCheckpoint& open) {
    for (const auto& stage : content.stages) {
        std::vector<TensorDict> ranks;
        for (const TensorDict& rank : stage)
            ranks.push_back(in_context(files.directory.string(), [&] { return in_latest_spelling(rank, dialect); }));
        open.stages.emplace_back(std::move(ranks));
    }
    open.first.prefix = chunk_prefix(content.chunks.front(), '/');
    open.last.prefix = chunk_prefix(content.chunks.back(), '/');
    open.layers = place_layers(open.stages, content.chunks, dialect.table);
    if (open.layers.empty()) throw Error(to_text(files.directory.string(), ": holds no transformer layers"));
}

/// Sizes that the tensors tell, and rows of q, k and v in the order that follows from them.
inline void complete_from_tensors(const MegatronContent& content, const MegatronDialect& dialect,
                                  const MegatronFiles& files, const MegatronSizeOptions& options,
                                  OpenCheckpoint& open) {
    ModelHeader& header = open.header;
    const std::string where = to_text("args of ", files.directory.string());
    const TensorSizes sizes(open, files.directory);
    require_all_ranks(files, content.args, sizes.ffn_columns(), open.layers.size());
    if (header.num_layers != 0 && header.num_layers != open.layers.size())
        throw Error(to_text(where, ": say ", header.num_layers, " layers, the files hold ", open.layers.size()));
    header.num_layers = open.layers.size();
    find_sizes(sizes, content.has_args, where, header);
    reorder_qkv(open.stages, qkv_version(options, content, dialect), header, files.directory);
}

/// What the user is told of the files.
inline void add_notices(const MegatronContent& content, const MegatronFiles& files,
                        const std::vector<std::string>& ignored, std::vector<std::string>& notices) {
    notices.insert(notices.end(), ignored.begin(), ignored.end());
    if (!content.left_args.empty())
        notices.push_back(
            to_text("arguments that hold objects of Python classes are not kept: ", joined_list(content.left_args)));
    notices.insert(notices.end(), content.notices.begin(), content.notices.end());
    notices.insert(notices.end(), files.notices.begin(), files.notices.end());
}

}  // namespace detail

/// Opens a Megatron checkpoint of any dialect, size and age.
inline OpenCheckpoint open_megatron(const MegatronLoaderOptions& options) {
    const MegatronFiles files = find_megatron_files(options.load_dir, options.load_iters);
    detail::MegatronContent content = detail::read_megatron_files(files);
    const MegatronDialect& dialect = detail::choose_dialect(options.source_dialect, content, files.directory);
    detail::require_agreement(content, with_other_args(dialect.args));
    std::vector<std::string> ignored = detail::ignore_arguments(options.ignore, dialect.name, content);
    OpenCheckpoint open{.header = detail::megatron_header(content, dialect, files), .table = &dialect.table};
    ModelHeader& header = open.header;
    const std::string where = to_text("args of ", files.directory.string());
    detail::apply_sizes(options.sizes, header);
    detail::open_stages(content, dialect, files, open);
    detail::complete_from_tensors(content, dialect, files, options.sizes, open);
    detail::TensorEvidence(open).apply(files.directory);
    detail::note_given(options, header);
    detail::assume_defaults(content.has_args || std::filesystem::exists(files.root / sidecar_name), where, header,
                            open.notices);
    if (!header.mlp.gated && !header.mlp.activation) {  // unless told otherwise
        header.mlp.activation = Activation::gelu_erf;
        header.origin.assumed.insert("activation");
    }
    detail::forget_ungated_activation(content.args, dialect.name, files.root, header);
    if (options.position_embedding_type.empty())
        detail::Contradictions(content.args, dialect.name, where).check_positions(header);
    detail::Contradictions(content.args, dialect.name, where).check(header);
    detail::apply_options(options, header);
    find_other_args(content.args, dialect.name, header);
    detail::check_megatron_type(header, options.model_type);
    complete_sizes(header, where);
    header.training.previous_tensor_parallel_size = open.stages.front().size();
    header.training.previous_pipeline_parallel_size = open.stages.size();
    header.origin.directory = options.load_dir;
    header.origin.companions = find_companions(files.root, open.notices);
    open.description = where;
    detail::add_notices(content, files, ignored, open.notices);
    if (!options.megatron_path.empty())
        open.notices.push_back("--megatron_path has no effect: Megatron's code is not needed");
    return open;
}

/// The loader of all Megatron checkpoints. It is known under two names, as the reference's are.
class MegatronLoaderBase : public TableLoader {
public:
    using Options = MegatronLoaderOptions;

    explicit MegatronLoaderBase(const Options& options) : TableLoader(open_megatron(options)) {}

    /// Whether the directory is laid out as Megatron's checkpoints are. Folders of steps may stand in others' too: what
    /// transformers trains with DeepSpeed has a config.json beside them.
    static bool recognises(const std::filesystem::path& directory) {
        if (std::filesystem::exists(directory / detail::tracker_name) || detail::is_iteration_directory(directory) ||
            detail::weights_in(directory))
            return true;
        return !std::filesystem::exists(directory / "config.json") &&
               (!detail::iteration_folders(directory).empty() || detail::is_other_format(directory));
    }
    static std::vector<OptionSpec<Options>> options() {
        return join_lists(own_options(), override_options(&Options::overrides));
    }

private:
    static std::vector<OptionSpec<Options>> own_options() {
        return {
            option<Options>("load_dir", "DIR", "the checkpoint: its root or the directory of an iteration",
                            &Options::load_dir),
            option<Options>("model_type", "T", "what the model is, where it matters to the saver",
                            &Options::model_type),
            option<Options>("load_iters", "N", "which of several iterations, or release", &Options::load_iters),
            option<Options>("source_dialect", "llm|lm|mcore", "overrides what the files tell",
                            &Options::source_dialect),
            option<Options>("true_vocab_size", "N", "words in the vocabulary, without padding",
                            &Options::true_vocab_size),
            option<Options>("vocab_file", "FILE", "a vocabulary whose words are counted: JSON, or one a line",
                            &Options::vocab_file),
            size("kv_channels", "N", "rows of one attention head", &MegatronSizeOptions::kv_channels),
            size("num_attention_heads", "N", "where args do not state them", &MegatronSizeOptions::num_attention_heads),
            size("num_query_groups", "N", "key/value heads, where args do not state them",
                 &MegatronSizeOptions::num_query_groups),
            size("checkpoint_version", "0|1|2|3", "the order of qkv rows, where the files do not state it",
                 &MegatronSizeOptions::checkpoint_version),
            option<Options>("position_embedding_type", "T", "overrides what the files tell",
                            &Options::position_embedding_type),
            option<Options>("ignore", "ARG,…", "arguments to be taken as not stated, where the target cannot say them",
                            &Options::ignore),
            option<Options>("megatron_path", "DIR", "accepted, has no effect", &Options::megatron_path)};
    }

    static OptionSpec<Options> size(std::string name, std::string value, std::string help,
                                    std::optional<std::uint64_t> MegatronSizeOptions::*member) {
        auto inner = option<MegatronSizeOptions>(std::move(name), std::move(value), std::move(help), member);
        return {std::move(inner.info), [set = std::move(inner.set)](Options& options, const std::string& given) {
                    set(options.sizes, given);
                }};
    }
};

class MegatronLoader final : public MegatronLoaderBase {
public:
    using MegatronLoaderBase::MegatronLoaderBase;
    static std::string name() { return "megatron"; }
    static std::string summary() { return "reads Megatron-LLM and Megatron-LM checkpoints, at any TP and PP size"; }
};

class MegatronCoreLoader final : public MegatronLoaderBase {
public:
    using MegatronLoaderBase::MegatronLoaderBase;
    static std::string name() { return "mcore"; }
    static std::string summary() { return "reads Megatron-Core checkpoints in torch format, at any TP and PP size"; }
};

}  // namespace crossdock
