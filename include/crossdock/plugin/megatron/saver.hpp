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

#include "crossdock/container/torch/writer.hpp"
#include "crossdock/core/join_lists.hpp"
#include "crossdock/family/megatron/dialect.hpp"
#include "crossdock/layout/tensor_parallel.hpp"
#include "crossdock/plugin/header_overrides.hpp"
#include "crossdock/plugin/megatron/args_in_pickle.hpp"
#include "crossdock/plugin/megatron/files.hpp"
#include "crossdock/plugin/megatron/flags.hpp"
#include "crossdock/plugin/megatron/kept_args.hpp"
#include "crossdock/plugin/options.hpp"
#include "crossdock/plugin/table_saver.hpp"

namespace crossdock {

/// What the savers of Megatron checkpoints are asked.
struct MegatronSaverOptions {
    std::filesystem::path save_dir{};
    bool overwrite = false;
    std::optional<std::uint64_t> target_tensor_parallel_size{};            ///< the source's unless given, else 1
    std::optional<std::uint64_t> target_pipeline_parallel_size{};          ///< the source's unless given, else 1
    std::optional<std::uint64_t> target_virtual_pipeline_parallel_size{};  ///< chunks of each stage; 1 unless given
    std::optional<std::uint64_t> num_layers_in_first_pipeline_stage{};     ///< the others share the rest evenly
    std::optional<std::uint64_t> num_layers_in_last_pipeline_stage{};
    std::optional<std::uint64_t> make_vocab_size_divisible_by{};  ///< the source's unless given, else 128
    std::string iteration{};                                      ///< a number or release; empty: the source's
    std::string dialect{};                                        ///< llm or lm
    std::string transformer_impl = "transformer_engine";          ///< or local; Megatron-Core only
    HeaderOverrides overrides{};
};

namespace detail {

/// How many layers each pipeline stage holds. Throws Error where they cannot be shared as asked.
inline std::vector<std::uint64_t> share_layers(std::uint64_t layers, std::uint64_t stages,
                                               const MegatronSaverOptions& options) {
    const auto first = options.num_layers_in_first_pipeline_stage, last = options.num_layers_in_last_pipeline_stage;
    const std::uint64_t named = (first ? 1U : 0U) + (last ? 1U : 0U);
    if (named > 0 && stages < 2)
        throw UsageError(
            "--num_layers_in_first_pipeline_stage and --num_layers_in_last_pipeline_stage need at least 2 "
            "pipeline stages");
    if (first == 0U || last == 0U) throw UsageError("a pipeline stage holds at least 1 layer");
    const std::uint64_t taken = checked_add(first.value_or(0), last.value_or(0), "layers of the named stages");
    const std::uint64_t others = stages - named, rest = taken > layers ? 0 : layers - taken;
    const bool fits = taken <= layers && (others == 0 ? rest == 0 : rest > 0 && rest % others == 0);
    if (!fits && named == 0)
        throw Error(to_text("--target_pipeline_parallel_size ", stages, " does not divide the model's ", layers,
                            " layers; choose a divisor"));
    if (!fits)
        throw Error(to_text("of the model's ", layers, " layers, the first and last stage take ", taken,
                            ", which leaves ", rest, " for ", others,
                            " other stages; choose numbers that leave each as many"));
    std::vector<std::uint64_t> shares(stages, others == 0 ? 0 : rest / others);
    if (first) shares.front() = *first;
    if (last) shares.back() = *last;
    return shares;
}

}  // namespace detail

/// Writes a Megatron dialect at any tensor- and pipeline-parallel size.
class MegatronSaverBase : public TableSaver {
public:
    using Options = MegatronSaverOptions;

    explicit MegatronSaverBase(Options options)
        : TableSaver(options.save_dir, options.overwrite, options.overrides),
          options_(std::move(options)) {}

protected:
    /// The dialect to write for a model from this source.
    virtual const MegatronDialect& choose_dialect(const ModelHeader& header) const = 0;

    const Options& asked() const { return options_; }

    void prepare() override {
        const ModelHeader& header = header_;
        dialect_ = &choose_dialect(header);
        table_ = dialect_->table;
        ranks_ =
            options_.target_tensor_parallel_size.value_or(header.training.previous_tensor_parallel_size.value_or(1));
        stages_ = options_.target_pipeline_parallel_size.value_or(
            header.training.previous_pipeline_parallel_size.value_or(1));
        if (ranks_ == 0 || stages_ == 0) throw UsageError("parallel sizes are at least 1");
        require_expressible(dialect_->requirements, header, to_text("a Megatron (", dialect_->name, ") checkpoint"));
        require_rows(table_, header, to_text("a Megatron (", dialect_->name, ") checkpoint"));
        shares_ = detail::share_layers(header.num_layers, stages_, options_);
        cut_chunks();
        pad_vocabulary();
        require_divisible(header_, ranks_, "target_tensor_parallel_size");
        choose_iteration();
        choose_tokenizer();
        flags_ = megatron_flags(*dialect_, header_);
        for (std::string& line : megatron_losses(*dialect_, header_)) notice(std::move(line));
        for (const auto& [name, value] : header.origin.unexpressed)
            notice(to_text("the args keep ", name, " ", value, "; give Megatron that option again"));
    }

    /// The args of the same Megatron keep all that they state.
    bool expresses(const ModelHeader& header, const std::string& name) const override {
        const auto& others = megatron_other_args();
        return detail::source_dialect(header) == choose_dialect(header).name &&
               std::any_of(others.begin(), others.end(),
                           [&](const OtherArgument& other) { return other.name == name; });
    }

    TargetCheckpoint open(const std::filesystem::path& directory) override {
        TargetCheckpoint target;
        target.first.prefix = chunk_prefix(0);
        target.last.prefix = chunk_prefix(chunks_ - 1);
        // Stages take turns: the model runs through the first chunk of each, then through the second of each …
        for (std::uint64_t chunk = 0; chunk < chunks_; ++chunk)
            for (std::uint64_t stage = 0; stage < stages_; ++stage)
                for (std::uint64_t index = 0; index < shares_[stage] / chunks_; ++index)
                    target.layers.push_back({stage, {chunk_prefix(chunk), index}});
        for (std::uint64_t stage = 0; stage < stages_; ++stage)
            for (std::uint64_t rank = 0; rank < ranks_; ++rank)
                target.writers[{.pipeline = stage, .tensor = rank}] = open_rank(directory, rank, stage);
        return target;
    }

    void close(TargetCheckpoint& target, const std::filesystem::path& directory) override {
        for (const LayerPlace& place : target.layers)
            for (const auto& [at, writer] : target.writers)
                if (at.pipeline == place.stage) put_placeholders(static_cast<torch::Writer&>(*writer), place.scope);
        write_text(directory / detail::tracker_name, iteration_.text());
        write_sidecar(directory, header_, flags_);
        if (!flags_.empty())
            notice(to_text("give Megatron these options, which it does not read from the checkpoint: ",
                           joined_list(flags_, " ")));
    }

    static std::vector<OptionSpec<Options>> common_options() {
        return join_lists<OptionSpec<Options>>(
            {option<Options>("save_dir", "DIR", "where to write", &Options::save_dir),
             option<Options>("overwrite", "", "replace an existing target once the new one is complete",
                             &Options::overwrite),
             option<Options>("target_tensor_parallel_size", "N", "the source's unless given, else 1",
                             &Options::target_tensor_parallel_size),
             option<Options>("target_pipeline_parallel_size", "N", "the source's unless given, else 1",
                             &Options::target_pipeline_parallel_size),
             option<Options>("target_virtual_pipeline_parallel_size", "N",
                             "chunks of each pipeline stage, 1 unless given",
                             &Options::target_virtual_pipeline_parallel_size),
             option<Options>("make_vocab_size_divisible_by", "N", "the source's unless given, else 128",
                             &Options::make_vocab_size_divisible_by),
             option<Options>("iteration", "N|release", "the source's unless given", &Options::iteration)},
            override_options(&Options::overrides));
    }

private:
    void cut_chunks() {
        chunks_ = options_.target_virtual_pipeline_parallel_size.value_or(1);
        if (chunks_ == 0) throw UsageError("--target_virtual_pipeline_parallel_size is 0, expected at least 1");
        if (chunks_ > 1 && stages_ < 2)
            throw UsageError("--target_virtual_pipeline_parallel_size needs at least 2 pipeline stages");
        for (const std::uint64_t share : shares_)
            if (share % chunks_ != 0)
                throw Error(to_text("--target_virtual_pipeline_parallel_size ", chunks_, " does not divide the ", share,
                                    " layers of a pipeline stage; choose a divisor"));
    }

    /// "model/", or "model0/", "model1/" … with a virtual pipeline.
    std::string chunk_prefix(std::uint64_t chunk) const {
        return chunks_ == 1 ? std::string("model/") : to_text("model", chunk, "/");
    }

    void pad_vocabulary() {
        if (options_.make_vocab_size_divisible_by)
            header_.training.make_vocab_size_divisible_by = options_.make_vocab_size_divisible_by;
        const std::uint64_t divisor = header_.training.make_vocab_size_divisible_by.value_or(128);
        if (divisor == 0) throw UsageError("--make_vocab_size_divisible_by is 0, expected at least 1");
        header_.training.make_vocab_size_divisible_by = divisor;
        if (header_.true_vocab_size)
            header_.vocab_rows = padded_vocab_rows(*header_.true_vocab_size, divisor, ranks_);
        else if (header_.vocab_rows % ranks_ != 0)
            throw Error(to_text("the ", header_.vocab_rows, " vocabulary rows do not divide into ", ranks_,
                                " tensor-parallel ranks, and their true number is not known; give --true_vocab_size"));
    }

    /// The two Megatrons call their tokenizers by names of their own.
    void choose_tokenizer() {
        const bool from_llm = header_.origin.format == "Megatron (llm)", to_llm = dialect_->name == "llm";
        const bool same_names = header_.origin.format.starts_with("Megatron") && from_llm == to_llm;
        if (!same_names || !header_.training.tokenizer_type)
            header_.training.tokenizer_type = default_tokenizer(*dialect_, header_);
    }

    void choose_iteration() {
        if (!options_.iteration.empty()) {
            const auto asked = parse_iteration(options_.iteration);
            if (!asked)
                throw UsageError(to_text("--iteration is '", options_.iteration, "', expected a number or release"));
            iteration_ = *asked;
        } else if (header_.training.release) {
            iteration_ = {0, true};
        } else if (header_.training.iteration) {
            iteration_ = {*header_.training.iteration, false};
        } else {
            iteration_ = dialect_->writes_release ? Iteration{0, true} : Iteration{1, false};
        }
        header_.training.release = iteration_.release;
        header_.training.iteration = iteration_.release ? std::nullopt : std::optional(iteration_.number);
    }

    Json iteration_value() const { return iteration_.release ? Json("release") : Json(iteration_.number); }

    std::unique_ptr<TensorWriter> open_rank(const std::filesystem::path& directory, std::uint64_t rank,
                                            std::uint64_t stage) const {
        const auto folder = directory / iteration_.directory() / rank_folder(rank, stage, stages_);
        std::filesystem::create_directories(folder);
        auto writer = std::make_unique<torch::Writer>(folder / "model_optim_rng.pt");
        Json args = detail::combined_args(*dialect_, header_, ranks_, stages_);
        args["tensor_model_parallel_size"] = ranks_;
        args["pipeline_model_parallel_size"] = stages_;
        args["virtual_pipeline_model_parallel_size"] = chunks_ == 1 ? Json(nullptr) : Json(chunks_);
        args["num_layers_per_virtual_pipeline_stage"] = chunks_ == 1 ? Json(nullptr) : Json(shares_[0] / chunks_);
        args["decoder_first_pipeline_num_layers"] = detail::or_null(options_.num_layers_in_first_pipeline_stage);
        args["decoder_last_pipeline_num_layers"] = detail::or_null(options_.num_layers_in_last_pipeline_stage);
        args["iteration"] = iteration_value();
        writer->put("args", detail::namespace_of_kept(args));
        writer->put("checkpoint_version", 3.0);
        writer->put("iteration", detail::plain_of_json(iteration_value()));
        return writer;
    }

    void put_placeholders(torch::Writer& writer, const NameScope& layer) const {
        for (const std::string& pattern : dialect_->layer_placeholders) writer.put(layer.name(pattern), {});
    }

    Options options_;
    const MegatronDialect* dialect_ = nullptr;
    std::uint64_t ranks_ = 1, stages_ = 1, chunks_ = 1;
    std::vector<std::uint64_t> shares_;  ///< layers of each stage
    Iteration iteration_;
    std::vector<std::string> flags_;
};

/// Megatron-LLM and Megatron-LM.
class MegatronSaver final : public MegatronSaverBase {
public:
    explicit MegatronSaver(Options options) : MegatronSaverBase(std::move(options)) {
        if (const auto& dialect = asked().dialect; !dialect.empty() && dialect != "llm" && dialect != "lm")
            throw UsageError(to_text("--dialect is '", dialect, "', expected llm or lm"));
    }

    static std::string name() { return "megatron"; }
    static std::string summary() { return "writes Megatron-LLM and Megatron-LM checkpoints, at any TP and PP size"; }
    static std::vector<OptionSpec<Options>> options() {
        auto specs = common_options();
        specs.push_back(
            option<Options>("dialect", "llm|lm", "the source's if it is one of these, else llm", &Options::dialect));
        return specs;
    }

private:
    const MegatronDialect& choose_dialect(const ModelHeader& header) const override {
        if (asked().dialect.empty()) return header.origin.format == "Megatron (lm)" ? megatron_lm() : megatron_llm();
        return asked().dialect == "lm" ? megatron_lm() : megatron_llm();
    }
};

/// Megatron-Core in torch format.
class MegatronCoreSaver final : public MegatronSaverBase {
public:
    explicit MegatronCoreSaver(Options options) : MegatronSaverBase(std::move(options)) {
        if (const auto& impl = asked().transformer_impl; impl != "transformer_engine" && impl != "local")
            throw UsageError(to_text("--transformer_impl is '", impl, "', expected transformer_engine or local"));
    }

    static std::string name() { return "mcore"; }
    static std::string summary() { return "writes Megatron-Core checkpoints in torch format, at any TP and PP size"; }
    static std::vector<OptionSpec<Options>> options() {
        auto specs = common_options();
        specs.push_back(option<Options>("transformer_impl", "transformer_engine|local",
                                        "whose names; transformer_engine unless given", &Options::transformer_impl));
        specs.push_back(option<Options>("num_layers_in_first_pipeline_stage", "N", "the others share the rest evenly",
                                        &Options::num_layers_in_first_pipeline_stage));
        specs.push_back(option<Options>("num_layers_in_last_pipeline_stage", "N", "the others share the rest evenly",
                                        &Options::num_layers_in_last_pipeline_stage));
        return specs;
    }

private:
    const MegatronDialect& choose_dialect(const ModelHeader& header) const override {
        const bool is_bert = detail::is_bert(header);
        return asked().transformer_impl == "local" ? megatron_core_local(is_bert) : megatron_core_te(is_bert);
    }
};

}  // namespace crossdock
