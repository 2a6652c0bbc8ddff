// SPDX-License-Identifier: Apache-2.0
// A command line with a loader of one's own as well: to the raw format, and the proof that nothing has changed.
#include "own_program.hpp"
#include "raw_loader.hpp"
#include "raw_saver.hpp"

int main(int, char** arguments) {
    using Loaders = crossdock::BuiltinLoaders::with<RawLoader>;
    using Savers = crossdock::BuiltinSavers::with<RawSaver>;
    const int converted = run_words<Loaders, Savers>(
        {"convert", "--loader", "llama", "--load_dir", arguments[1], "--saver", "raw", "--save_dir", arguments[2]});
    return converted ? converted : run_words<Loaders, Savers>({"verify", arguments[1], arguments[2]});
}
