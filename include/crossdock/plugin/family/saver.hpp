// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "crossdock/plugin/any_saver.hpp"
#include "crossdock/plugin/family/entry_points.hpp"
#include "crossdock/plugin/options.hpp"

namespace crossdock {

/// The saver of one family, in any of its published layouts; `family` is llama_family and its like.
template <const Family& (*family)()>
class FamilySaver final : public HeldSaver {
public:
    using Options = FamilySaverOptions;

    explicit FamilySaver(const Options& options) : HeldSaver(detail::family_saver(family(), options)) {}

    static std::string name() { return detail::family_name(family()); }
    static std::string summary() { return detail::family_saver_summary(family()); }
    static std::vector<OptionSpec<Options>> options() { return detail::family_saver_options(family()); }
};

}  // namespace crossdock

#ifndef CROSSDOCK_COMPILED
#include "crossdock/plugin/family/saver_base.hpp"
#endif
