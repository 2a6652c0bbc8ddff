// SPDX-License-Identifier: Apache-2.0
#include <crossdock/cli/run.hpp>
#include <crossdock/family/gpt2.hpp>
#include <crossdock/plugin/family/loader.hpp>
#include <crossdock/plugin/family/saver.hpp>
#include <crossdock/plugin/plugin_list.hpp>

/// A command line with some of the plugins only.
int main(int argc, char** argv) {
    using Loaders = crossdock::LoaderList<crossdock::FamilyLoader<crossdock::gpt2_family>>;
    using Savers = crossdock::SaverList<crossdock::FamilySaver<crossdock::gpt2_family>>;
    return crossdock::cli::run<Loaders, Savers>(argc, argv);
}
