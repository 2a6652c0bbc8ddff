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

#include "crossdock/container/text_file.hpp"
#include "crossdock/container/torch/writer.hpp"
#include "crossdock/core/compiled.hpp"
#include "crossdock/family/megatron/dialects.hpp"
#include "crossdock/layout/tensor_parallel.hpp"
#include "crossdock/plugin/megatron/args_in_pickle.hpp"
#include "crossdock/plugin/megatron/entry_points.hpp"
#include "crossdock/plugin/megatron/files.hpp"
#include "crossdock/plugin/megatron/flags.hpp"
#include "crossdock/plugin/megatron/kept_args.hpp"
#include "crossdock/plugin/megatron/pipeline.hpp"
#include "crossdock/plugin/megatron/saver_options.hpp"
#include "crossdock/plugin/sidecar.hpp"
#include "crossdock/plugin/table_saver.hpp"

namespace crossdock {

namespace detail {

/// What a saver of Megatron checkpoints is asked, whichever dialect it writes.
struct MegatronTarget {
    std::optional<std::uint64_t> tensor_parallel_size{}, pipeline_parallel_size{};
    std::uint64_t chunks = 1;
    std::optional<std::uint64_t> layers_in_first_stage{}, layers_in_last_stage{};
    std::optional<std::uint64_t> make_vocab_size_divisible_by{};
    std::string iteration{};  ///< a number or release; empty: the source's
};

template <class Options>
MegatronTarget megatron_target(const Options& options) {
    MegatronTarget target{.tensor_parallel_size = options.target_tensor_parallel_size,
                          .pipeline_parallel_size = options.target_pipeline_parallel_size,
                          .chunks = options.target_virtual_pipeline_parallel_size.value_or(1),
                          .make_vocab_size_divisible_by = options.make_vocab_size_divisible_by,
                          .iteration = options.iteration};
    if constexpr (requires { options.num_layers_in_first_pipeline_stage; }) {
        target.layers_in_first_stage = options.num_layers_in_first_pipeline_stage;
        target.layers_in_last_stage = options.num_layers_in_last_pipeline_stage;
    }
    return target;
}

}  // namespace detail

/// Writes a Megatron dialect at any tensor- and pipeline-parallel size.
class MegatronSaverBase : public TableSaver {
protected:
    template <class Options>
    explicit MegatronSaverBase(const Options& options)
        : TableSaver(options.save_dir, options.overwrite, options.overrides),
          asked_(detail::megatron_target(options)) {}

    /// The dialect to write for a model from this source.
    virtual const MegatronDialect& choose_dialect(const ModelHeader& header) const = 0;

    void prepare() override {
        const ModelHeader& header = header_;
        dialect_ = &choose_dialect(header);
        table_ = dialect_->table;
        ranks_ = asked_.tensor_parallel_size.value_or(header.training.previous_tensor_parallel_size.value_or(1));
        const std::uint64_t stages =
            asked_.pipeline_parallel_size.value_or(header.training.previous_pipeline_parallel_size.value_or(1));
        if (ranks_ == 0 || stages == 0) throw UsageError("parallel sizes are at least 1");
        require_expressible(dialect_->requirements, header, to_text("a Megatron (", dialect_->name, ") checkpoint"));
        require_rows(table_, header, to_text("a Megatron (", dialect_->name, ") checkpoint"));
        pipeline_ = detail::Pipeline(header.num_layers, {.stages = stages,
                                                         .chunks = asked_.chunks,
                                                         .layers_in_first = asked_.layers_in_first_stage,
                                                         .layers_in_last = asked_.layers_in_last_stage});
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
        const MegatronDialect& dialect = choose_dialect(header);
        return header.origin.megatron == dialect.code &&
               std::any_of(dialect.other_args.begin(), dialect.other_args.end(),
                           [&](const OtherArgument& other) { return other.name == name; });
    }

    TargetCheckpoint open(const std::filesystem::path& directory) override {
        TargetCheckpoint target;
        target.first.prefix = pipeline_.chunk_prefix(0);
        target.last.prefix = pipeline_.chunk_prefix(pipeline_.chunks() - 1);
        target.layers = pipeline_.layers();
        const pickle::Value args = detail::namespace_of_kept(target_args());
        writers_.resize(pipeline_.stages());
        for (std::uint64_t stage = 0; stage < pipeline_.stages(); ++stage)
            for (std::uint64_t rank = 0; rank < ranks_; ++rank) {
                auto writer = open_rank(directory, rank, stage, args);
                writers_[stage].push_back(writer.get());
                target.writers[{.pipeline = stage, .tensor = rank}] = std::move(writer);
            }
        return target;
    }

    void close(TargetCheckpoint& target, const std::filesystem::path& directory) override {
        for (const LayerPlace& place : target.layers)
            for (torch::Writer* writer : writers_[place.stage])
                for (const std::string& pattern : dialect_->layer_placeholders)
                    writer->put(place.scope.name(pattern), {});
        write_text(directory / detail::tracker_name, iteration_.text());
        write_sidecar(directory, header_, flags_);
        if (!flags_.empty())
            notice(to_text("give Megatron these options, which it does not read from the checkpoint: ",
                           joined_list(flags_, " ")));
    }

private:
    void pad_vocabulary() {
        if (asked_.make_vocab_size_divisible_by)
            header_.training.make_vocab_size_divisible_by = asked_.make_vocab_size_divisible_by;
        const std::uint64_t divisor = header_.training.make_vocab_size_divisible_by.value_or(128);
        if (divisor == 0) throw UsageError("make_vocab_size_divisible_by is 0, expected at least 1");
        header_.training.make_vocab_size_divisible_by = divisor;
        if (header_.true_vocab_size)
            header_.vocab_rows = padded_vocab_rows(*header_.true_vocab_size, divisor, ranks_);
        else if (header_.vocab_rows % ranks_ != 0)
            throw Error(
                to_text("the ", header_.vocab_rows, " vocabulary rows do not divide into ", ranks_,
                        " tensor-parallel ranks, and their true number is not known; give the option true_vocab_size"));
    }

    /// Each line of Megatrons calls its tokenizers by names of its own.
    void choose_tokenizer() {
        const MegatronDialect* source = detail::source_dialect(header_);
        const bool same_names = source && source->line == dialect_->line;
        if (!same_names || !header_.training.tokenizer_type)
            header_.training.tokenizer_type = default_tokenizer(*dialect_, header_);
    }

    void choose_iteration() {
        if (!asked_.iteration.empty()) {
            const auto asked = parse_iteration(asked_.iteration);
            if (!asked)
                throw UsageError(to_text("iteration is '", asked_.iteration, "', expected a number or release"));
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

    /// The args of every rank.
    Json target_args() const {
        const std::uint64_t stages = pipeline_.stages();
        const bool has_chunks = pipeline_.chunks() > 1;
        Json args = detail::combined_args(*dialect_, header_, ranks_, stages);
        args["tensor_model_parallel_size"] = ranks_;
        args["pipeline_model_parallel_size"] = stages;
        args["virtual_pipeline_model_parallel_size"] = has_chunks ? Json(pipeline_.chunks()) : Json(nullptr);
        args["num_layers_per_virtual_pipeline_stage"] = has_chunks ? Json(pipeline_.layers_per_chunk()) : Json(nullptr);
        args["decoder_first_pipeline_num_layers"] = detail::or_null(asked_.layers_in_first_stage);
        args["decoder_last_pipeline_num_layers"] = detail::or_null(asked_.layers_in_last_stage);
        args["iteration"] = iteration_value();
        return args;
    }

    std::unique_ptr<torch::Writer> open_rank(const std::filesystem::path& directory, std::uint64_t rank,
                                             std::uint64_t stage, const pickle::Value& args) const {
        const auto folder = directory / iteration_.directory() / rank_folder(rank, stage, pipeline_.stages());
        std::filesystem::create_directories(folder);
        auto writer = std::make_unique<torch::Writer>(folder / "model_optim_rng.pt");
        writer->put("args", args);
        writer->put("checkpoint_version", 3.0);
        writer->put("iteration", detail::plain_of_json(iteration_value()));
        return writer;
    }

    detail::MegatronTarget asked_;
    const MegatronDialect* dialect_ = nullptr;
    std::uint64_t ranks_ = 1;
    detail::Pipeline pipeline_;
    std::vector<std::vector<torch::Writer*>> writers_;  ///< of each stage; the target owns them
    Iteration iteration_;
    std::vector<std::string> flags_;
};

namespace detail {

/// Megatron-LLM and Megatron-LM.
class OlderTableSaver final : public MegatronSaverBase {
public:
    explicit OlderTableSaver(const MegatronSaverOptions& options)
        : MegatronSaverBase(options),
          asked_(options.dialect) {
        if (!asked_.empty() && asked_ != megatron_llm().name && asked_ != megatron_lm().name)
            throw UsageError(to_text("dialect is '", asked_, "', expected llm or lm"));
    }

private:
    const MegatronDialect& choose_dialect(const ModelHeader& header) const override {
        const bool is_lm = asked_.empty() ? header.origin.megatron == MegatronCode::lm : asked_ == megatron_lm().name;
        return is_lm ? megatron_lm() : megatron_llm();
    }

    std::string asked_;  ///< empty: the source's
};

/// Megatron-Core in torch format.
class CoreTableSaver final : public MegatronSaverBase {
public:
    explicit CoreTableSaver(const MegatronCoreSaverOptions& options)
        : MegatronSaverBase(options),
          is_local_(options.transformer_impl == "local") {
        if (!is_local_ && options.transformer_impl != "transformer_engine")
            throw UsageError(
                to_text("transformer_impl is '", options.transformer_impl, "', expected transformer_engine or local"));
    }

private:
    const MegatronDialect& choose_dialect(const ModelHeader& header) const override {
        const bool bert = is_bert(header);
        return is_local_ ? megatron_core_local(bert) : megatron_core_te(bert);
    }

    bool is_local_;
};

CROSSDOCK_ENTRY_POINT std::unique_ptr<AnySaver> older_megatron_saver(const MegatronSaverOptions& options) {
    return make_any_saver<OlderTableSaver>(options);
}

CROSSDOCK_ENTRY_POINT std::unique_ptr<AnySaver> megatron_core_saver(const MegatronCoreSaverOptions& options) {
    return make_any_saver<CoreTableSaver>(options);
}

CROSSDOCK_ENTRY_POINT std::vector<OptionSpec<MegatronSaverOptions>> older_megatron_saver_options() {
    using Options = MegatronSaverOptions;
    auto specs = detail::megatron_saver_options<Options>();
    specs.push_back(
        option<Options>("dialect", "llm|lm", "the source's if it is one of these, else llm", &Options::dialect));
    return specs;
}

CROSSDOCK_ENTRY_POINT std::vector<OptionSpec<MegatronCoreSaverOptions>> megatron_core_saver_options() {
    using Options = MegatronCoreSaverOptions;
    auto specs = detail::megatron_saver_options<Options>();
    specs.push_back(option<Options>("transformer_impl", "transformer_engine|local",
                                    "whose names; transformer_engine unless given", &Options::transformer_impl));
    specs.push_back(option<Options>("num_layers_in_first_pipeline_stage", "N", "the others share the rest evenly",
                                    &Options::num_layers_in_first_pipeline_stage));
    specs.push_back(option<Options>("num_layers_in_last_pipeline_stage", "N", "the others share the rest evenly",
                                    &Options::num_layers_in_last_pipeline_stage));
    return specs;
}

}  // namespace detail

}  // namespace crossdock
