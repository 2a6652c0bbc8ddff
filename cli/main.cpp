// SPDX-License-Identifier: Apache-2.0
#include "compiled_plugins.hpp"
#include "crossdock/cli/run.hpp"

int main(int argc, char** argv) {
    return crossdock::cli::run<crossdock::cli::CompiledLoaders, crossdock::cli::CompiledSavers>(argc, argv);
}
