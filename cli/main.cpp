// SPDX-License-Identifier: Apache-2.0
#include "crossdock/cli/run.hpp"
#include "crossdock/plugin/builtin.hpp"

int main(int argc, char** argv) {
    return crossdock::cli::run<crossdock::BuiltinLoaders, crossdock::BuiltinSavers>(argc, argv);
}
