// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "crossdock/plugin/any_loader.hpp"
#include "crossdock/plugin/any_saver.hpp"
#include "crossdock/plugin/hub/entry_points.hpp"
#include "crossdock/plugin/options.hpp"

namespace crossdock {

// The plugins "hf": Hugging Face's format of whatever family the model is of.

class HubLoader final : public HeldLoader {
public:
    using Options = FamilyLoaderOptions;

    explicit HubLoader(const Options& options) : HeldLoader(detail::hub_loader(options)) {}

    static std::string name() { return "hf"; }
    static std::string summary() { return detail::hub_loader_summary(); }
    static std::vector<OptionSpec<Options>> options() { return detail::hub_loader_options(); }
};

class HubSaver final : public HeldSaver {
public:
    using Options = HubSaverOptions;

    explicit HubSaver(const Options& options) : HeldSaver(detail::hub_saver(options)) {}

    static std::string name() { return "hf"; }
    static std::string summary() { return detail::hub_saver_summary(); }
    static std::vector<OptionSpec<Options>> options() { return detail::hub_saver_options(); }
};

}  // namespace crossdock

#ifndef CROSSDOCK_COMPILED
#include "crossdock/plugin/hub/any_family.hpp"
#endif
