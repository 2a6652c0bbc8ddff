// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/container/tensor_dict.hpp"
#include "crossdock/family/layout.hpp"

namespace crossdock {

// Hugging Face files spell one tensor in many ways: with or without the base's name, as older releases did, or below a
// wrapper of the training that saved them.

namespace detail {

/// What training wraps around a model or one of its modules: DDP and DeepSpeed, torch.compile, FSDP, adapters.
struct NameWrappers {
    static constexpr std::array<std::string_view, 3> everywhere{"_orig_mod.", "_fsdp_wrapped_module.",
                                                                "_checkpoint_wrapped_module."};
    static constexpr std::array<std::string_view, 4> in_front{"module.", "base_model.model.", "base_model.",
                                                              "_forward_module."};
};

/// The beginning that every name has, from `beginnings`; empty where there is none.
inline std::string_view common_wrapper(const std::vector<NamedTensor>& entries) {
    for (const std::string_view wrapper : NameWrappers::in_front)
        if (!entries.empty() && std::all_of(entries.begin(), entries.end(), [wrapper](const NamedTensor& entry) {
                return entry.name.starts_with(wrapper);
            }))
            return wrapper;
    return {};
}

/// Whether names speak of a wrapper.
inline bool is_wrapped(const std::vector<NamedTensor>& entries) {
    return !common_wrapper(entries).empty() ||
           std::any_of(entries.begin(), entries.end(), [](const NamedTensor& entry) {
               return std::any_of(
                   NameWrappers::everywhere.begin(), NameWrappers::everywhere.end(),
                   [&](std::string_view wrapper) { return entry.name.find(wrapper) != std::string::npos; });
           });
}

/// The tensors without the names of wrappers. Adds to `notices` what was taken off.
inline TensorDict unwrapped(TensorDict from, std::vector<std::string>& notices) {
    if (!is_wrapped(from.entries())) return from;
    std::vector<NamedTensor> entries = std::move(from).entries();
    std::vector<std::string_view> taken;
    for (const std::string_view wrapper : NameWrappers::everywhere) {
        bool is_there = false;
        for (NamedTensor& entry : entries)
            for (std::size_t at = entry.name.find(wrapper); at != std::string::npos; at = entry.name.find(wrapper)) {
                entry.name.erase(at, wrapper.size());
                is_there = true;
            }
        if (is_there) taken.push_back(wrapper);
    }
    for (std::string_view wrapper = common_wrapper(entries); !wrapper.empty(); wrapper = common_wrapper(entries)) {
        for (NamedTensor& entry : entries) entry.name.erase(0, wrapper.size());
        taken.push_back(wrapper);
    }
    notices.push_back(to_text("tensors are read without the wrappers that stand in their names: ", joined_list(taken)));
    return TensorDict(std::move(entries));
}

/// Whether names begin with the base's.
inline bool names_base(const TensorDict& tensors, const OtherSpellings& spellings) {
    const auto& entries = tensors.entries();
    return std::any_of(entries.begin(), entries.end(),
                       [&](const NamedTensor& entry) { return entry.name.starts_with(spellings.base); });
}

inline bool same_content(const NamedTensor& a, const NamedTensor& b) {
    return a.tensor.shape() == b.tensor.shape() && a.tensor.dtype() == b.tensor.dtype() &&
           a.tensor.bytes() == b.tensor.bytes();
}

/// The tensors under the names that the family's table has. A second name counts where both are there and differ, as in
/// transformers since release 5.
inline TensorDict in_table_spelling(TensorDict from, const OtherSpellings& spellings,
                                    std::vector<std::string>& notices) {
    const bool has_base = names_base(from, spellings);
    const auto spelled = [&](std::string name) {
        for (const auto& [older, latest] : spellings.older) name = replaced(std::move(name), older, latest);
        const bool is_head = std::any_of(spellings.heads.begin(), spellings.heads.end(),
                                         [&](std::string_view head) { return name.starts_with(head); });
        if (!has_base && !is_head) name.insert(0, spellings.base);
        return name;
    };
    if (spellings.aliases.empty() &&
        std::all_of(from.entries().begin(), from.entries().end(),
                    [&](const NamedTensor& entry) { return spelled(entry.name) == entry.name; }))
        return from;
    const auto alias_of = [&](std::string_view name) {
        for (const auto& [second, first] : spellings.aliases)
            if (second == name) return first;
        return std::string_view();
    };
    const auto has_alias = [&](std::string_view name) {
        for (const auto& [second, first] : spellings.aliases)
            if (first == name && from.find(second)) return true;
        return false;
    };
    TensorDict dict;
    for (NamedTensor entry : from.entries()) {
        entry.name = spelled(std::move(entry.name));
        if (has_alias(entry.name)) continue;
        if (const std::string_view first = alias_of(entry.name); !first.empty()) {
            const NamedTensor* twin = from.find(first);
            if (twin && !same_content(*twin, entry))
                notices.push_back(to_text("'", entry.name, "' differs from '", first,
                                          "', which it should repeat; the former is used, as transformers does since "
                                          "release 5"));
            entry.name = first;
        }
        dict.add(std::move(entry));
    }
    return dict;
}

}  // namespace detail

}  // namespace crossdock
