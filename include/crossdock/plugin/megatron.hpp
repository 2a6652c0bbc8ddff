// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "crossdock/plugin/any_loader.hpp"
#include "crossdock/plugin/any_saver.hpp"
#include "crossdock/plugin/megatron/entry_points.hpp"
#include "crossdock/plugin/options.hpp"

namespace crossdock {

// The checkpoints of Megatron-LLM and Megatron-LM (the plugins "megatron") and of Megatron-Core ("mcore").

/// The loader of all of them. It is known under two names, as the reference's are.
class MegatronLoaderBase : public HeldLoader {
public:
    using Options = MegatronLoaderOptions;

    explicit MegatronLoaderBase(const Options& options) : HeldLoader(detail::megatron_loader(options)) {}

    /// Whether the directory is laid out as Megatron's checkpoints are.
    static bool recognises(const std::filesystem::path& directory) { return detail::recognises_megatron(directory); }
    static std::vector<OptionSpec<Options>> options() { return detail::megatron_loader_options(); }
};

class MegatronLoader final : public MegatronLoaderBase {
public:
    using MegatronLoaderBase::MegatronLoaderBase;
    static std::string name() { return "megatron"; }
    static std::string summary() { return "reads Megatron-LLM and Megatron-LM checkpoints, at any TP and PP size"; }
};

class MegatronCoreLoader final : public MegatronLoaderBase {
public:
    using MegatronLoaderBase::MegatronLoaderBase;
    static std::string name() { return "mcore"; }
    static std::string summary() {
        return "reads Megatron-Core checkpoints, torch and torch_dist, at any TP and PP size";
    }
};

/// Megatron-LLM and Megatron-LM.
class MegatronSaver final : public HeldSaver {
public:
    using Options = MegatronSaverOptions;

    explicit MegatronSaver(const Options& options) : HeldSaver(detail::older_megatron_saver(options)) {}

    static std::string name() { return "megatron"; }
    static std::string summary() { return "writes Megatron-LLM and Megatron-LM checkpoints, at any TP and PP size"; }
    static std::vector<OptionSpec<Options>> options() { return detail::older_megatron_saver_options(); }
};

/// Megatron-Core, distributed (torch_dist) or in rank files (torch).
class MegatronCoreSaver final : public HeldSaver {
public:
    using Options = MegatronCoreSaverOptions;

    explicit MegatronCoreSaver(const Options& options) : HeldSaver(detail::megatron_core_saver(options)) {}

    static std::string name() { return "mcore"; }
    static std::string summary() {
        return "writes Megatron-Core checkpoints, distributed (torch_dist) or in torch format at any TP and PP size";
    }
    static std::vector<OptionSpec<Options>> options() { return detail::megatron_core_saver_options(); }
};

}  // namespace crossdock

#ifndef CROSSDOCK_COMPILED
#include "crossdock/plugin/megatron/loader.hpp"
#include "crossdock/plugin/megatron/saver.hpp"
#endif
