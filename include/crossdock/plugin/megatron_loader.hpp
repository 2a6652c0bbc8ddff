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

#include "crossdock/core/chained.hpp"
#include "crossdock/family/megatron.hpp"
#include "crossdock/plugin/companions.hpp"
#include "crossdock/plugin/family_loader.hpp"
#include "crossdock/plugin/header_overrides.hpp"
#include "crossdock/plugin/megatron_content.hpp"
#include "crossdock/plugin/megatron_dialects.hpp"
#include "crossdock/plugin/megatron_evidence.hpp"
#include "crossdock/plugin/megatron_files.hpp"
#include "crossdock/plugin/megatron_namespace.hpp"
#include "crossdock/plugin/options.hpp"
#include "crossdock/plugin/sidecar.hpp"
#include "crossdock/plugin/table_loader.hpp"

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
    std::optional<std::uint64_t> kv_channels{};
    HeaderOverrides overrides{};
};

namespace detail {

/// The words in a vocabulary: the entries of a JSON object or array, or else the lines.
inline std::uint64_t count_words(const std::filesystem::path& file) {
    const std::string content = read_text(file);
    const std::size_t begin = std::min(content.find_first_not_of(" \t\r\n"), content.size());
    if (begin < content.size() && (content[begin] == '{' || content[begin] == '['))
        return parse_json(content, file.string()).size();
    const auto lines = static_cast<std::uint64_t>(std::count(content.begin(), content.end(), '\n'));
    return lines + (!content.empty() && content.back() != '\n' ? 1 : 0);
}

/// What the checkpoint states, in the order of trust: its args, then crossdock.json, then the defaults of the tool.
inline ModelHeader megatron_header(const MegatronContent& content, const MegatronDialect& dialect,
                                   const MegatronFiles& files) {
    const std::string where = text("args of ", files.directory.string());
    ModelHeader header;
    header.source_format = text("Megatron (", dialect.name, ")");
    dialect.constants(header);
    read_config(dialect.args, content.args, header, where);
    read_sidecar(files.root, header);
    read_config(without_defaults(dialect.args), content.args, header, where);
    const auto iteration = content.iteration ? content.iteration : files.iteration;
    header.release = iteration && iteration->release;
    if (iteration && !iteration->release) header.iteration = iteration->number;
    header.carried["args"] = content.args.dump();
    return header;
}

inline void apply_options(const MegatronLoaderOptions& options, ModelHeader& header) {
    if (options.true_vocab_size) header.true_vocab_size = options.true_vocab_size;
    if (!options.vocab_file.empty()) {
        const std::uint64_t words = count_words(options.vocab_file);
        if (options.true_vocab_size && options.true_vocab_size != words)
            throw Error(text(options.vocab_file.string(), ": holds ", words, " words, --true_vocab_size says ",
                             *options.true_vocab_size, "; give one of them"));
        header.true_vocab_size = words;
    }
    if (!options.position_embedding_type.empty())
        within("--position_embedding_type", [&] { read_positions(options.position_embedding_type, header); });
    const bool is_any_decoder = options.model_type == "GPT" && !header.model_type.empty();
    if (!options.model_type.empty() && !is_any_decoder) header.model_type = options.model_type;
    apply_overrides(options.overrides, header);
}

/// Throws Error when --model_type is unknown, or speaks of a model that the tensors are not of.
inline void check_megatron_type(const ModelHeader& header, const std::string& type) {
    const auto contradict = [&](std::string_view what) {
        throw Error(text("--model_type ", type, " contradicts the checkpoint, which has ", what));
    };
    if (type.empty()) return;
    if (type == "BERT") return is_bert(header) ? void() : contradict("none of BERT's heads and no token types");
    if (is_bert(header)) contradict("BERT's heads or token types");
    if (type == "GPT") return;
    if (header.positions == PositionKind::learned) contradict("learned positions");
    if (type == "falcon") {
        if (header.norm != NormKind::layer) contradict("RMS norms");
        if (header.gated_mlp) contradict("a gated MLP");
        return;
    }
    constexpr std::array llamas{"llama", "llama2", "llama3", "codellama", "mistral", "gemma"};
    if (std::find(llamas.begin(), llamas.end(), type) == llamas.end())
        throw UsageError(text("--model_type is '", type, "', expected one of GPT, BERT, falcon, ", joined(llamas)));
    if (header.norm != NormKind::rms) contradict("layer norms");
    if (!header.gated_mlp) contradict("an MLP without a gate");
    if (header.parallel_attention) contradict("parallel attention");
}

}  // namespace detail

/// Opens a Megatron checkpoint of any dialect, size and age.
inline OpenCheckpoint open_megatron(const MegatronLoaderOptions& options) {
    const MegatronFiles files = find_megatron_files(options.load_dir, options.load_iters);
    detail::MegatronContent content = detail::read_megatron_files(files);
    const MegatronDialect& dialect = detail::choose_dialect(options.source_dialect, content, files.directory);
    OpenCheckpoint open{.header = detail::megatron_header(content, dialect, files), .table = &dialect.table};
    ModelHeader& header = open.header;
    if (options.kv_channels) header.kv_channels = *options.kv_channels;
    if (header.kv_channels == 0 && header.num_attention_heads != 0)
        header.kv_channels = header.hidden_size / header.num_attention_heads;
    const bool is_core = dialect.name == "mcore";
    for (const auto& stage : content.stages) {
        std::vector<TensorDict> ranks;
        for (const TensorDict& rank : stage)
            ranks.push_back(within(files.directory.string(), [&] {
                return detail::in_latest_spelling(rank, dialect, is_core ? 3.0 : content.checkpoint_version, header);
            }));
        open.stages.emplace_back(std::move(ranks));
    }
    open.first.prefix = content.chunks.front() + "/";
    open.last.prefix = content.chunks.back() + "/";
    open.layers = detail::place_layers(open.stages, content.chunks, dialect.table);
    const std::string where = text("args of ", files.directory.string());
    if (open.layers.empty()) throw Error(text(files.directory.string(), ": holds no transformer layers"));
    if (header.num_layers != 0 && header.num_layers != open.layers.size())
        throw Error(text(where, ": say ", header.num_layers, " layers, the files hold ", open.layers.size()));
    header.num_layers = open.layers.size();
    detail::TensorEvidence(open).apply(files.directory);
    if (!header.gated_mlp && !header.activation) header.activation = Activation::gelu_erf;  // unless told otherwise
    detail::apply_options(options, header);
    detail::check_megatron_type(header, options.model_type);
    complete_sizes(header, where);
    header.previous_tensor_parallel_size = open.stages.front().size();
    header.previous_pipeline_parallel_size = open.stages.size();
    header.source_directory = options.load_dir;
    header.companions = find_companions(files.root, open.notices);
    open.description = where;
    if (!options.megatron_path.empty())
        open.notices.push_back("--megatron_path has no effect: Megatron's code is not needed");
    return open;
}

/// The loader of all Megatron checkpoints. It is known under two names, as the reference's are.
class MegatronLoaderBase : public TableLoader {
public:
    using Options = MegatronLoaderOptions;

    explicit MegatronLoaderBase(const Options& options) : TableLoader(open_megatron(options)) {}

    /// Whether the directory is laid out as Megatron's checkpoints are.
    static bool recognises(const std::filesystem::path& directory) {
        return std::filesystem::exists(directory / detail::tracker_name) || detail::is_iteration_directory(directory) ||
               !detail::iteration_directories(directory).empty();
    }
    static std::vector<OptionSpec<Options>> options() {
        return chained(own_options(), override_options(&Options::overrides));
    }

private:
    static std::vector<OptionSpec<Options>> own_options() {
        return {option<Options>("load_dir", "DIR", "the checkpoint: its root or the directory of an iteration",
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
                option<Options>("kv_channels", "N", "rows of one attention head", &Options::kv_channels),
                option<Options>("position_embedding_type", "T", "overrides what the files tell",
                                &Options::position_embedding_type),
                option<Options>("megatron_path", "DIR", "accepted, has no effect", &Options::megatron_path)};
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
