// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "crossdock/core/error.hpp"
#include "crossdock/core/text.hpp"
#include "crossdock/family/layout.hpp"
#include "crossdock/family/requirements.hpp"

namespace crossdock {

/// One model line: everything that tells it from the others, as data. A new family is one more value of this type, its
/// layouts in the order of preference: the first is written unless told otherwise, and read where a directory holds
/// several. docs/adding-a-family.md shows how one is made.
struct Family {
    std::string_view name;                        ///< also the plugin's
    std::vector<std::string_view> model_types{};  ///< the option model_type; the first unless told otherwise
    bool is_decoder = true;                       ///< the option model_type may say GPT, NVIDIA's word for all decoders
    /// The constants of the family, set before any description is read; see family/defaults.hpp.
    void (*defaults)(ModelHeader&) = [](ModelHeader&) {};
    std::vector<Requirement> requirements{};  ///< what every layout asks of a model; see family/requirements.hpp
    std::vector<Layout> layouts{};
    std::string_view (*guessed_model_type)(const ModelHeader&) = nullptr;  ///< which of model_types, if not the first
};

/// The family. Throws Error naming what it lacks that nothing can stand for.
inline const Family& usable(const Family& family) {
    const auto lacks = [&](std::string_view what) {
        throw Error(to_text("the family '", family.name, "' has no ", what, "; see docs/adding-a-family.md"));
    };
    if (family.name.empty()) lacks("name");
    if (family.model_types.empty()) lacks("model_types");
    if (family.layouts.empty()) lacks("layouts");
    for (const Layout& layout : family.layouts) {
        if (!layout.kind) lacks("kind in one of its layouts");
        if (!layout.kind->read_tensors || !layout.kind->open_writers)
            lacks(to_text("read_tensors or open_writers in its layout '", layout.kind->name, "'"));
        if (layout.table.empty()) lacks(to_text("table in its layout '", layout.kind->name, "'"));
    }
    return family;
}

/// The family's layout of this kind; null where it has none.
inline const Layout* find_layout(const Family& family, const LayoutKind& kind) {
    for (const Layout& layout : family.layouts)
        if (layout.kind == &kind) return &layout;
    return nullptr;
}

/// The layout under this name, or under what `name` points to of its kind. Throws UsageError naming the option `option`
/// and what it may be.
inline const Layout& layout_called(const Family& family, std::string_view asked, std::string_view option,
                                   std::string_view LayoutKind::*name) {
    std::vector<std::string_view> names;
    for (const Layout& layout : family.layouts) {
        if (layout.kind->*name == asked) return layout;
        names.push_back(layout.kind->*name);
    }
    throw UsageError(to_text(option, " is '", asked, "', expected ", joined_list(names, " or ")));
}

}  // namespace crossdock
