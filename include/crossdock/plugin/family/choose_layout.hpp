// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crossdock/container/foreign_directory.hpp"
#include "crossdock/container/path_kind.hpp"
#include "crossdock/family/description.hpp"
#include "crossdock/family/family.hpp"

namespace crossdock {

/// The layout that a directory is to be read in, and what to say of the choice.
struct LayoutChoice {
    const Layout* layout;
    Notices notices{};
};

namespace detail {

inline bool is_described(const Layout& layout, const std::filesystem::path& directory) {
    return is_anything_at(directory / layout.kind->description);
}

/// Whether the directory's description is of the family; nothing where it does not say.
inline std::optional<bool> is_of_family(const Layout& layout, const std::filesystem::path& directory) {
    const CarriedText description = layout.kind->open_description(directory / layout.kind->description);
    return layout.kind->is_of(layout, json_of_text(description));
}

/// Throws Error where the directory has no description of any of the family's layouts.
[[noreturn]] inline void refuse_undescribed(const Family& family, const std::filesystem::path& directory) {
    if (const std::string what = foreign_directory(directory); !what.empty())
        throw Error(to_text(directory.string(), ": ", what));
    std::vector<std::string> missing;
    for (const Layout& layout : family.layouts) missing.push_back(to_text("no ", layout.kind->description));
    throw Error(to_text(directory.string(), ": holds ", joined_list(missing, " and "), ", expected a ", family.name,
                        " checkpoint"));
}

/// The layout that the user asks for. Throws Error where the directory has no description of it.
inline const Layout& asked_layout(const Family& family, const std::filesystem::path& directory,
                                  std::string_view checkpoint_type) {
    const Layout& layout = layout_called(family, checkpoint_type, "checkpoint_type", &LayoutKind::checkpoint_type);
    if (!is_described(layout, directory))
        throw Error(to_text(directory.string(), ": checkpoint_type ", checkpoint_type, " asks for a ",
                            layout.kind->description, ", which is not there"));
    return layout;
}

/// Of several layouts that are described: the first whose weights are there.
inline LayoutChoice choose_by_weights(const std::vector<const Layout*>& described,
                                      const std::filesystem::path& directory) {
    const auto has_weights = [&](const Layout* layout) { return layout->kind->holds_weights(directory); };
    const auto found = std::find_if(described.begin(), described.end(), has_weights);
    LayoutChoice choice{.layout = found == described.end() ? described.front() : *found};
    const LayoutKind& chosen = *choice.layout->kind;
    for (const Layout* other : described) {
        const LayoutKind& kind = *other->kind;
        if (&kind == &chosen || found == described.end()) continue;
        if (other == described.front())
            choice.notices.push_back(to_text(directory.string(), ": has none of the weights that belong to ",
                                             kind.description, "; ", chosen.description, " and ", chosen.weights,
                                             " are read"));
        else if (has_weights(other))
            choice.notices.push_back(to_text(directory.string(), ": also holds ", kind.description, " and ",
                                             kind.weights, ", not read; ", chosen.description, " and ", chosen.weights,
                                             " come first"));
    }
    return choice;
}

}  // namespace detail

/// The first of the family's layouts whose description is there and says what it describes, and whose weights are
/// there; `checkpoint_type` decides where it is given. Throws Error where there is none.
inline LayoutChoice choose_layout(const Family& family, const std::filesystem::path& directory,
                                  std::string_view checkpoint_type) {
    if (!checkpoint_type.empty()) return {.layout = &detail::asked_layout(family, directory, checkpoint_type)};
    std::vector<const Layout*> described;
    for (const Layout& layout : family.layouts)
        if (detail::is_described(layout, directory)) described.push_back(&layout);
    if (described.empty()) detail::refuse_undescribed(family, directory);
    if (described.size() == 1) return {.layout = described.front()};
    std::vector<const Layout*> telling = described;
    std::erase_if(telling, [&](const Layout* layout) { return !detail::is_of_family(*layout, directory); });
    return detail::choose_by_weights(telling.empty() ? described : telling, directory);
}

/// Whether the directory holds a model of the family: the first of its descriptions that says what it is decides.
inline bool is_of_family(const Family& family, const std::filesystem::path& directory) {
    for (const Layout& layout : family.layouts) {
        if (!detail::is_described(layout, directory)) continue;
        if (const auto verdict = detail::is_of_family(layout, directory)) return *verdict;
    }
    return false;
}

}  // namespace crossdock
