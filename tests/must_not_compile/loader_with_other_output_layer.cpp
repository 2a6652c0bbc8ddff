// SPDX-License-Identifier: Apache-2.0
// must say: OutputLayer
#include "crossdock/plugin/concepts.hpp"

using namespace crossdock;

struct Mine {
    ModelHeader header();
    Embeddings embeddings();
    TransformerLayer layer(std::uint64_t);
#ifdef MISTAKE
    std::optional<OutputLayer> output_layer();
#else
    OutputLayer output_layer();
#endif
};

void use(Loader auto&);
void use_mine(Mine& mine) { use(mine); }
