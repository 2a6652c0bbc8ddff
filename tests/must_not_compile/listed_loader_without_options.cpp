// SPDX-License-Identifier: Apache-2.0
// must say: P::options()
#include "crossdock/plugin/plugin_list.hpp"

using namespace crossdock;

struct Mine {
    struct Options {};
    static std::string name() { return "mine"; }
    static std::string summary() { return "reads mine"; }
#ifndef MISTAKE
    static std::vector<OptionSpec<Options>> options() { return {}; }
#endif
    explicit Mine(const Options&) {}
    ModelHeader header() { return {}; }
    Embeddings embeddings() { return {}; }
    TransformerLayer layer(std::uint64_t) { return {}; }
};

const auto names = LoaderList<Mine>::names();
