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

#include "crossdock/container/torch/reader.hpp"
#include "crossdock/family/megatron.hpp"
#include "crossdock/layout/qkv_version.hpp"
#include "crossdock/plugin/family_loader.hpp"
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
};

namespace detail {

/// What the pickles of a Megatron checkpoint hold beside the optimizer.
struct MegatronContent {
    std::vector<std::vector<TensorDict>> stages;  ///< [stage][rank], names as "model.language_model.…"
    std::vector<std::string> chunks;              ///< "model", or "model0", "model1" … with a virtual pipeline
    Json args;
    double checkpoint_version = 0;
    std::optional<Iteration> iteration;
};

inline std::vector<std::string> chunk_keys(const pickle::Value& root, const std::string& file) {
    if (root.find("model")) return {"model"};
    std::vector<std::string> keys;
    while (root.find(text("model", keys.size()))) keys.push_back(text("model", keys.size()));
    if (keys.empty()) throw Error(text(file, ": holds neither 'model' nor 'model0'; it is no Megatron checkpoint"));
    return keys;
}

inline TensorDict model_tensors(const pickle::Value& root, const std::vector<std::string>& chunks,
                                const std::string& file) {
    TensorDict dict;
    for (const std::string& chunk : chunks) {
        const pickle::Value* model = root.find(chunk);
        if (!model) throw Error(text(file, ": '", chunk, "' is missing, another rank has it"));
        const TensorDict tensors = torch::tensors(*model, file);
        for (NamedTensor entry : tensors.entries()) {
            entry.name = text(chunk, ".", entry.name);
            dict.add(std::move(entry));
        }
    }
    return dict;
}

inline std::optional<Iteration> stored_iteration(const pickle::Value& root) {
    for (const char* key : {"iteration", "total_iters"}) {
        const pickle::Value* value = root.find(key);
        if (!value) continue;
        if (const std::string* name = value->as_string()) return parse_iteration(*name);
        if (const auto number = value->as_integer(); number && *number >= 0)
            return Iteration{static_cast<std::uint64_t>(*number), false};
    }
    return std::nullopt;
}

inline MegatronContent read_megatron_files(const MegatronFiles& files) {
    MegatronContent content;
    for (const auto& stage : files.stages) {
        content.stages.emplace_back();
        for (const auto& file : stage) {
            const pickle::Value root = torch::read(file);
            if (content.chunks.empty()) {
                content.chunks = chunk_keys(root, file.string());
                content.args = json_of_namespace(root.find("args"));
                content.iteration = stored_iteration(root);
                if (const auto* version = root.find("checkpoint_version"))
                    content.checkpoint_version = version->as_float().value_or(0);
            }
            content.stages.back().push_back(model_tensors(root, content.chunks, file.string()));
        }
    }
    return content;
}

inline bool any_name(const MegatronContent& content, auto&& test) {
    for (const auto& stage : content.stages)
        for (const NamedTensor& entry : stage.front().entries())
            if (test(std::string_view(entry.name))) return true;
    return false;
}

inline auto contains(std::string_view part) {
    return [part](std::string_view name) { return name.find(part) != std::string_view::npos; };
}

/// Megatron-Core's spelling: whose layers, and whether its BERT's.
inline const MegatronDialect& choose_core(const MegatronContent& content) {
    const bool is_bert = any_name(content, contains(".encoder.layers."));
    return any_name(content, contains("linear_qkv.layer_norm_weight")) ? megatron_core_te(is_bert)
                                                                       : megatron_core_local(is_bert);
}

/// Which Megatron wrote these names and args (spec: the bare lm_head tensor and Megatron-LLM's own arguments; NVIDIA's
/// norm names and arguments).
inline const MegatronDialect& detect_dialect(const MegatronContent& content, const std::filesystem::path& directory) {
    if (!any_name(content, contains("language_model."))) {
        const bool has_decoder = any_name(content, contains(".decoder.layers."));
        if (has_decoder == any_name(content, contains(".encoder.layers.")))
            throw Error(text(directory.string(),
                             has_decoder
                                 ? ": the model has an encoder and a decoder; only one of the two is supported"
                                 : ": the model has neither language_model nor layers of a decoder or encoder"));
        return choose_core(content);
    }
    if (any_name(content, contains(".layernorm_qkv.")) || any_name(content, contains(".layernorm_mlp.")))
        throw Error(text(directory.string(),
                         ": Megatron-LM's own model code with Transformer Engine layers (layernorm_qkv) is not read"));
    const auto has_argument = [&](std::initializer_list<const char*> names) {
        return std::any_of(names.begin(), names.end(), [&](const char* name) { return content.args.contains(name); });
    };
    if (any_name(content, [](std::string_view name) { return name.ends_with("language_model.lm_head"); }))
        return megatron_llm();
    if (any_name(content, contains("language_model.output_layer.")) || any_name(content, contains("_norm.weight")))
        return megatron_lm();
    if (has_argument({"num_attention_heads_kv", "tie_embed_logits", "glu_activation", "use_rms_norm", "parallel_attn"}))
        return megatron_llm();
    if (has_argument({"swiglu", "num_query_groups", "normalization", "openai_gelu", "add_position_embedding",
                      "apply_query_key_layer_scaling"}))
        return megatron_lm();
    throw Error(
        text(directory.string(),
             ": names and args fit Megatron-LLM and Megatron-LM alike; say which with --source_dialect llm|lm"));
}

inline const MegatronDialect& choose_dialect(const std::string& asked, const MegatronContent& content,
                                             const std::filesystem::path& directory) {
    if (asked.empty()) return detect_dialect(content, directory);
    if (asked == "llm") return megatron_llm();
    if (asked == "lm") return megatron_lm();
    if (asked == "mcore") return choose_core(content);
    throw UsageError(text("the dialect '", asked, "' is not known; expected llm, lm or mcore"));
}

/// Rows of q, k and v in the order of version 2.0 and later.
inline Tensor in_latest_order(const Tensor& rows, double version, const ModelHeader& header, const std::string& name) {
    if (version >= 2.0) return rows;
    if (header.num_query_groups != header.num_attention_heads)
        throw Error(text("tensor '", name, "': checkpoint versions below 2.0 know no grouped queries"));
    if (rows.shape().rank() == 0 || rows.shape()[0] == 0 || rows.shape()[0] % (3 * header.kv_channels) != 0)
        throw Error(text("tensor '", name, "' has shape ", rows.shape(), ", expected a multiple of 3 × ",
                         header.kv_channels, " rows"));
    return version < 1.0 ? qkv_from_version_0(rows, header.kv_channels) : qkv_from_version_1(rows, header.kv_channels);
}

/// The same tensors under the names that the dialect's table has.
inline TensorDict in_latest_spelling(const TensorDict& from, const MegatronDialect& dialect, double version,
                                     const ModelHeader& header) {
    TensorDict dict;
    for (NamedTensor entry : from.entries()) {
        for (const auto& [older, latest] : dialect.older_spellings)
            entry.name = replaced(std::move(entry.name), older, latest);
        if (entry.name.find(".query_key_value.") != std::string::npos)
            entry.tensor = in_latest_order(entry.tensor, version, header, entry.name);
        dict.add(std::move(entry));
    }
    return dict;
}

/// Layers in the order of the model: chunk by chunk, stage by stage, as many as each one holds.
inline std::vector<LayerPlace> place_layers(const std::vector<StageTensors>& stages,
                                            const std::vector<std::string>& chunks, const TensorTable& table) {
    const std::string pattern(row_of(table, &TransformerLayer::qkv_weight)->names[0]);
    std::vector<LayerPlace> places;
    for (const std::string& chunk : chunks)
        for (std::size_t stage = 0; stage < stages.size(); ++stage) {
            const std::uint64_t count = count_layers(stages[stage], chunk + ".", pattern);
            for (std::uint64_t index = 0; index < count; ++index) places.push_back({stage, {chunk + "/", index}});
        }
    return places;
}

/// The header's switches and sizes that the tensors tell better than args, which tools write in part.
class TensorEvidence {
public:
    explicit TensorEvidence(OpenCheckpoint& open) : open_(open), header_(open.header) {}

    void apply(const std::filesystem::path& directory) {
        using L = TransformerLayer;
        const auto& word = required_tensor(open_.stages.front(), name_of(&Embeddings::word, open_.first), directory);
        header_.vocab_rows = checked_multiply(word.tensor.shape()[0], ranks(), "vocabulary rows");
        header_.norm = has(&L::input_norm_bias) || has(&L::output_norm_bias) ? NormKind::layer : NormKind::rms;
        header_.parallel_norm = has(&L::mlp_norm_weight);
        header_.parallel_attention = !has(&L::post_norm_weight);
        header_.post_norm = !has(&L::input_norm_weight);
        header_.final_norm = holds(*open_.table, open_.stages.back(), open_.last, &FinalNorm::weight);
        find_biases(*open_.table, layer_stage(), layer().scope, header_);
        find_mlp(directory);
        find_groups(directory);
        find_embeddings();
        find_heads();
        header_.params_dtype = prevailing_dtype(layer_stage());
    }

private:
    template <class M>
    std::string name_of(std::optional<Tensor> M::*field, const NameScope& scope) const {
        return scope.name(row_of(*open_.table, field)->names[0]);
    }
    const LayerPlace& layer() const { return open_.layers.front(); }
    const StageTensors& layer_stage() const { return open_.stages[layer().stage]; }
    std::uint64_t ranks() const { return open_.stages.front().size(); }
    bool has(std::optional<Tensor> TransformerLayer::*field) const {
        return holds(*open_.table, layer_stage(), layer().scope, field);
    }

    /// fc1 has twice as many rows as fc2 has columns where it holds gate and up.
    void find_mlp(const std::filesystem::path& directory) {
        using L = TransformerLayer;
        const auto& fc1 = required_tensor(layer_stage(), name_of(&L::fc1_weight, layer().scope), directory);
        const auto& fc2 = required_tensor(layer_stage(), name_of(&L::fc2_weight, layer().scope), directory);
        if (fc2.tensor.shape().rank() != 2 || fc2.tensor.shape()[1] == 0)
            throw Error(
                text(fc2.file, ": tensor '", fc2.name, "' has shape ", fc2.tensor.shape(), ", expected a matrix"));
        const std::uint64_t columns = fc2.tensor.shape()[1];
        header_.gated_mlp = fc1.tensor.shape()[0] == checked_multiply(2, columns, "MLP rows");
        if (header_.ffn_hidden_size == 0) header_.ffn_hidden_size = checked_multiply(columns, ranks(), "MLP rows");
    }

    void find_groups(const std::filesystem::path& directory) {
        if (header_.num_query_groups != 0 || header_.num_attention_heads == 0) return;
        if (header_.kv_channels == 0) header_.kv_channels = header_.hidden_size / header_.num_attention_heads;
        const auto& qkv =
            required_tensor(layer_stage(), name_of(&TransformerLayer::qkv_weight, layer().scope), directory);
        const std::uint64_t heads =
            header_.kv_channels == 0
                ? 0
                : checked_multiply(qkv.tensor.shape()[0], ranks(), "qkv rows") / header_.kv_channels;
        if (heads > header_.num_attention_heads) header_.num_query_groups = (heads - header_.num_attention_heads) / 2;
    }

    void find_embeddings() {
        const NamedTensor* position = open_.stages.front().find(0, name_of(&Embeddings::position, open_.first));
        if (position && position->tensor.shape().rank() == 2) {
            header_.positions = PositionKind::learned;
            header_.max_position_embeddings = position->tensor.shape()[0];
        } else if (header_.positions == PositionKind::learned) {
            header_.positions = PositionKind::rope;
        }
        const NamedTensor* types = open_.stages.front().find(0, name_of(&Embeddings::token_type, open_.first));
        header_.num_token_types = types && types->tensor.shape().rank() == 2 ? types->tensor.shape()[0] : 0;
    }

    void find_heads() {
        const TensorTable& table = *open_.table;
        const StageTensors& stage = open_.stages.back();
        const bool has_output = holds(table, stage, open_.last, &OutputLayer::weight);
        // Megatron-Core keeps a tied model's copy under the head's own name, so there only args can tell.
        const bool may_be_copy = table.output_layer.front().names[0] == table.tied_copy && open_.stages.size() > 1;
        header_.tied_embeddings = has_output && may_be_copy ? header_.tied_embeddings : !has_output;
        header_.pooler = holds(table, stage, open_.last, &BertPooler::weight);
        header_.bert_lm_head = holds(table, stage, open_.last, &BertLmHead::dense_weight);
        header_.bert_binary_head = holds(table, stage, open_.last, &BertBinaryHead::weight);
    }

    OpenCheckpoint& open_;
    ModelHeader& header_;
};

inline std::uint64_t count_lines(const std::filesystem::path& file) {
    const std::string content = read_text(file);
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
    if (options.true_vocab_size)
        header.true_vocab_size = options.true_vocab_size;
    else if (!options.vocab_file.empty())
        header.true_vocab_size = count_lines(options.vocab_file);
    if (!options.position_embedding_type.empty())
        within("--position_embedding_type", [&] { read_positions(options.position_embedding_type, header); });
    if (!options.model_type.empty()) header.model_type = options.model_type;
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
            ranks.push_back(
                detail::in_latest_spelling(rank, dialect, is_core ? 3.0 : content.checkpoint_version, header));
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
    header.companions = find_companions(files.root);
    open.sizes = describe_sizes(header, where);
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
        return {option<Options>("load_dir", "DIR", "the checkpoint: its root or the directory of an iteration",
                                &Options::load_dir),
                option<Options>("model_type", "T", "what the model is, where it matters to the saver",
                                &Options::model_type),
                option<Options>("load_iters", "N", "which of several iterations, or release", &Options::load_iters),
                option<Options>("source_dialect", "llm|lm|mcore", "overrides what the files tell",
                                &Options::source_dialect),
                option<Options>("true_vocab_size", "N", "words in the vocabulary, without padding",
                                &Options::true_vocab_size),
                option<Options>("vocab_file", "FILE", "a vocabulary with a word a line, to be counted",
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
