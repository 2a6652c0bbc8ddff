// SPDX-License-Identifier: Apache-2.0
#include "crossdock/cli/run.hpp"
#include "crossdock/plugin/builtin.hpp"

#ifdef CROSSDOCK_WITH_MPI
#include "crossdock/pipeline/mpi/world.hpp"
#endif

int main(int argc, char** argv) {
#ifdef CROSSDOCK_WITH_MPI
    const crossdock::MpiSession session(argc, argv);
    crossdock::MpiWorld world;
#else
    crossdock::World& world = crossdock::World::alone();
#endif
    return crossdock::cli::run<crossdock::BuiltinLoaders, crossdock::BuiltinSavers>(argc, argv, world);
}
