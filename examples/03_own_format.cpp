// SPDX-License-Identifier: Apache-2.0
// The command line with a loader and a saver of one's own: convert --loader llama … --saver raw …, verify A B.
#include <crossdock/cli/run.hpp>
#include <crossdock/plugin/builtin.hpp>

#include "raw_loader.hpp"
#include "raw_saver.hpp"

using Loaders = crossdock::BuiltinLoaders::with<RawLoader>;
using Savers = crossdock::BuiltinSavers::with<RawSaver>;

int main(int argc, char** argv) { return crossdock::cli::run<Loaders, Savers>(argc, argv); }
