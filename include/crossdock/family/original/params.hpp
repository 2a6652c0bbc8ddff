// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/core/same_bytes.hpp"
#include "crossdock/family/evidence.hpp"
#include "crossdock/family/hub/config.hpp"
#include "crossdock/family/layout.hpp"
#include "crossdock/layout/tensor_parallel.hpp"
#include "crossdock/protocol/header_fields.hpp"

namespace crossdock::detail {

// What Meta's and mistralai's params.json have in common.

/// null, false and -1 ask for nothing.
inline bool asks_for_nothing(const Json& value) {
    return value.is_null() || (value.is_boolean() && !value.get<bool>()) ||
           (value.is_number_integer() && value.get<std::int64_t>() == -1);
}

/// A key of params.json whose models are of another kind.
inline ConfigEntry refused_config(std::string_view key, std::string_view what) {
    using namespace config;
    return understood({key}, [what](const Json& value, ModelHeader&) {
        if (!asks_for_nothing(value)) throw Error(to_text("asks for ", what, ", which is not supported"));
    });
}

/// model_type, which params.json seldom has.
inline ConfigEntry original_type_config(std::initializer_list<std::string_view> known) {
    using namespace config;
    return understood({"model_type"}, [known = std::vector(known)](const Json& value, ModelHeader&) {
        const auto type = json_as<std::string>(value);
        if (std::find(known.begin(), known.end(), type) == known.end())
            throw Error(to_text("is '", type, "', a model of another kind, which is not supported"));
    });
}

/// Keeps what params.json states and no line of the layout's understands: nobody knows whether the model depends on it.
inline void note_unknown_params(const Layout& layout, const Json& params, ModelHeader& header) {
    const auto is_known = [&](std::string_view key) {
        const auto has_key = [&](const ConfigEntry& line) {
            return std::find(line.keys.begin(), line.keys.end(), key) != line.keys.end();
        };
        return std::find(layout.inert.begin(), layout.inert.end(), key) != layout.inert.end() ||
               std::any_of(layout.config.begin(), layout.config.end(), has_key);
    };
    for (const auto& [key, value] : params.items()) {
        if (!asks_for_nothing(value) && !is_known(key)) header.origin.unexpressed[key] = json_shown(value);
    }
}

/// A matrix that all parts share, as one; null where the first has none.
inline std::optional<Tensor> whole_matrix(std::span<const TensorDict> parts, const std::string& name, Cut cut) {
    std::vector<Tensor> shards;
    for (const TensorDict& part : parts) {
        const NamedTensor* entry = part.find(name);
        if (!entry) return std::nullopt;
        shards.push_back(entry->tensor);
        if (entry->tensor.shape() != shards[0].shape() || entry->tensor.dtype() != shards[0].dtype() ||
            entry->tensor.shape().rank() != 2)
            return std::nullopt;
        if (cut == Cut::none) break;
    }
    return join_shards(shards, cut == Cut::columns ? 1 : 0);
}

/// Whether the files say that the head is the embeddings: it is not there, or the same bytes. `embeddings` is how the
/// parts share these; they share the head by rows.
inline bool head_is_embeddings(const TensorTable& table, std::span<const TensorDict> parts, Cut embeddings) {
    const std::string name = stored_name(table, &OutputLayer::weight);
    if (!parts[0].find(name)) return true;
    const auto word = whole_matrix(parts, stored_name(table, &Embeddings::word), embeddings);
    const auto head = whole_matrix(parts, name, parts.size() == 1 ? Cut::none : Cut::rows);
    return word && head && same_bytes(*word, *head);
}

/// Fills a field that no file states, and says so unless the user states it.
template <class T>
void assume(ModelHeader& header, const HeaderField<std::optional<T>>& field, std::string_view name, T value,
            std::string_view taken, std::vector<std::string>& notices) {
    field(header) = value;
    header.origin.assumed.emplace(name);
    if (!header.origin.given.contains(std::string(name)))
        notices.push_back(to_text("params.json has no ", name, "; ", taken));
}

}  // namespace crossdock::detail
