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
#include "crossdock/core/compiled.hpp"
#include "crossdock/family/megatron/dialects.hpp"
#include "crossdock/plugin/megatron/args_in_pickle.hpp"
#include "crossdock/plugin/megatron/bridge.hpp"
#include "crossdock/plugin/megatron/dist_target.hpp"
#include "crossdock/plugin/megatron/entry_points.hpp"
#include "crossdock/plugin/megatron/flags.hpp"
#include "crossdock/plugin/megatron/iteration.hpp"
#include "crossdock/plugin/megatron/kept_args.hpp"
#include "crossdock/plugin/megatron/pipeline.hpp"
#include "crossdock/plugin/megatron/rank_grid.hpp"
#include "crossdock/plugin/megatron/rank_target.hpp"
#include "crossdock/plugin/megatron/saver_options.hpp"
#include "crossdock/plugin/megatron/target.hpp"
#include "crossdock/plugin/megatron/target_grid.hpp"
#include "crossdock/plugin/sidecar.hpp"
#include "crossdock/plugin/table_saver.hpp"

namespace crossdock {

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
        torch_dist_ = detail::is_torch_dist(asked_, header);
        if (!torch_dist_ && (asked_.num_files || asked_.bridge))
            throw UsageError(
                to_text("num_files and bridge are for torch_dist, and the target is in torch format; give "
                        "the option ckpt_format torch_dist"));
        grid_ = detail::target_grid(asked_, header, torch_dist_);
        const std::string format = to_text("a Megatron (", dialect_->name, ") checkpoint");
        require_mtp_places(table_, header, format);
        require_expressible(dialect_->requirements, header, format);
        require_rows(table_, header, format);
        if (dialect_->code == MegatronCode::core) even_out_pipeline();
        pipeline_ = detail::Pipeline(header.num_layers, {.stages = grid_.pipeline,
                                                         .chunks = asked_.virtual_pipeline_parallel_size.value_or(1),
                                                         .layers_in_first = asked_.layers_in_first_stage,
                                                         .layers_in_last = asked_.layers_in_last_stage});
        pad_vocabulary();
        detail::require_shareable(*dialect_, header_, grid_);
        if (grid_.tensor > header.attention.num_query_groups)
            notice(to_text("several of the ", grid_.tensor, " tensor-parallel ranks share a key/value head of ",
                           header.attention.num_query_groups, ", which older releases of Megatron-Core do not take"));
        choose_iteration();
        if (asked_.bridge) detail::require_bridge(header_, iteration_);
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

    TargetCheckpoint open(const OutputPath& directory) override {
        detail::SavedState common{detail::namespace_of_kept(target_args()), detail::plain_of_json(iteration_value())};
        if (torch_dist_)
            files_ = std::make_unique<detail::DistTarget>(*dialect_, header_, grid_.tensor, file_count(), keeps_norms(),
                                                          std::move(common));
        else
            files_ = std::make_unique<detail::RankTarget>(*dialect_, header_, grid_, pipeline_, std::move(common));
        const OutputPath folder = directory / iteration_.directory();
        make_folders(folder);
        return files_->open(folder);
    }

    void add_rest() override { files_->add_rest(); }

    void close(TargetCheckpoint&, const OutputPath& directory) override {
        files_->close();
        if (asked_.bridge) detail::write_bridge_files(directory, iteration_, header_, grid_.tensor, pipeline_.stages());
        write_text(directory / detail::tracker_name, iteration_.text());
        write_sidecar(directory, header_, flags_);
        if (torch_dist_ && has_experts(header_.mlp) && !asked_.keeps_norms && !keeps_norms())
            notice(
                "the norms in front of experts are named as Megatron-Core's own layers name them; for Transformer "
                "Engine's give the option transformer_impl transformer_engine");
        if (!torch_dist_ && header_.mtp_num_layers > 0 && !header_.origin.mtp_layer_name)
            notice(
                "the layers inside those that predict further tokens are called transformer_layer, as Megatron-Core "
                "has it up to 0.16; later ones call them mtp_model_layer, and read ckpt_format torch_dist of either");
        if (torch_dist_)
            notice(
                "there is neither optimizer nor random state: give Megatron --no-load-optim --no-load-rng, or "
                "--finetune");
        if (!flags_.empty())
            notice(to_text("give Megatron these options, which it does not read from the checkpoint: ",
                           joined_list(flags_, " ")));
    }

    bool writes_torch_dist(const ModelHeader& header) const { return detail::is_torch_dist(asked_, header); }

private:
    /// Megatron-Core's first stage may have a number of layers of its own.
    void even_out_pipeline() {
        const bool is_told = asked_.layers_in_first_stage || asked_.layers_in_last_stage;
        if (is_told || asked_.virtual_pipeline_parallel_size.value_or(1) != 1) return;
        asked_.layers_in_first_stage = detail::uneven_first_stage(header_.num_layers, grid_.pipeline);
        if (!asked_.layers_in_first_stage) return;
        notice(to_text("the model's ", header_.num_layers, " layers do not divide into ", grid_.pipeline,
                       " pipeline stages; the first has ", *asked_.layers_in_first_stage,
                       ", the others share the rest evenly: give Megatron --decoder-first-pipeline-num-layers ",
                       *asked_.layers_in_first_stage));
    }

    /// With latent attention the two kinds of layers have names of their own for norms.
    bool keeps_norms() const { return is_latent(header_.attention) || asked_.keeps_norms.value_or(false); }

    /// At least as many files as Megatron has writers a rank: a file is written by one thread at a time. One for each
    /// rank that is asked for, as Megatron has it, and none beyond a size that is pleasant to copy.
    std::uint64_t file_count() const {
        constexpr std::uint64_t writers = 2, file_bytes = 4'000'000'000;
        const std::uint64_t bytes = detail::weight_bytes(table_, header_);
        return asked_.num_files.value_or(
            std::max({writers, grid_.tensor * grid_.pipeline, bytes / file_bytes + (bytes % file_bytes != 0)}));
    }

    void pad_vocabulary() {
        if (asked_.make_vocab_size_divisible_by)
            header_.training.make_vocab_size_divisible_by = asked_.make_vocab_size_divisible_by;
        const std::uint64_t divisor = header_.training.make_vocab_size_divisible_by.value_or(128);
        if (divisor == 0) throw UsageError("make_vocab_size_divisible_by is 0, expected at least 1");
        header_.training.make_vocab_size_divisible_by = divisor;
        if (header_.true_vocab_size)
            header_.vocab_rows = padded_vocab_rows(*header_.true_vocab_size, divisor, grid_.tensor);
        else if (header_.vocab_rows % grid_.tensor != 0)
            throw Error(
                to_text("the ", header_.vocab_rows, " vocabulary rows do not divide into ", grid_.tensor,
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
        Json args = detail::combined_args(*dialect_, header_, grid_.tensor, stages);
        args["tensor_model_parallel_size"] = grid_.tensor;
        args["pipeline_model_parallel_size"] = stages;
        args["virtual_pipeline_model_parallel_size"] = has_chunks ? Json(pipeline_.chunks()) : Json(nullptr);
        args["num_layers_per_virtual_pipeline_stage"] = has_chunks ? Json(pipeline_.layers_per_chunk()) : Json(nullptr);
        args["decoder_first_pipeline_num_layers"] = detail::or_null(asked_.layers_in_first_stage);
        args["decoder_last_pipeline_num_layers"] = detail::or_null(asked_.layers_in_last_stage);
        if (dialect_->code == MegatronCode::core) {
            add_expert_args(args);
            for (const char* name : {"moe_layer_freq", "window_attn_skip_freq"}) make_list(args[name]);
        }
        args["iteration"] = iteration_value();
        if (torch_dist_) args["ckpt_format"] = "torch_dist";
        return args;
    }

    /// What Megatron takes a list for, and no tuple.
    static void make_list(Json& value) {
        if (value.is_object() && value.contains("tuple")) value = Json(value.at("tuple"));
    }

    void add_expert_args(Json& args) const {
        const bool with_experts = has_experts(header_.mlp);
        args["expert_model_parallel_size"] = grid_.expert;
        args["expert_tensor_parallel_size"] = grid_.expert_tensor;
        args["moe_grouped_gemm"] = with_experts && dialect_->expert_layout != ExpertLayout::sequential;
        args["moe_use_legacy_grouped_gemm"] = with_experts && dialect_->expert_layout == ExpertLayout::grouped;
        if (with_experts) args["sequence_parallel"] = grid_.tensor > 1;  // Megatron insists
    }

    detail::MegatronTarget asked_;
    const MegatronDialect* dialect_ = nullptr;
    RankGrid grid_;
    bool torch_dist_ = false;
    detail::Pipeline pipeline_;
    Iteration iteration_;
    std::unique_ptr<detail::IterationFiles> files_;
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

/// Nothing for an empty name. Throws UsageError for one that is not known.
inline std::optional<ExpertLayout> expert_layout_called(const std::string& name) {
    const auto& names = enum_names<ExpertLayout>;
    if (name.empty()) return std::nullopt;
    const auto found = std::find(names.begin(), names.end(), name);
    if (found == names.end()) throw UsageError(to_text("expert_layout is '", name, "', expected ", joined_list(names)));
    return static_cast<ExpertLayout>(found - names.begin());
}

/// Megatron-Core, distributed (torch_dist) or in rank files (torch).
class CoreTableSaver final : public MegatronSaverBase {
public:
    explicit CoreTableSaver(const MegatronCoreSaverOptions& options)
        : MegatronSaverBase(options),
          is_local_(options.transformer_impl == "local"),
          asked_layout_(expert_layout_called(options.expert_layout)) {
        if (!is_local_ && !options.transformer_impl.empty() && options.transformer_impl != "transformer_engine")
            throw UsageError(
                to_text("transformer_impl is '", options.transformer_impl, "', expected transformer_engine or local"));
        if (options.num_files == 0U) throw UsageError("num_files is 0, expected at least 1");
    }

private:
    const MegatronDialect& choose_dialect(const ModelHeader& header) const override {
        const bool bert = is_bert(header);
        return is_local_ ? megatron_core_local(bert, layout(header)) : megatron_core_te(bert, layout(header));
    }

    /// A distributed checkpoint has one layout.
    ExpertLayout layout(const ModelHeader& header) const {
        if (writes_torch_dist(header)) return ExpertLayout::sequential;
        if (asked_layout_) return *asked_layout_;
        return header.origin.expert_layout.value_or(is_local_ ? ExpertLayout::sequential : ExpertLayout::te_grouped);
    }

    bool is_local_;
    std::optional<ExpertLayout> asked_layout_;
};

CROSSDOCK_ENTRY_POINT std::unique_ptr<AnySaver> older_megatron_saver(const MegatronSaverOptions& options) {
    return make_any_saver<OlderTableSaver>(options);
}

CROSSDOCK_ENTRY_POINT std::unique_ptr<AnySaver> megatron_core_saver(const MegatronCoreSaverOptions& options) {
    return make_any_saver<CoreTableSaver>(options);
}

CROSSDOCK_ENTRY_POINT std::vector<OptionSpec<MegatronSaverOptions>> older_megatron_saver_options() {
    using Options = MegatronSaverOptions;
    auto specs = megatron_saver_options<Options>();
    specs.push_back(
        option<Options>("dialect", "llm|lm", "the source's if it is one of these, else llm", &Options::dialect));
    return specs;
}

CROSSDOCK_ENTRY_POINT std::vector<OptionSpec<MegatronCoreSaverOptions>> megatron_core_saver_options() {
    using Options = MegatronCoreSaverOptions;
    auto specs = megatron_saver_options<Options>();
    specs.push_back(option<Options>("transformer_impl", "transformer_engine|local",
                                    "whose names; transformer_engine unless given", &Options::transformer_impl));
    specs.push_back(option<Options>("target_expert_parallel_size", "N", "the source's unless given, else 1",
                                    &Options::target_expert_parallel_size));
    specs.push_back(option<Options>("target_expert_tensor_parallel_size", "N",
                                    "ranks that share an expert, the tensor-parallel size unless given",
                                    &Options::target_expert_tensor_parallel_size));
    specs.push_back(option<Options>("expert_layout", "sequential|grouped|te_grouped",
                                    "how experts are stored; te_grouped with Transformer Engine's names unless given",
                                    &Options::expert_layout));
    specs.push_back(option<Options>("ckpt_format", "torch_dist|torch",
                                    "the source's if it is Megatron-Core's; else torch if a target size is given, "
                                    "torch_dist if none is",
                                    &Options::ckpt_format));
    specs.push_back(option<Options>("num_files", "N",
                                    "of a torch_dist checkpoint; unless given, the largest of 2, TP x PP, and one "
                                    "per 4 GB",
                                    &Options::num_files));
    specs.push_back(
        option<Options>("bridge", "", "add the files that Megatron-Bridge reads beside torch_dist", &Options::bridge));
    specs.push_back(option<Options>("num_layers_in_first_pipeline_stage", "N", "the others share the rest evenly",
                                    &Options::num_layers_in_first_pipeline_stage));
    specs.push_back(option<Options>("num_layers_in_last_pipeline_stage", "N", "the others share the rest evenly",
                                    &Options::num_layers_in_last_pipeline_stage));
    return specs;
}

}  // namespace detail

}  // namespace crossdock
