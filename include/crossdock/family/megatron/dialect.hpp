// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/family/config_table.hpp"
#include "crossdock/family/megatron/claims.hpp"
#include "crossdock/family/megatron/flags.hpp"
#include "crossdock/family/megatron/other_args.hpp"
#include "crossdock/family/requirements.hpp"
#include "crossdock/family/stacked_names.hpp"
#include "crossdock/family/tensor_table.hpp"
#include "crossdock/protocol/model_header.hpp"

namespace crossdock {

/// Whose arguments and names of tokenizers a Megatron knows: codes of one line read each other's.
enum class MegatronLine : std::uint8_t { epfl, nvidia };

/// The table of files whose checkpoint_version is below `before`: they have the rows of q, k and v in another order.
struct OlderTable {
    double before;
    TensorTable table;
};

/// By what files are told from those of the dialect's relatives: what only it has.
struct MegatronMarks {
    std::vector<std::string_view> name_parts{};    ///< in names of tensors
    std::vector<std::string_view> name_endings{};  ///< at their end
    std::vector<std::string_view> arguments{};
};

/// A key that holds None, in every layer or in some; "{e}" in it stands for each expert of the rank.
struct LayerPlaceholder {
    std::string pattern;
    bool (*in_layer)(const ModelHeader&, std::uint64_t layer) = nullptr;  ///< null: in all
};

/// One way in which Megatron code stores a model in rank files, and what that code knows of models. All that dialects
/// differ in is said here; the rest of the program asks for these fields and for no dialect by its name.
struct MegatronDialect {
    std::string_view name;  ///< for reports and the options "dialect" and "source_dialect"
    MegatronCode code;
    MegatronLine line;
    /// It cuts the rows of q, k and v into equal parts where there are several ranks for a key/value head, too.
    bool shares_query_groups = false;
    ExpertLayout expert_layout = ExpertLayout::sequential;

    // What the files hold. Names stand below `model` (or `model0`, `model1` … with a virtual pipeline); layers are
    // counted from 0 on every stage.
    TensorTable table;                       ///< of checkpoint_version 2.0 and later, which is written
    std::vector<OlderTable> older_tables{};  ///< the oldest first
    /// `table` for files whose ranks share the down projections of latent attention otherwise.
    std::optional<TensorTable> other_down_cut{};
    /// Older spellings of parts of names → the spelling in the tables.
    std::vector<std::pair<std::string_view, std::string_view>> older_spellings{};
    std::vector<StackedNames>
        stacked{};  ///< what is read in one tensor, too, and has one for each element in the tables
    /// Transformer Engine's modules load strictly and add these only themselves.
    std::vector<LayerPlaceholder> layer_placeholders{};
    std::string_view root{};  ///< a part of the names of all layers
    MegatronMarks marks{};
    bool writes_release = false;  ///< an unstated iteration is "release", otherwise 1

    // What the args state.
    ConfigTable args;
    std::vector<OtherArgument> other_args{};
    std::vector<Claim> claims{};
    /// Switches that name a gated MLP's activation, one each, where the args have no name for the others.
    std::vector<std::string_view> gate_switches{};
    bool legacy_models = false;  ///< what use_legacy_models says where args state it
    /// tokenizer_type for a model_type or a family, where the source names none of this line's own.
    std::vector<std::pair<std::string_view, std::string_view>> tokenizers{};
    void (*constants)(ModelHeader&) = [](ModelHeader&) {};  ///< what is true of every model of this dialect
    /// What args say of a model whose number of layers and norms the tensors have told. `known` is what is stated of
    /// it beside them.
    void (*read_of_layers)(const Json& args, const ModelHeader& known,
                           ModelHeader&) = [](const Json&, const ModelHeader&, ModelHeader&) {};

    // What the code can do with a model.
    std::vector<Requirement> requirements{};  ///< without which the files cannot hold it
    std::vector<MegatronFlag> flags{};
    std::vector<Unsaid> unsaid{};
    /// Without which the files hold it and the code has to be changed to run it; `otherwise` is a sentence.
    std::vector<Requirement> limits{};
};

/// The keys of a layer's placeholders, "{}" still in them, on a rank that has so many experts.
inline std::vector<std::string> placeholders_of(const std::vector<LayerPlaceholder>& placeholders,
                                                const ModelHeader& header, std::uint64_t layer, std::uint64_t experts) {
    std::vector<std::string> keys;
    for (const LayerPlaceholder& line : placeholders) {
        if (line.in_layer && !line.in_layer(header, layer)) continue;
        if (!numbers_elements(line.pattern)) keys.push_back(line.pattern);
        for (std::uint64_t e = 0; numbers_elements(line.pattern) && e < experts; ++e)
            keys.push_back(replaced(line.pattern, "{e}", to_text(e)));
    }
    return keys;
}

/// The table of files with this checkpoint_version.
inline const TensorTable& table_of_version(const MegatronDialect& dialect, double checkpoint_version) {
    for (const OlderTable& older : dialect.older_tables)
        if (checkpoint_version < older.before) return older.table;
    return dialect.table;
}

/// The tokenizer_type of a model from elsewhere; empty when nothing is known of it.
inline std::optional<std::string> default_tokenizer(const MegatronDialect& dialect, const ModelHeader& header) {
    for (const std::string& kind : {header.model_type, header.family})
        for (const auto& [known, tokenizer] : dialect.tokenizers)
            if (known == kind) return std::string(tokenizer);
    return std::nullopt;
}

}  // namespace crossdock
