// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <vector>

#include "crossdock/container/pickle/value.hpp"

// The values that a value holds: for walks through all of them.

namespace crossdock::pickle::detail {

/// The types whose values hold further values.
template <class T>
inline constexpr bool holds_values = std::same_as<T, List> || std::same_as<T, Tuple> || std::same_as<T, Dict> ||
                                     std::same_as<T, Set> || std::same_as<T, Object> || std::same_as<T, PersistentId>;

inline bool is_leaf(const Node& node) {
    return node.visit([]<class T>(const T&) { return !holds_values<T>; });
}

/// Calls visit(Value&) for each value that a node holds.
template <class Visit>
void for_each_child(Node& node, Visit&& visit) {
    const auto all = [&](std::vector<Value>& values) {
        for (Value& value : values) visit(value);
    };
    const auto all_entries = [&](std::vector<Entry>& entries) {
        for (Entry& entry : entries) visit(entry.key), visit(entry.value);
    };
    if (auto* list = node.get<List>()) return all(list->items);
    if (auto* tuple = node.get<Tuple>()) return all(tuple->items);
    if (auto* set = node.get<Set>()) return all(set->items);
    if (auto* dict = node.get<Dict>()) return all_entries(dict->entries);
    if (auto* id = node.get<PersistentId>()) return visit(id->id);
    if (auto* object = node.get<Object>()) {
        for (Value* value : {&object->args, &object->keywords, &object->state}) visit(*value);
        all(object->items);
        all_entries(object->entries);
    }
}

}  // namespace crossdock::pickle::detail
