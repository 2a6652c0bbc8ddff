// SPDX-License-Identifier: Apache-2.0
// must say: loader.layer(index)
#include "crossdock/plugin/concepts.hpp"

using namespace crossdock;

struct Mine {
    ModelHeader header();
    Embeddings embeddings();
#ifdef MISTAKE
    TransformerLayer layers(std::uint64_t);
#else
    TransformerLayer layer(std::uint64_t);
#endif
};

void use(Loader auto&);
void use_mine(Mine& mine) { use(mine); }
