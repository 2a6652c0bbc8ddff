// SPDX-License-Identifier: Apache-2.0
// A command line with a saver of one's own: crossdock convert --saver raw …
#include "own_program.hpp"
#include "raw_saver.hpp"

int main(int, char** arguments) {
    using Savers = crossdock::BuiltinSavers::with<RawSaver>;
    return run_words<crossdock::BuiltinLoaders, Savers>(
        {"convert", "--loader", "llama", "--load_dir", arguments[1], "--saver", "raw", "--save_dir", arguments[2]});
}
