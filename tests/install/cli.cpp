// SPDX-License-Identifier: Apache-2.0
#include <crossdock/cli/run.hpp>
#include <crossdock/plugin/gpt2.hpp>
#include <crossdock/plugin/plugin_list.hpp>

/// A command line with the plugins of one family only.
int main(int argc, char** argv) {
    using Loaders = crossdock::LoaderList<crossdock::Gpt2Loader>;
    using Savers = crossdock::SaverList<crossdock::Gpt2Saver>;
    return crossdock::cli::run<Loaders, Savers>(argc, argv);
}
