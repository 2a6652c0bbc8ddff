// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "crossdock/container/json.hpp"
#include "crossdock/container/pickle/value.hpp"
#include "crossdock/core/error.hpp"
#include "crossdock/core/text.hpp"
#include "crossdock/plugin/megatron/args_in_pickle.hpp"
#include "crossdock/plugin/megatron/iteration.hpp"
#include "crossdock/plugin/megatron/plain_values.hpp"

namespace crossdock::detail {

/// What the file of one rank states beside its tensors.
struct MegatronStatement {
    std::string file;
    MegatronArgs args{};
    std::optional<double> checkpoint_version{};
    std::optional<Iteration> iteration{};
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

}  // namespace crossdock::detail
