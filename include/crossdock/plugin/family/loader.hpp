// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "crossdock/plugin/any_loader.hpp"
#include "crossdock/plugin/family/entry_points.hpp"
#include "crossdock/plugin/options.hpp"

namespace crossdock {

/// The loader of one family; `family` is llama_family and its like.
template <const Family& (*family)()>
class FamilyLoader final : public HeldLoader {
public:
    using Options = FamilyLoaderOptions;

    /// Opens a directory in whichever of the family's published layouts it is. Throws Error, or UsageError for an
    /// option that does not fit.
    explicit FamilyLoader(const Options& options) : HeldLoader(detail::family_loader(family(), options)) {}

    static std::string name() { return detail::family_name(family()); }
    static std::string summary() { return detail::family_loader_summary(family()); }
    /// The values of the option model_type that are this family's.
    static std::vector<std::string> model_types() { return detail::family_model_types(family()); }
    /// The model types of config.json that it reads.
    static std::vector<std::string> hub_types() { return detail::family_hub_types(family()); }
    /// Whether the directory's description is of this family.
    static bool recognises(const std::filesystem::path& directory) {
        return detail::recognises_family(family(), directory);
    }
    static std::vector<OptionSpec<Options>> options() { return detail::family_loader_options(family()); }
};

}  // namespace crossdock

#ifndef CROSSDOCK_COMPILED
#include "crossdock/plugin/family/open_family.hpp"
#endif
