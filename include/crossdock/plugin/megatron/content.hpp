// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/container/torch/reader.hpp"
#include "crossdock/family/megatron/dialect.hpp"
#include "crossdock/plugin/megatron/args_in_pickle.hpp"
#include "crossdock/plugin/megatron/files.hpp"
#include "crossdock/plugin/megatron/wrappers.hpp"

namespace crossdock::detail {

/// What the file of one rank states beside its tensors.
struct MegatronStatement {
    std::string file;
    MegatronArgs args{};
    std::optional<double> checkpoint_version{};
    std::optional<Iteration> iteration{};
};

/// What the pickles of a Megatron checkpoint hold beside the optimizer.
struct MegatronContent {
    std::vector<std::vector<TensorDict>> stages{};             ///< [stage][rank], names as "model.language_model.…"
    std::vector<std::vector<MegatronStatement>> statements{};  ///< [stage][rank]
    std::vector<std::string> chunks{};     ///< "model", or "model0", "model1" … with a virtual pipeline
    Json args = Json::object();            ///< of the first rank that has any
    Json kept_args = Json::object();       ///< the same with Python's types, for a reshard
    std::vector<std::string> left_args{};  ///< names of arguments that no reshard keeps
    bool has_args = false;
    std::map<std::string, std::string> not_understood{};  ///< of these args
    std::optional<double> checkpoint_version{};
    std::optional<Iteration> iteration{};
    std::vector<std::string> notices{};
};

/// A number or a text that stands beside the model; nothing where it is missing or None. Throws Error where it is
/// something else.
inline std::optional<Json> plain_entry(const pickle::Value& root, std::string_view key) {
    const pickle::Value* value = root.find(key);
    if (!value || value->is_none()) return std::nullopt;
    auto plain = PlainValues().read(*value);
    if (!plain) throw Error(to_text("'", key, "' is ", describe_value(*value), ", which is not understood"));
    return plain;
}

inline std::optional<Iteration> stored_iteration(const pickle::Value& root) {
    for (const char* key : {"iteration", "total_iters"}) {
        const auto value = plain_entry(root, key);
        if (!value) continue;
        if (!value->is_string())
            return in_context(to_text("'", key, "'"), [&] { return Iteration{json_as<std::uint64_t>(*value), false}; });
        const auto iteration = parse_iteration(value->get_ref<const std::string&>());
        if (!iteration) throw Error(to_text("'", key, "' is ", json_shown(*value), ", expected a number or release"));
        return iteration;
    }
    return std::nullopt;
}

/// The arguments under the name that Megatron gives them, or under one that scripts give them.
inline MegatronArgs stored_args(const pickle::Value& root, std::vector<std::string>& notices) {
    const auto read = [&](const char* key) {
        return in_context(to_text("'", key, "'"), [&] { return read_args(root.find(key)); });
    };
    if (MegatronArgs args = read("args"); args.stated) return args;
    for (const char* key : {"megatron_args", "model_args", "train_args", "training_args", "hparams", "config"}) {
        const pickle::Value* value = root.find(key);
        const auto fields = value ? named_values(*value) : std::nullopt;
        if (!fields) continue;
        const auto has = [&](std::string_view name) {
            return std::any_of(fields->begin(), fields->end(), [&](const auto& field) { return field.first == name; });
        };
        // What other programs call a configuration has some of the names, and other meanings.
        if (!has("hidden_size") || !has("padded_vocab_size") || !has("position_embedding_type")) continue;
        notices.push_back(to_text("the arguments are those under '", key, "': there are no 'args'"));
        return plain_args(*fields);
    }
    return {};
}

inline MegatronStatement statement_of(const pickle::Value& root, const std::string& file,
                                      std::vector<std::string>& notices) {
    return in_context(file, [&] {
        MegatronStatement statement{
            .file = file, .args = stored_args(root, notices), .iteration = stored_iteration(root)};
        if (const auto version = plain_entry(root, "checkpoint_version"))
            statement.checkpoint_version =
                in_context("'checkpoint_version'", [&] { return json_as<double>(*version); });
        return statement;
    });
}

inline MegatronContent read_megatron_files(const MegatronFiles& files) {
    MegatronContent content;
    for (const auto& stage : files.stages) {
        content.stages.emplace_back();
        content.statements.emplace_back();
        for (const auto& file : stage) {
            const pickle::Value root = torch::read(file);
            if (content.chunks.empty()) content.chunks = chunk_keys(root, file.string());
            std::vector<std::string> notices;
            MegatronStatement statement = statement_of(root, file.string(), notices);
            if (!content.has_args && statement.args.stated) {
                content.has_args = true;
                content.args = statement.args.values;
                content.kept_args = statement.args.kept;
                content.left_args = statement.args.left_out;
                content.not_understood = statement.args.not_understood;
                content.notices = std::move(notices);
            }
            if (!content.checkpoint_version) content.checkpoint_version = statement.checkpoint_version;
            if (!content.iteration) content.iteration = statement.iteration;
            statement.args.kept = nullptr;  // that of one rank is enough
            content.statements.back().push_back(std::move(statement));
            content.stages.back().push_back(model_tensors(root, content.chunks, file.string()));
        }
    }
    return content;
}

/// The same tensors under the names that the dialect's table has.
inline TensorDict in_latest_spelling(const TensorDict& from, const MegatronDialect& dialect) {
    TensorDict dict;
    for (NamedTensor entry : from.entries()) {
        for (const auto& [older, latest] : dialect.older_spellings)
            entry.name = replaced(std::move(entry.name), older, latest);
        dict.add(std::move(entry));
    }
    return dict;
}

}  // namespace crossdock::detail
